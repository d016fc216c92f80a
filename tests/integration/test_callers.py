"""Callers of every kind: those that leave, those that say nothing, those that come in crowds."""

import socket
import threading
import time

import pytest
from harness.agent import config, sanitizer, service
from harness.backends import Backend, TlsBackend, answer_digest, echo, send, stay_silent, swallow
from harness.net import (
    HANG,
    Sender,
    connect,
    digest,
    expect_eof,
    expect_no_service,
    expect_reset,
    free_port,
    in_parallel,
    is_readable,
    is_writable,
    payload,
    recv_exact,
    reset,
    unread,
    wait_for,
)

MIB = 1 << 20
both_versions = pytest.mark.parametrize("tls", ["1.2", "1.3"])


def back_to(agent, fds):
    wait_for(lambda: agent.fds() <= fds, what=f"{agent.fds()} descriptors to be {fds} again")


@pytest.mark.threads
@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["FIN", "RST"])
def test_connects_and_leaves_600_times(relay, leaf, ca, leave):
    """Descriptors and memory return to the start: what a burst took is given back after it."""
    with TlsBackend(echo, leaf, ca) as backend:
        link = relay(backend, prewarm=0)  # descriptors are counted
        fds, start = link.agent.fds(), link.agent.rss_kib()
        for _ in range(3):
            for _ in range(600):
                leave(link.call())
            back_to(link.agent, fds)
        if not sanitizer():
            # Sessions that were kept would be 1800 times 11 KiB.
            wait_for(lambda: link.agent.rss_kib() - start < 2 * 1024, what="memory to be given back")
        for line in link.agent.all_log(msg="connection ended"):
            assert line["reason"] in ("ok", "caller_closed", "caller_reset"), line
        with link.call() as sock:
            sock.sendall(b"still here")
            assert recv_exact(sock, 10) == b"still here"


@pytest.mark.memory
def test_comes_and_goes_600_times(relay, leaf, ca):
    """One after the other, so that nothing is kept for a peak: memory is flat to the page."""
    with TlsBackend(echo, leaf, ca) as backend:
        link = relay(backend, prewarm=0)  # descriptors are counted
        fds = link.agent.fds()

        def come_and_go():
            with link.call() as sock:
                sock.sendall(b"x")
                assert recv_exact(sock, 1) == b"x"
                sock.shutdown(socket.SHUT_WR)
                assert expect_eof(sock) == b""

        for _ in range(100):
            come_and_go()
        back_to(link.agent, fds)
        warm = link.agent.rss_kib()
        for _ in range(500):
            come_and_go()
        back_to(link.agent, fds)
        assert sanitizer() or link.agent.rss_kib() - warm < 256


def test_resets_before_tls_is_up(relay):
    """The backend is silent; the caller's end must not wait for the handshake's deadline."""
    with Backend(stay_silent) as backend:
        link = relay(backend, handshake_timeout="20s")
        sock = link.call()
        backend.wait_sessions()
        reset(sock)
        line = link.ended(timeout=5, side="local")
        assert line["reason"] in ("caller_closed", "caller_reset"), line
        backend.wait_over()


def test_closes_before_tls_is_up(relay):
    """A FIN alone may be a half-close, whose answer is still awaited: the deadline decides."""
    with Backend(stay_silent) as backend:
        link = relay(backend, handshake_timeout="800ms")
        with link.call():
            backend.wait_sessions()
        line = link.ended(timeout=5)
        assert line["reason"] in ("caller_closed", "handshake_timeout"), line
        backend.wait_over()


@both_versions
def test_leaves_before_a_late_answer_without_a_goodbye(relay, leaf, ca, tls):
    """Nobody is left to deliver to: the connection ends at once, not after close_timeout, and the
    backend's missing close_notify is not what went wrong."""
    asked, left = threading.Event(), threading.Event()

    def is_open():
        return unread(link.port, caller) is not None

    def handler(connection):
        assert connection.read_exact(8) == b"question"
        asked.set()
        assert left.wait(HANG)
        connection.write(payload(10_000))
        wait_for(lambda: not is_open(), what="the agent to learn that nobody takes that")
        connection.fin()
        connection.wait_closed()

    with TlsBackend(handler, leaf, ca, tls=tls) as backend:
        link = relay(backend, close_timeout="20s")
        with link.call() as sock:
            caller = sock.getsockname()[1]
            sock.sendall(b"question")
            assert asked.wait(HANG)
        left.set()
        link.ended(timeout=5, reason="caller_reset", side="local")


def test_never_sends(relay, leaf, ca):
    """The backend's silence and the caller's are no failure; both hear of the other's end."""
    with TlsBackend(swallow, leaf, ca) as backend:
        link = relay(backend)
        with link.call() as sock:
            wait_for(lambda: backend.sessions and backend.sessions[0].handshaken.is_set())
            assert not is_readable(sock, 0.3)
        line = link.ended(reason="ok")
        assert (line["sent"], line["received"]) == ("0", "0")


def test_never_sends_and_the_idle_limit_ends_it(relay, leaf, ca):
    with TlsBackend(swallow, leaf, ca) as backend:
        link = relay(backend, idle_timeout="500ms")
        expect_no_service(link.port)
        link.ended(reason="idle_timeout")


def test_never_reads_and_leaves(relay, leaf, ca):
    """What it has not read goes with it, and the backend hears of it."""
    with TlsBackend(send(payload(32 * MIB)), leaf, ca) as backend:
        link = relay(backend, prewarm=0)  # descriptors are counted
        fds = link.agent.fds()
        with link.call() as sock:
            wait_for(lambda: is_readable(sock), what="the first bytes")
        # Closing with unread bytes is a reset, by the kernel's rules.
        link.ended(reason="caller_reset")
        assert backend.wait_over()[0].error is not None
        back_to(link.agent, fds)


class Gate:
    """A TLS backend whose handshakes wait until it is opened."""

    def __init__(self, handler, leaf, ca):
        self.opened = threading.Event()
        self.backend = TlsBackend(handler, leaf, ca)
        handle = self.backend.handle

        def wait_and_handle(session):
            assert self.opened.wait(HANG)
            handle(session)

        self.backend.handle = wait_and_handle

    def __enter__(self):
        self.backend.__enter__()
        return self

    def __exit__(self, *args):
        self.opened.set()
        self.backend.__exit__(*args)


@pytest.mark.memory
@pytest.mark.parametrize("size", [10, 16 * MIB])
def test_sends_before_tls_is_up(relay, leaf, ca, size):
    """What comes early waits, in a bounded place and in order, and leaves when the backend has
    passed."""
    data = payload(size)
    with Gate(answer_digest, leaf, ca) as gate:
        link = relay(gate.backend, handshake_timeout="20s")
        with link.call() as sock:
            gate.backend.wait_sessions()
            before = link.agent.rss_kib()
            sender = Sender(sock, data, half_close=True)
            if size > MIB:
                wait_for(lambda: not is_writable(sock, 0.3), what="the caller to be held back")
                assert sanitizer() or link.agent.rss_kib() - before < 4096
            else:
                sender.finish()
            assert not is_readable(sock, 0.2)
            gate.opened.set()
            assert expect_eof(sock).decode() == digest(data)
            sender.finish()
        link.ended(reason="ok")


def test_what_came_early_never_reaches_a_stranger(relay, other_ca, ca):
    leaf = other_ca.issue("localhost", dns=["localhost"])
    with TlsBackend(swallow, leaf, ca) as backend:
        link = relay(backend)
        expect_no_service(link.port, b"secret")
        line = link.ended(reason="cert_untrusted", side="we_refused")
        assert line.get("sent", "0") == "0"
        assert backend.wait_over()[0].received == 0


@pytest.mark.parametrize("data", [b"", b"question"], ids=["nothing", "a question"])
def test_half_closes_at_once(relay, leaf, ca, data):
    """Before TLS is up. The backend that answers after the end of the question is heard."""
    with TlsBackend(answer_digest, leaf, ca) as backend:
        link = relay(backend)
        with link.call() as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            assert expect_eof(sock).decode() == digest(data)
        link.ended(reason="ok")


def test_half_closes_at_once_and_the_backend_is_refused(relay, ca, other_ca):
    """A refusal is a reset for one who has already half-closed, too."""
    leaf = other_ca.issue("localhost", dns=["localhost"])
    with TlsBackend(swallow, leaf, ca) as backend:
        link = relay(backend)
        with link.agent.stopped():
            sock = link.call()
            sock.sendall(b"question")
            sock.shutdown(socket.SHUT_WR)
        with sock:
            assert expect_reset(sock) == b""
        link.ended(reason="cert_untrusted")


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 4])
def test_beyond_max_connections(relay, leaf, ca, workers):
    """The limit is the service's, over all workers: one too many is reset at once, those within go
    on, and a place that falls free is given away."""
    with TlsBackend(echo, leaf, ca) as backend:
        # Without warm sessions, since it counts who is dialled for.
        link = relay(backend, max_connections=20, prewarm=0, agent={"workers": workers})

        def word(sock, text=b"word"):
            sock.sendall(text)
            assert recv_exact(sock, len(text)) == text

        within = [link.call() for _ in range(20)]
        for sock in within:
            word(sock)
        begun = time.monotonic()
        for _ in range(30):
            expect_no_service(link.port)
        assert time.monotonic() - begun < HANG / 3
        for sock in within:
            word(sock, b"still")
        line = link.ended(reason="limit_reached")
        assert line["side"] == "local"
        assert len(backend.sessions) == 20  # none of the others was dialled for
        within.pop().close()
        link.ended(reason="ok")
        with link.call() as sock:
            word(sock)
        for sock in within:
            sock.close()


@pytest.mark.threads
def test_a_thousand_at_once(relay, leaf, ca):
    """All are served: the queue in the kernel is long enough for such a burst."""
    with TlsBackend(echo, leaf, ca) as backend:
        slow = {"connect_timeout": "30s", "handshake_timeout": "30s"}
        link = relay(backend, **slow, prewarm=0, agent={"workers": 2})  # descriptors are counted
        fds = link.agent.fds()

        def exchange(i):
            with link.call() as sock:
                data = payload(100, i)
                sock.sendall(data)
                assert recv_exact(sock, 100) == data

        in_parallel([lambda i=i: exchange(i) for i in range(1000)])
        for line in link.agent.wait_logs(1000, HANG, msg="connection ended"):
            assert line["reason"] == "ok"
        back_to(link.agent, fds)


def test_the_line_names_the_caller(relay, leaf, ca):
    with TlsBackend(echo, leaf, ca) as backend:
        link = relay(backend)
        with link.call() as sock:
            name = "%s:%d" % sock.getsockname()
            sock.sendall(b"12345")
            recv_exact(sock, 5)
        line = link.ended(reason="ok")
        assert line["service"] == "backend"
        assert line["caller"] == name
        assert line["upstream"] == f"127.0.0.1:{backend.port}"
        assert line["tls"] == "1.3"
        assert line["cipher"] in ("AES-128-GCM", "AES-256-GCM")  # the backend's choice
        assert (line["sent"], line["received"]) == ("5", "5")
        assert line["resumed"] == "no"
        assert "detail" not in line


def test_ipv6_callers(start, leaf, gateway, ca):
    port = free_port()
    with TlsBackend(echo, leaf, ca) as backend:
        agent = start(
            config(
                service("backend", f"[::1]:{port}", backend.port, ca),
                certificate=gateway,
            )
        )
        with connect(port, host="::1") as sock:
            sock.sendall(b"six")
            assert recv_exact(sock, 3) == b"six"
        assert agent.ended(reason="ok")["caller"].startswith("[::1]:")


def test_urgent_data_does_no_harm(relay, leaf, ca):
    """A byte out of band is not part of the stream; what is around it arrives."""
    with TlsBackend(answer_digest, leaf, ca) as backend:
        with relay(backend).call() as sock:
            sock.sendall(b"before")
            sock.send(b"!", socket.MSG_OOB)
            sock.sendall(b"after")
            sock.shutdown(socket.SHUT_WR)
            assert expect_eof(sock).decode() == digest(b"beforeafter")
