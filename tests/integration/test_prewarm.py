"""Warm sessions: made ahead of the callers, verified and confirmed, and handed to one caller each;
given up before they are too old, and whenever what they were made by has changed."""

import contextlib
import resource
import socket
import threading
import time
from datetime import timedelta
from signal import SIGTERM

import pytest
from harness.agent import config, service
from harness.backends import Backend, TlsBackend, Truncated, stay_silent
from harness.dns import DnsServer, PrivateResolver, why_not
from harness.gnutls import GnutlsBackend
from harness.live import Live
from harness.net import (
    HANG, connect, digest, expect_eof, expect_no_service, expect_reset, free_port, in_parallel,
    payload, recv_all, recv_exact, reset, unread, wait_for,
)
from harness.rotation import Pair, Rig
from test_staple import GOOD, StapledBackend, answer

HELLO = b"GET /hello HTTP/1.1\r\n\r\n"
NOT_KEPT = "no session can be kept ready"


# Backends


class Host(TlsBackend):
    """Echoes; of each session `got` is what it was sent, and `end` how the agent left it. What
    is in `greeting` comes first."""

    greeting = b""

    def __init__(self, leaf, client_ca, **options):
        super().__init__(self._hold, leaf, client_ca, **options)

    def handle(self, session):
        session.got, session.end = b"", None
        super().handle(session)

    def _hold(self, connection):
        session = connection.session
        try:
            self.talk(connection)
            session.end = "close_notify"
            connection.close_notify()
        except Truncated:
            session.end = "eof"
        except ConnectionResetError:
            session.end = "reset"

    def talk(self, connection):
        if self.greeting:
            connection.write(self.greeting)
        while data := connection.read():
            connection.session.got += data
            connection.write(data)

    def __exit__(self, *args):
        # The agent comes back as soon as a session ends: nobody is let in any more.
        with contextlib.suppress(OSError):  # it may be closed
            self._listener.shutdown(socket.SHUT_RDWR)
        super().__exit__(*args)

    def settle(self):
        """Waits until all that belongs to the handshakes was said. Where that takes a second, a
        session is ready before, and if it ends then, it ends in a reset."""
        assert all(session.handshaken.wait(HANG) for session in self.sessions)

    def ends(self, count):
        """How the first so many sessions ended; waits for that."""
        for session in self.sessions[:count]:
            assert session.over.wait(HANG), "a session is still open"
        return [session.end for session in self.sessions[:count]]


@pytest.fixture
def stage():
    """Where backends live until the agent, which would come back to them, has ended."""
    with contextlib.ExitStack() as backends:
        yield backends


@pytest.fixture
def serve(stage, ca, leaf):
    """serve(LEAF, kind=CLASS…) starts a backend."""

    def run(shown=leaf, kind=Host, client_ca=ca, **options):
        return stage.enter_context(kind(shown, client_ca, **options))

    return run


class Closing(Host):
    """Sessions that begin before `gate` is opened are ended as soon as it is."""

    def __init__(self, *args, how="close_notify", **options):
        self.gate, self.how = threading.Event(), how
        self.at_gate = []
        super().__init__(*args, **options)

    def talk(self, connection):
        if self.gate.is_set():
            super().talk(connection)
            return
        self.at_gate.append(connection.session)
        self.gate.wait(HANG)
        if self.how == "reset":
            connection.reset()
            return
        if self.how == "close_notify":
            connection.close_notify()
        connection.fin()
        connection.session.sock.recv(1)

    def wait_at_gate(self, count):
        """The agent may have a session ready before this side gets there."""
        what = f"{count} sessions to wait at the gate"
        return wait_for(lambda: len(self.at_gate) >= count and list(self.at_gate), what=what)


# The agent


class Hop(Live):
    """An agent whose services lead to one backend each, with warm sessions."""

    metric = Rig.metric

    def __init__(self, agent, socket, ports):
        super().__init__(agent, socket)
        self.ports = ports

    def warm(self, name="backend"):
        return self.service(name)["warm"]

    def wait_ready(self, count, name="backend"):
        """Waits until so many sessions are ready, no more and no less."""
        what = f"{count} sessions to be ready"
        return wait_for(lambda: (now := self.warm(name))["ready"] == count and now, what=what)

    def wait_count(self, key, least, name="backend"):
        """Waits until at least so many warm sessions were `key`."""
        what = f"{least} sessions to be {key}"
        return wait_for(lambda: (now := self.warm(name))[key] >= least and now, what=what)

    def call(self, name="backend"):
        return connect(self.ports[name])

    def talk(self, name="backend", text=HELLO):
        """One exchange on a connection of its own; its line in the log."""
        count = len(self.agent.all_log(msg="connection ended", service=name))
        with self.call(name) as sock:
            say(sock, text)
        return self.agent.wait_logs(count + 1, msg="connection ended", service=name)[-1]


def say(sock, text=HELLO):
    sock.sendall(text)
    assert recv_exact(sock, len(text)) == text


@pytest.fixture
def hop(stage, start, tmp_path, ca, gateway):
    """hop({NAME: (BACKEND, keys)}, …) or hop(BACKEND, key=value…) starts a Hop."""

    def run(backends, certificate=gateway, agent=None, env=None, preexec=None, **keys):
        many = backends if isinstance(backends, dict) else {"backend": (backends, keys)}
        ports = {name: free_port() for name in many}
        path = tmp_path / "status.sock"
        text = config(
            *(
                leads_to(backend, ports[name], ca, name, **keys)
                for name, (backend, keys) in many.items()
            ),
            certificate=certificate,
            agent={"status": f"unix:{path}", **(agent or {})},
        )
        return Hop(start(text, env=env, preexec=preexec), path, ports)

    return run


def leads_to(backend, port, ca, name="backend", **keys):
    """A service with warm sessions, which are not given up during a test."""
    keys = {"prewarm": 2, "prewarm_max_age": "1h", **keys}
    return service(name, port, getattr(backend, "port", backend), ca, **keys)


# They are there


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_they_are_ready_before_anybody_calls(hop, serve, tls):
    backend = serve(tls=tls)
    link = hop(backend, prewarm=3)
    assert link.wait_ready(3) == dict(ready=3, used=0, aged=0, closed=0, failed=0, dropped=0)
    assert [session.handshaken.wait(HANG) for session in backend.sessions] == [True] * 3
    now = link.service("backend")
    assert (now["connections"]["active"], now["connections"]["opened"]) == (0, 0)
    assert now["bytes"] == {"sent": 0, "received": 0}
    assert now["state"] == "ok" and now["last_success"]
    assert link.metric("mtls_agent_warm_sessions", service="backend") == 3


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_a_caller_gets_one_and_another_is_made(hop, serve, tls):
    backend = serve(tls=tls)
    link = hop(backend, prewarm=3)
    for i in range(4):
        link.wait_ready(3)
        made = list(backend.sessions)
        assert len(made) == 3 + i, "one is made for each that was used"
        line = link.talk()
        assert (line["warm"], line["tls"], line["reason"]) == ("yes", tls, "ok"), line
        assert (line["sent"], line["received"]) == (str(len(HELLO)), str(len(HELLO))), line
        assert any(session.got for session in made[i:]), "one of those that were there"
    warm = link.wait_ready(3)
    assert (warm["used"], warm["closed"], warm["dropped"]) == (4, 0, 0)
    assert sum(session.got == HELLO for session in backend.sessions) == 4
    now = link.service("backend")
    assert (now["connections"]["opened"], now["bytes"]["sent"]) == (4, 4 * len(HELLO))
    assert sum(now["handshakes"][kind] for kind in ("full", "resumed")) == 7
    family = "mtls_agent_warm_sessions_ended_total"
    assert link.metric(family, service="backend", result="used") == 4


def test_one_who_finds_none_goes_the_ordinary_way(hop, serve):
    backend = serve()
    link = hop(backend, prewarm=2)
    link.wait_ready(2)
    with contextlib.ExitStack() as callers:
        socks = [callers.enter_context(link.call()) for _ in range(12)]
        in_parallel([lambda sock=sock: say(sock) for sock in socks])
    lines = link.agent.wait_logs(12, msg="connection ended", reason="ok")
    assert sum(line["warm"] == "yes" for line in lines) == link.warm()["used"] >= 2
    assert sum(session.got == HELLO for session in backend.sessions) == 12
    assert {session.got for session in backend.sessions} <= {HELLO, b""}
    link.wait_ready(2)


def test_every_worker_keeps_as_many(hop, serve):
    backend = serve()
    link = hop(backend, prewarm=3, agent={"workers": 2})
    link.wait_ready(6)
    assert len(backend.sessions) == 6


def test_they_take_no_place_of_a_caller(hop, serve):
    link = hop(serve(), prewarm=3, max_connections=1)
    link.wait_ready(3)
    with link.call() as sock:
        say(sock)
        link.wait_ready(3)
        expect_no_service(link.ports["backend"])
        link.agent.ended(reason="limit_reached")
    assert link.agent.ended(reason="ok")["warm"] == "yes"


def test_a_caller_who_finishes_before_the_answer(hop, serve):
    class Digest(Host):
        def talk(self, connection):
            connection.write(digest(connection.read_all()).encode())

    link = hop(serve(kind=Digest))
    data = payload(1 << 20)
    for _ in range(3):
        link.wait_ready(2)
        with link.call() as sock:
            sock.sendall(data)
            sock.shutdown(1)
            assert recv_all(sock).decode() == digest(data)
    for line in link.agent.wait_logs(3, msg="connection ended"):
        assert (line["reason"], line["warm"]) == ("ok", "yes"), line


def test_time_limits_begin_with_the_caller(hop, serve):
    """For whom a session that has waited for longer than they allow is as good as new."""
    link = hop(serve(), idle_timeout="1s", max_lifetime="2s")
    link.wait_ready(2)
    over = time.monotonic() + 2.1
    wait_for(lambda: time.monotonic() > over, what="the time to pass")
    line = link.talk()
    assert (line["reason"], line["warm"]) == ("ok", "yes"), line


def limit_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))


def is_still(backend):
    """Whether nothing new comes for a second."""
    count, over = len(backend.sessions), time.monotonic() + 1
    while time.monotonic() < over:
        if len(backend.sessions) > count:
            return False
        time.sleep(0.01)
    return True


def test_descriptors_are_left_for_callers(hop, serve):
    """Where there are not enough for all, callers come first."""
    backend = serve()
    link = hop(backend, prewarm=1000, preexec=limit_descriptors)
    backend.wait_sessions(40)
    wait_for(lambda: is_still(backend), what="as many as there can be")
    with contextlib.ExitStack() as callers:
        socks = [callers.enter_context(link.call()) for _ in range(20)]
        for sock in socks:
            sock.settimeout(5)
        in_parallel([lambda sock=sock: say(sock) for sock in socks])
    assert len(link.agent.wait_logs(20, msg="connection ended", reason="ok")) == 20
    assert link.service("backend")["connections"]["active"] == 0


def test_one_goes_ahead(stage, hop, serve):
    """Until it is ready, nothing is known of the backend."""
    silent = stage.enter_context(Backend(stay_silent))
    link = hop({"silent": (silent, {"prewarm": 40}), "well": (serve(), {"prewarm": 40})})
    link.wait_ready(40, "well")
    assert link.warm("silent")["ready"] == 0
    assert len(silent.sessions) == 1


@pytest.mark.parametrize("must", [False, True], ids=["may-staple", "must-staple"])
def test_stapled_statuses(stage, hop, ca, must):
    leaf = ca.issue(dns=["localhost"], must_staple=must)
    backend = stage.enter_context(StapledBackend(leaf, ca, answer(leaf, ca, GOOD)))
    link = hop(backend)
    for _ in range(3):
        link.wait_ready(2)
        assert link.talk()["warm"] == "yes"


# What a backend does while they wait


def test_a_backend_without_tickets(hop, serve):
    """Of which nothing tells that it has accepted us but that it has not refused."""
    link = hop(serve(session_tickets=0))
    link.wait_ready(2)
    assert link.talk()["warm"] == "yes"


@pytest.mark.parametrize(
    "tls, size",
    [("1.2", 9), ("1.2", 300_000), ("1.3", 9), ("1.3", 16384), ("1.3", 16385), ("1.3", 3_000_000)],
)
def test_a_backend_that_speaks_first(hop, serve, size, tls):
    """Its greeting is kept for the caller, be it as long as it may."""
    backend = serve(tls=tls)
    backend.greeting = payload(size)
    link = hop(backend)
    for _ in range(3):
        link.wait_ready(2)
        with link.call() as sock:
            assert digest(recv_exact(sock, size)) == digest(backend.greeting)
            say(sock)
            sock.shutdown(1)
            assert expect_eof(sock) == b""
    for line in link.agent.wait_logs(3, msg="connection ended"):
        assert (line["warm"], line["reason"]) == ("yes", "ok"), line
        assert line["received"] == str(size + len(HELLO))


def test_a_greeting_for_one_who_sends_at_once(hop, serve):
    """Both ways at the same time, and each in its order."""
    backend = serve()
    backend.greeting = payload(100_000)
    link = hop(backend)
    link.wait_ready(2)
    data = payload(500_000, "up")
    with link.call() as sock:
        sender = threading.Thread(target=sock.sendall, args=(data,), daemon=True)
        sender.start()
        assert digest(recv_exact(sock, 600_000)) == digest(backend.greeting + data)
        sender.join(HANG)
    assert link.agent.ended()["warm"] == "yes"


def test_key_updates(stage, hop, leaf, ca):
    """Each asks for one of ours, while nobody has anything to say."""

    def talk(connection):
        for _ in range(3):
            connection.key_update()
        while data := connection.read():
            connection.write(data)
        connection.close_notify()

    backend = stage.enter_context(GnutlsBackend(talk, leaf, ca))
    link = hop(backend)
    for _ in range(3):
        link.wait_ready(2)
        line = link.talk(text=payload(50_000))
        assert (line["warm"], line["reason"]) == ("yes", "ok"), line


def test_a_flood_of_tickets(stage, hop, leaf, ca):
    def talk(connection):
        for _ in range(50):
            connection.send_tickets(10)
        while data := connection.read():
            connection.write(data)
        connection.close_notify()

    backend = stage.enter_context(GnutlsBackend(talk, leaf, ca))
    link = hop(backend)
    for _ in range(3):
        link.wait_ready(2)
        line = link.talk()
        assert (line["warm"], line["reason"]) == ("yes", "ok"), line


@pytest.mark.parametrize("how", ["close_notify", "fin", "reset"])
def test_one_that_the_backend_has_closed_is_not_handed_out(hop, serve, how):
    """Though the agent learns of the close and of the caller in the same moment."""
    backend = serve(kind=Closing, how=how)
    link = hop(backend, prewarm=3)
    link.wait_ready(3)
    old = backend.wait_at_gate(3)
    with link.agent.stopped():
        backend.gate.set()
        for session in old:
            wait_for(lambda: is_closed(session), what="the backend to close")
        sock = link.call()
        sock.sendall(HELLO)
    with sock:
        assert recv_exact(sock, len(HELLO)) == HELLO
    assert link.agent.ended()["reason"] == "ok"
    warm = link.wait_ready(3)
    assert warm["closed"] == 3 and warm["ready"] == 3
    assert not any(session.received for session in old)


def is_closed(session):
    """Whether this side of it, as the kernel knows, has ended."""
    try:
        return session.sock.fileno() < 0 or tcp_state(session.sock) != 1
    except OSError:
        return True


def tcp_state(sock):
    return sock.getsockopt(6, 11, 1)[0]  # TCP_INFO; 1 is TCP_ESTABLISHED


def test_one_that_is_closed_in_the_moment_of_use(hop, serve):
    """Is lost as any other connection: nobody knows what the backend did with what it got, so it is
    not said again."""

    class Hanging(Host):
        def talk(self, connection):
            connection.session.got += connection.read()
            connection.reset()

    backend = serve(kind=Hanging)
    link = hop(backend, prewarm=3)
    link.wait_ready(3)
    with link.call() as sock:
        sock.sendall(HELLO)
        assert expect_reset(sock) == b""
    line = link.agent.ended()
    assert (line["reason"], line["warm"]) == ("upstream_reset", "yes"), line
    link.wait_ready(3)
    assert [session.got for session in backend.used] == [HELLO]
    assert link.service("backend")["connections"]["opened"] == 1


def test_a_backend_that_closes_idle_sessions(hop, serve):
    """They are made anew, and after that given up before the backend closes them."""

    class Impatient(Host):
        def talk(self, connection):
            connection.sock.settimeout(1.3)
            with contextlib.suppress(TimeoutError):
                super().talk(connection)

    link = hop(serve(kind=Impatient))
    link.wait_count("closed", 1)

    def is_learned():
        before = link.warm()
        after = link.wait_count("aged", before["aged"] + 3)
        return after["closed"] == before["closed"]

    wait_for(is_learned, what="the backend's limit to be learned")
    assert link.warm()["failed"] == 0
    link.wait_ready(2)
    assert link.talk()["warm"] == "yes"


def test_a_restart_is_no_limit(hop, serve):
    """It ends sessions whose age says nothing."""
    backend = serve(kind=Closing)
    link = hop(backend)
    link.wait_ready(2)
    backend.wait_at_gate(2)
    born = time.monotonic()
    wait_for(lambda: time.monotonic() > born + 1.1, what="the sessions to be of some age")
    backend.gate.set()
    backend.ends(2)
    limit, lives = time.monotonic() - born, {}

    def is_one_old():
        now = time.monotonic()
        for session in backend.sessions[2:]:
            if not session.over.is_set():
                lives.setdefault(session, now)
        return any(now - lives[s] > limit for s in lives if not s.over.is_set())

    wait_for(is_one_old, what="a session to be kept for longer")
    assert link.warm()["aged"] == 0


# Age


def test_they_are_given_up_in_time(hop, serve):
    backend = serve()
    link = hop(backend, prewarm_max_age="1s")
    link.wait_count("aged", 4)
    assert backend.ends(4) == ["close_notify"] * 4
    link.wait_ready(2)
    assert link.talk()["reason"] == "ok"
    assert link.warm()["closed"] == link.warm()["failed"] == 0


def test_the_time_that_a_handshake_takes_does_not_count(hop, serve):
    class Slow(Host):
        def handle(self, session):
            time.sleep(1.2)
            super().handle(session)

    link = hop(serve(kind=Slow), prewarm_max_age="1s")
    link.wait_ready(2)
    assert link.talk()["warm"] == "yes"


def test_one_that_is_too_old_is_not_handed_out(hop, serve):
    """Also when nothing could be done in time."""
    backend = serve()
    link = hop(backend, prewarm=3, prewarm_max_age="1s")
    link.wait_ready(3)
    with link.agent.stopped():
        old, over = list(backend.sessions), time.monotonic() + 1.1
        wait_for(lambda: time.monotonic() > over, what="the time to pass")
        sock = link.call()
        sock.sendall(HELLO)
    with sock:
        assert recv_exact(sock, len(HELLO)) == HELLO
    assert not any(session.received for session in old)


# Backends that fail


def most(count, seconds):
    """How many attempts there may be at most in this time, if `count` are wanted: the pauses are
    from 250 to 500 ms, and twice as long each time."""
    pause = 0.25
    while seconds >= pause:
        count, seconds, pause = count + 1, seconds - pause, min(pause * 2, 15)
    return count


class Fleeting(Host):
    """Ends each session as soon as it has begun."""

    def talk(self, connection):
        if self.greeting:
            connection.write(self.greeting)


class Slamming(Host):
    def talk(self, connection):
        connection.reset()


def hang_up(sock):
    """For a bare TCP backend."""


def test_backends_that_do_not_keep_sessions_are_not_stormed(stage, hop, serve, ca, leaf):
    """Attempts become rare, and the log tells of the first one. (The first close may be that of a
    restart.)"""
    greeting = serve(kind=Fleeting)
    greeting.greeting = b"421 too many connections\r\n"
    bare = stage.enter_context(Backend(hang_up))
    resetting = stage.enter_context(Backend(reset))
    backends = {
        "bare": bare,
        "resetting": resetting,
        "fleeting": serve(kind=Fleeting),
        "fleeting-12": serve(kind=Fleeting, tls="1.2"),
        "silent": serve(kind=Fleeting, session_tickets=0),
        "slamming": serve(kind=Slamming),
        "greeting": greeting,
    }
    begun = time.monotonic()
    link = hop({name: (backend, {"prewarm": 1}) for name, backend in backends.items()})
    for name, backend in backends.items():
        backend.wait_sessions(4)
        tries = len(backend.sessions)
        assert tries <= most(1, time.monotonic() - begun) + 1, name
    for name in backends:
        told = link.agent.all_log(msg=NOT_KEPT, service=name)
        assert len(told) == 1, f"{name}: {told}"
        assert link.warm(name)["used"] == 0


def test_however_many_are_wanted_one_tries(stage, hop):
    backend = stage.enter_context(Backend(hang_up))
    begun = time.monotonic()
    link = hop(backend, prewarm=20)
    link.wait_count("failed", 3)
    tries = len(backend.sessions)
    assert tries <= most(1, time.monotonic() - begun)
    assert len(link.agent.all_log(msg=NOT_KEPT)) == 1


class Limited(Host):
    """Takes two sessions, and no third."""

    def handle(self, session):
        if session in self.sessions[:2]:
            super().handle(session)


def test_a_backend_that_takes_only_so_many(hop, serve):
    """Those that it has taken do not speak for more."""
    backend = serve(kind=Limited)
    begun = time.monotonic()
    link = hop(backend, prewarm=4)
    link.wait_ready(2)
    wait_for(lambda: time.monotonic() > begun + 3, what="some tries")
    tries = len(backend.sessions)
    # The first two that fail may have offered a ticket, and were tried again without it.
    assert tries <= most(4, time.monotonic() - begun) + 2
    assert len(link.agent.all_log(msg=NOT_KEPT)) == 1
    assert link.talk()["warm"] == "yes"


def test_a_backend_that_comes_up(stage, hop, leaf, ca):
    port = free_port()
    link = hop(port)
    line = link.agent.wait_log(msg=NOT_KEPT)
    assert (line["service"], line["reason"], line["level"]) == (
        "backend", "connect_refused", "warning",
    )
    link.wait_count("failed", 2)
    assert link.warm()["ready"] == 0
    backend = stage.enter_context(Host(leaf, ca, port=port))
    link.wait_ready(2)
    assert link.talk()["warm"] == "yes"
    assert len(link.agent.all_log(msg=NOT_KEPT)) == 1
    link.wait_ready(2)
    assert len(backend.sessions) == 3


def test_a_caller_shows_that_the_backend_is_up(stage, hop, leaf, ca):
    """There is no need to wait then."""
    port = free_port()
    link = hop(port)
    link.wait_count("failed", 3)
    stage.enter_context(Host(leaf, ca, port=port))
    link.talk()
    link.wait_ready(2)
    assert link.talk()["warm"] == "yes"


class HalfIll(Host):
    """Two nodes take turns behind one address, and one of them is ill."""

    def handle(self, session):
        if self.sessions.index(session) % 2:
            reset(session.sock)
        else:
            super().handle(session)


def test_a_backend_that_is_half_ill(hop, serve):
    """Callers who get through are no reason to storm it, nor to tell the same again and again."""
    backend = serve(kind=HalfIll)
    link = hop(backend, prewarm=20)
    begun, calls = time.monotonic(), 0
    while time.monotonic() < begun + 5:
        calls += 1
        with contextlib.suppress(OSError):
            link.talk()
    seconds = time.monotonic() - begun
    assert link.warm()["failed"] > 1
    # A try each second, and where it was of use as many as are wanted.
    assert len(backend.sessions) - calls <= 20 * (seconds + 1), calls
    assert len(link.agent.all_log(msg=NOT_KEPT)) == 1


def test_a_backend_that_refuses_our_certificate(hop, serve, other_ca):
    """In TLS 1.3 that is known only behind the handshake, which looks good from here."""
    backend = serve(client_ca=other_ca)
    begun = time.monotonic()
    link = hop(backend, prewarm=1)
    line = link.agent.wait_log(msg=NOT_KEPT)
    assert line["reason"] == "client_cert_untrusted", line
    for _ in range(10):
        expect_no_service(link.ports["backend"], HELLO)
    ended = {"client_cert_untrusted": 10}
    wait_for(lambda: link.service("backend")["connections"]["ended"] == ended, what="all to end")
    assert link.agent.ended()["warm"] == "no"
    assert len(link.agent.all_log(msg=NOT_KEPT)) == 1, "told once, however many call"
    tries = len(backend.sessions)
    assert tries <= 10 + most(1, time.monotonic() - begun), "no attempt for each caller"
    warm = link.warm()
    assert (warm["ready"], warm["used"], warm["aged"], warm["closed"]) == (0, 0, 0, 0)
    service = link.service("backend")
    assert service["handshakes"]["full"] == service["handshakes"]["resumed"] == 0


def test_a_backend_whose_certificate_is_refused(hop, serve, other_ca):
    backend = serve(other_ca.issue(dns=["localhost"]))
    link = hop(backend)
    assert link.agent.wait_log(msg=NOT_KEPT)["reason"] == "cert_untrusted"
    expect_no_service(link.ports["backend"], HELLO)
    assert link.agent.ended()["reason"] == "cert_untrusted"
    assert link.warm()["ready"] == 0 and not backend.used


# What ends them


def test_a_reload_replaces_them(hop, serve):
    """Even one that changes nothing."""
    backend = serve()
    link = hop(backend, prewarm=3)
    link.wait_ready(3)
    backend.settle()
    link.post()
    assert backend.ends(3) == ["close_notify"] * 3
    assert link.wait_ready(3)["dropped"] == 3
    assert link.talk()["warm"] == "yes"
    assert [bool(session.got) for session in backend.sessions[:3]] == [False] * 3


def test_one_with_something_unread_is_closed_in_order(hop, serve):
    """Behind a greeting nothing is read before there is a caller."""
    go_on, said = threading.Event(), threading.Event()

    class Talkative(Host):
        greeting = b"220 ready\r\n"

        def talk(self, connection):
            if not go_on.is_set():
                connection.write(self.greeting)
                assert go_on.wait(HANG)
                connection.write(self.greeting)
                said.set()
            super().talk(connection)

    def lies_there():
        return unread(backend.sessions[0].peer[1], backend.port)

    backend = serve(kind=Talkative)
    link = hop(backend, prewarm=1)
    link.wait_ready(1)
    wait_for(lambda: lies_there() == 0, what="the greeting to be read")
    go_on.set()
    assert said.wait(HANG)
    wait_for(lies_there, what="the second to lie there")
    link.post()
    assert backend.ends(1) == ["close_notify"]


@pytest.mark.parametrize("then", ["goes-on", "stops"])
def test_a_crowd_is_closed_in_order(hop, serve, then):
    """Some at a time, so that nobody waits behind all of them; and all, when there is no time."""
    backend = serve()
    link = hop(backend, prewarm=100)
    link.wait_ready(100)
    backend.settle()
    link.post()
    if then == "stops":
        assert link.agent.stop() == 0
    assert backend.ends(100) == ["close_notify"] * 100
    if then == "goes-on":
        assert link.wait_ready(100)["dropped"] == 100
        assert link.talk()["warm"] == "yes"


def test_reloads_in_a_row(hop, serve):
    """Whatever is being made: none is forgotten, and none is left."""
    backend = serve()
    link = hop(backend, prewarm=3)
    for i in range(9):
        if i % 3 == 0:
            link.wait_ready(3)
            descriptors = link.descriptors()
        link.post()
    link.wait_ready(3)
    wait_for(lambda: sum(not s.over.is_set() for s in backend.sessions) == 3, what="the old to end")
    wait_for(lambda: link.descriptors() <= descriptors, what="their descriptors")


def test_another_number(hop, serve, ca, gateway):
    backend = serve()
    link = hop(backend, prewarm=1)
    text = link.agent.config.read_text()
    for number in (4, 1, 0, 2):
        link.apply(text.replace("prewarm = 1\n", f"prewarm = {number}\n"))
        link.wait_ready(number)
        wait_for(lambda: sum(not s.over.is_set() for s in backend.sessions) == number)
        assert link.talk()["warm"] == ("yes" if number else "no")


def test_a_service_that_is_removed(hop, serve):
    one, two = serve(), serve()
    link = hop({"one": (one, {}), "two": (two, {})})
    link.wait_ready(2, "one")
    link.wait_ready(2, "two")
    two.settle()
    text = link.agent.config.read_text()
    link.apply(text[: text.index("[service two]")])
    assert two.ends(2) == ["close_notify"] * 2
    assert not any(session.over.is_set() for session in one.sessions[2:])


def test_another_certificate_of_ours(tmp_path, hop, serve, ca, gateway):
    """Nobody is shown the old one any more."""

    class Telling(Host):
        def talk(self, connection):
            connection.session.shown = connection.tls.getpeercert(True)
            super().talk(connection)

    backend, files = serve(kind=Telling), Pair(tmp_path / "pair", gateway)
    link = hop(backend, certificate=files)
    link.wait_ready(2)
    backend.settle()
    fresh = ca.issue("gateway", purpose="client")
    files.put(fresh)
    assert backend.ends(2) == ["close_notify"] * 2
    link.wait_ready(2)
    assert link.talk()["warm"] == "yes"
    used = next(session for session in backend.sessions if session.got)
    assert used.shown == fresh.der


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_another_address(tmp_path, hop, serve):
    port = free_port()
    one = serve(port=port)
    serve(port=port, host="127.0.0.2")
    with DnsServer() as dns:
        dns.set("api.test", "127.0.0.1", ttl=1)
        etc = PrivateResolver(tmp_path / "etc", [dns])
        link = hop(f"api.test:{port}", verify_name="localhost", preexec=etc.enter)
        link.wait_ready(2)
        assert link.talk()["upstream"] == f"127.0.0.1:{port}"
        link.wait_ready(2)
        one.settle()
        dns.set("api.test", "127.0.0.2", ttl=1)
        assert one.ends(3) == ["close_notify"] * 3
        link.wait_ready(2)
        line = link.talk()
    assert (line["upstream"], line["warm"]) == (f"127.0.0.2:{port}", "yes"), line
    assert len(one.sessions) == 3


def test_the_end_of_the_agent(hop, serve):
    """They are closed at once; a caller who has one may finish."""
    backend = serve()
    link = hop(backend, prewarm=3, agent={"shutdown_timeout": "30s"})
    link.wait_ready(3)
    with link.call() as sock:
        say(sock)
        link.wait_ready(3)
        backend.settle()
        link.agent.signal(SIGTERM)
        idle = [session for session in backend.sessions if not session.got]
        for session in idle:
            assert session.over.wait(HANG)
        assert [session.end for session in idle] == ["close_notify"] * 3
        say(sock)
    assert link.agent.wait() == 0
    assert backend.ends(4) == ["close_notify"] * 4


def test_a_certificate_that_runs_out_meanwhile(hop, serve, ca, clock):
    backend = serve(ca.issue(dns=["localhost"], not_after=timedelta(minutes=30)))
    link = hop(backend, env=clock.environment())
    link.wait_ready(2)
    assert link.talk()["warm"] == "yes"
    link.wait_ready(2)
    clock.set("+35m")
    expect_no_service(link.ports["backend"], HELLO)
    link.agent.ended(reason="cert_expired")
    assert len(backend.used) == 1


def test_our_certificate_runs_out_meanwhile(hop, serve, ca, clock):
    """A backend that does not mind gets new sessions, but not one after the other."""
    backend = serve()
    own = ca.issue("gateway", purpose="client", not_after=timedelta(minutes=30))
    link = hop(backend, certificate=own, env=clock.environment())
    link.wait_ready(2)
    clock.set("+35m")
    assert link.talk()["warm"] == "no"
    assert [bool(session.got) for session in backend.sessions[:2]] == [False] * 2
    for _ in range(5):
        link.talk()
    tries = len(backend.sessions) - len(backend.used)
    assert tries <= 6, "for callers who do not get them"


# Many addresses


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_they_are_spread_over_the_addresses_of_a_name(tmp_path, hop, serve):
    port = free_port()
    one, two = serve(port=port), serve(port=port, host="127.0.0.2")
    with DnsServer() as dns:
        dns.set("api.test", "127.0.0.1", "127.0.0.2")
        etc = PrivateResolver(tmp_path / "etc", [dns])
        link = hop(f"api.test:{port}", verify_name="localhost", prewarm=6, preexec=etc.enter)
        link.wait_ready(6)
        assert (len(one.sessions), len(two.sessions)) == (3, 3)
        assert link.talk()["warm"] == "yes"


def test_the_order_of_addresses_is_kept(stage, hop, serve, leaf, ca):
    """The second is there for when the first fails."""
    one, two = serve(), serve()
    link = hop([one.port, two.port], prewarm=4, prewarm_max_age="1s")
    link.wait_ready(4)
    link.wait_count("aged", 4)
    assert not two.sessions
    one.__exit__()
    two.wait_sessions(1)
    link.wait_ready(4)
    assert link.talk()["upstream"] == f"127.0.0.1:{two.port}"
    again = stage.enter_context(Host(leaf, ca, port=one.port))
    again.wait_sessions(1)
    link.wait_count("aged", link.warm()["aged"] + 4)

    def is_back():
        return link.talk()["upstream"] == f"127.0.0.1:{one.port}"

    wait_for(is_back, what="the first address to be used again")


# As many as are wanted


def test_as_many_as_callers_want(hop, serve):
    """None at first; some while there are callers; none when they have gone."""
    backend = serve()
    link = hop(backend, prewarm="auto", prewarm_max_age="1s")
    assert link.warm()["ready"] == 0 and backend.sessions == []
    assert link.talk()["warm"] == "no"
    for _ in range(20):
        link.talk()
    link.wait_count("ready", 1)
    wait_for(lambda: link.talk()["warm"] == "yes", what="a caller to find one")

    def are_none_left():
        quiet = time.monotonic() + 1.5  # longer than it takes to make one, or one gets old
        while link.warm()["ready"] == 0:
            if time.monotonic() > quiet:
                return True
        return False

    wait_for(are_none_left, what="all to be given up")
    assert all(session.over.is_set() for session in backend.sessions)


def test_one_caller_is_enough_where_sessions_last(hop, serve):
    backend = serve()
    link = hop(backend, prewarm="auto")
    assert link.talk()["warm"] == "no"
    link.wait_count("ready", 1)
    assert link.talk()["warm"] == "yes"
    assert link.warm()["ready"] <= 4
