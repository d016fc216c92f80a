"""A signature with an RSA key takes long. It is made in a second thread of the worker, and
whoever does not need it does not wait for it."""

import contextlib
import re
import resource
import socket
import threading
from pathlib import Path
from signal import SIGTERM

import pytest
from harness import signatures
from harness.agent import config, sanitizer, section, service
from harness.backends import Backend, TlsBackend, echo
from harness.live import Live
from harness.net import (
    HANG,
    acknowledged,
    connect,
    expect_reset,
    free_port,
    is_readable,
    recv_exact,
    reset,
    unread,
    wait_for,
)
from harness.signatures import Signatures

pytestmark = [
    pytest.mark.threads,
    pytest.mark.skipif(not signatures.COMPILER, reason="there is no C compiler"),
]

AT_ONCE = 1  # signature of one worker
WAITING = 1024  # at most, of one service
CROWD = 60
PIECE = 40  # bytes: less than the Finished of TLS 1.3
ADVICE = "an EC key is far quicker, and more workers share the work"


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    return signatures.compile_library(tmp_path_factory.mktemp("signatures"))


@pytest.fixture(scope="session")
def rsa(ca):
    """An identity that signs slowly."""
    return ca.issue("gateway", key="rsa2048", purpose="client")


@pytest.fixture(scope="session")
def larger_rsa(ca):
    return ca.issue("gateway", key="rsa3072", purpose="client")


@pytest.fixture
def held(tmp_path, library):
    """The agent's signatures."""
    ours = Signatures(tmp_path, library)
    yield ours
    ours.close()


class Piecemeal(Backend):
    """Stands before a backend, and hands on what it says a few bytes at a time: each piece when the
    one before has been read."""

    def __init__(self, backend):
        super().__init__(None)
        self._backend = backend

    def handle(self, session):
        session.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connect(self._backend.port) as backend:
            threading.Thread(target=_pass_on, args=(session.sock, backend), daemon=True).start()
            while data := backend.recv(1 << 16):
                for start in range(0, len(data), PIECE):
                    session.sock.sendall(data[start : start + PIECE])
                    wait_for(lambda: not unread(session.peer[1], self.port), what="it to be read")


def _pass_on(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class Rig(Live):
    """An agent with one worker: behind `rsa` and `larger` an RSA key is asked for, behind `ec` one
    of another kind, and behind `plain` none. No session is resumed, unless a test says so."""

    def __init__(self, start, socket, environment, ca, identities, backends, keys, own):
        self._own = own
        self.backends, self._ports = backends, {name: free_port() for name in backends}
        self._identities, self._ca, self._keys = identities, ca, keys
        self._status = f"unix:{socket}"
        super().__init__(start(self.text(), env=environment), socket)

    def text(self, **certificates):
        """The configuration; with other certificates for some services."""
        names = {"rsa": "rsa", "larger": "larger", "ec": "ec", "plain": "rsa", **certificates}
        keys = {"session_reuse": "no", "prewarm": 0, **self._keys}
        return config(
            *(
                section(f"certificate {name}", cert=pair.cert, key=pair.key)
                for name, pair in self._identities.items()
            ),
            *(
                service(name, port, self.backends[name].port, self._ca,
                        certificate=names[name], **{**keys, **self._own.get(name, {})})
                for name, port in self._ports.items()
            ),
            agent={"status": self._status, "log_level": "debug"},
        )

    def call(self, name="rsa"):
        return connect(self._ports[name])

    def exchange(self, name):
        with self.call(name) as sock:
            say(sock)


@pytest.fixture
def rig(held, start, short_path, ca, leaf, rsa, larger_rsa, gateway):
    """rig(KEY=value…) starts the agent; `tls` is the backends' version, `in_pieces` has them heard
    piecemeal, the rest is for services, `own` for each by its name.
    Whatever a test has left, in the end none of its signatures waits."""
    identities = {"rsa": rsa, "larger": larger_rsa, "ec": gateway}
    with contextlib.ExitStack() as running:

        def make(tls=None, in_pieces=False, own=None, **keys):
            backends = {
                name: running.enter_context(
                    TlsBackend(echo, leaf, None if name == "plain" else ca, tls=tls)
                )
                for name in ("rsa", "larger", "ec", "plain")
            }
            if in_pieces:
                backends = {
                    name: running.enter_context(Piecemeal(backend))
                    for name, backend in backends.items()
                }
            socket = short_path / "status.sock"
            return Rig(
                start, socket, held.environment(), ca, identities, backends, keys, own or {}
            )

        yield make
        held.release()


def say(sock, text=b"hello"):
    sock.sendall(text)
    assert recv_exact(sock, len(text)) == text


def can_exchange(link):
    try:
        link.exchange("rsa")
        return True
    except (OSError, AssertionError):
        return False


def made(held):
    """The signatures that were made for connections."""
    return [entry for entry in held.made() if entry[1] in ("worker", "worker-hand")]


def wait_to_be_signed(backend, count=1):
    """Waits until the agent has read all that comes before its signature, in the last of so many
    connections: more than 500 bytes, with a certificate."""
    session = backend.wait_sessions(count)[count - 1]
    wait_for(lambda: acknowledged(session.sock) > 500, what="the backend's flight")
    wait_for(lambda: unread(session.peer[1], backend.port) == 0, what="the agent to read it")


def ended(rig, count=1, **fields):
    return rig.agent.wait_logs(count, msg="connection ended", **fields)


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_others_do_not_wait(rig, held, tls):
    link = rig(tls=tls)
    with link.call() as old, link.call("ec") as old_ec:
        say(old)
        say(old_ec)
        held.hold()
        with link.call() as new:
            new.sendall(b"at last")
            held.wait_count(2)
            for _ in range(20):
                say(old)
                say(old_ec)
            link.exchange("ec")
            if tls == "1.3":  # in 1.2 it could still be asked for a signature, and waits its turn
                link.exchange("plain")
            assert held.count() == 2
            held.release()
            assert recv_exact(new, 7) == b"at last"
            say(old)


def test_what_is_cheap_stays_on_the_loop(rig, held):
    link = rig()
    for name in ("rsa", "ec", "plain"):
        link.exchange(name)
    assert made(held) == [("rsa2048", "worker-hand"), ("ecdsa", "worker")]


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_others_do_not_wait_where_the_flight_comes_in_pieces(rig, held, tls):
    """The thread may have begun long before there is something to sign."""
    link = rig(tls=tls, in_pieces=True)
    for name in ("rsa", "ec"):
        link.exchange(name)
    assert made(held) == [("rsa2048", "worker-hand"), ("ecdsa", "worker")]


def test_a_resumed_session_does_not_wait(rig, held):
    link = rig(session_reuse="yes")
    with link.call() as first:
        say(first)  # by then the tickets are here
        held.hold()
        with link.call() as second:
            say(second)
    assert {line["resumed"] for line in ended(link, 2)} == {"no", "yes"}
    assert held.count() == 1


def test_one_signs_at_a_time(rig, held):
    """And each is served in the end."""
    link = rig()
    held.hold()
    with contextlib.ExitStack() as crowd:
        callers = [crowd.enter_context(link.call()) for _ in range(3 * AT_ONCE)]
        for backend_count in range(1, len(callers) + 1):
            link.backends["rsa"].wait_sessions(backend_count)
        held.wait_count(AT_ONCE)
        link.exchange("ec")
        link.hang_up()  # nor does the control plane wait, which reads its files in other threads
        wait_for(lambda: len(link.outcomes()) > 0, what="a reload")
        assert held.count() == AT_ONCE
        held.release()
        for sock in callers:
            say(sock)
    assert held.count() == len(callers)


def test_a_service_does_not_wait_for_all_of_another(rig, held):
    link = rig()
    held.hold()
    with contextlib.ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(link.call())
        link.backends["rsa"].wait_sessions(CROWD)
        held.wait_count(AT_ONCE)
        with link.call("larger") as sock:
            wait_to_be_signed(link.backends["larger"])
            while held.count("rsa3072") == 0:
                assert held.count("rsa2048") < CROWD // 2
                begun = held.count()
                held.let(1)
                held.wait_count(begun + 1)
            held.release()
            say(sock)


def test_a_caller_does_not_wait_for_sessions_that_nobody_waits_for(rig, held):
    """Not even for those of the same service that were begun first."""
    ahead = 20
    link = rig(own={"larger": {"prewarm": ahead}})
    held.wait_count(ahead)
    wait_for(lambda: link.service("larger")["warm"]["ready"] == ahead, what="them to be ready")
    held.hold()
    with contextlib.ExitStack() as crowd:
        for _ in range(ahead):
            say(crowd.enter_context(link.call("larger")))
        held.wait_count(ahead + AT_ONCE)
        link.backends["larger"].wait_sessions(2 * ahead)
        with link.call("larger") as sock:
            sock.sendall(b"hello")
            wait_to_be_signed(link.backends["larger"], 2 * ahead + 1)
            while not is_readable(sock):
                begun = held.count()
                assert begun < ahead + ahead // 2
                held.let(1)
                held.wait_count(begun + 1)
            assert recv_exact(sock, 5) == b"hello"
            held.release()


def test_a_caller_leaves_while_it_is_signed_for(rig, held):
    link = rig()
    held.hold()
    callers = [link.call() for _ in range(AT_ONCE + 2)]
    held.wait_count(AT_ONCE)
    for sock in callers:
        reset(sock)
    ended(link, len(callers), reason="caller_closed")
    held.release()
    link.exchange("rsa")
    assert held.count() == AT_ONCE + 1  # those that only waited were taken out


def test_the_time_for_the_handshake_goes_on(rig, held):
    link = rig(handshake_timeout="2s")
    held.hold()
    with contextlib.ExitStack() as crowd:
        callers = [crowd.enter_context(link.call()) for _ in range(AT_ONCE + 1)]
        for sock in callers:
            expect_reset(sock)
    for line in ended(link, len(callers)):
        assert line["reason"] == "limit_reached"  # the network and the backend did their part
        assert f"within 2000 ms: this host is behind with signing; {ADVICE}" in line["detail"]
    assert held.count() == AT_ONCE
    held.release()
    link.exchange("rsa")


def test_the_backend_leaves_while_it_is_signed_for(rig, held):
    link = rig()
    held.hold()
    with link.call() as sock:
        held.wait_count(1)
        reset(link.backends["rsa"].sessions[0].sock)
        held.release()
        expect_reset(sock)
    assert ended(link)[0]["reason"] == "upstream_reset"
    link.exchange("rsa")


def test_a_reload_while_it_is_signed_for(rig, held):
    """It begins anew, with the certificate that is used now."""
    link = rig(retire="drain")
    held.hold()
    with contextlib.ExitStack() as crowd:
        callers = [crowd.enter_context(link.call()) for _ in range(AT_ONCE + 1)]
        held.wait_count(AT_ONCE)
        link.apply(link.text(rsa="ec"))
        for sock in callers:
            say(sock)
    held.release()
    link.exchange("larger")


@pytest.mark.parametrize("count", [1, AT_ONCE + 3])
def test_a_stop_while_it_is_signed_for(rig, held, count):
    link = rig()
    held.hold()
    with contextlib.ExitStack() as crowd:
        callers = [crowd.enter_context(link.call()) for _ in range(count)]
        held.wait_count(min(count, AT_ONCE))
        link.agent.signal(SIGTERM)
        ended(link, count, reason="shutting_down")
        for sock in callers:
            expect_reset(sock)
        held.release()
        assert link.agent.wait() == 1  # not all could end as they wanted
    assert held.count() == min(count, AT_ONCE)


def test_only_so_many_wait(rig, held):
    link = rig()
    held.hold()
    with contextlib.ExitStack() as crowd:
        for _ in range(AT_ONCE + WAITING + 1):
            crowd.enter_context(link.call())
        line = link.agent.wait_log(HANG, msg="connection ended")
        assert line["reason"] == "limit_reached"
        expected = f"{WAITING} handshakes wait for this host to sign them; {ADVICE}"
        assert expected in line["detail"]
        link.exchange("ec")
        assert held.count() == AT_ONCE
        with link.call("larger") as sock:  # its turn comes next
            link.backends["larger"].wait_sessions()
            held.release()
            say(sock)


@pytest.mark.memory
@pytest.mark.skipif(bool(sanitizer()), reason="a sanitizer's shadow memory has no place in it")
def test_out_of_memory(rig):
    """What a crowd has left to one thread's heap is of no use to another's."""
    link = rig()
    link.exchange("rsa")
    text = Path(f"/proc/{link.agent.pid}/status").read_text()
    size = int(re.search(r"VmData:\s+(\d+)", text).group(1)) * 1024
    resource.prlimit(link.agent.pid, resource.RLIMIT_DATA, (size + (1 << 20), -1))
    crowd = [link.call() for _ in range(600)]
    link.agent.wait_log(
        HANG, msg=lambda m: m.startswith("connection"), reason=lambda r: r != "ok"
    )
    for sock in crowd:
        reset(sock)
    wait_for(lambda: can_exchange(link), what="an exchange after the drought")
