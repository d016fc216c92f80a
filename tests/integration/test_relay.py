"""The relay: every byte once and in order, both ends of a connection in every order, truncation
told from success, and memory that does not grow with what cannot be delivered."""

import socket
import threading
import time

import pytest
from harness.agent import sanitizer
from harness.backends import TlsBackend, answer_digest, echo, send, swallow
from harness.net import (
    HANG,
    Sender,
    digest,
    expect_eof,
    expect_reset,
    in_parallel,
    is_readable,
    payload,
    recv_all,
    recv_exact,
    reset,
    wait_for,
)

MIB = 1 << 20
both_versions = pytest.mark.parametrize("tls", ["1.2", "1.3"])


def seconds(line):
    return float(line["duration"])


# Byte-exact


@both_versions
def test_64_mib_to_the_backend(relay, leaf, ca, tls):
    data = payload(64 * MIB)
    with TlsBackend(answer_digest, leaf, ca, tls=tls) as backend:
        link = relay(backend)
        with link.call() as sock:
            sender = Sender(sock, data, half_close=True)
            assert expect_eof(sock).decode() == digest(data)
            sender.finish()
        line = link.ended(reason="ok")
        assert (line["sent"], line["received"]) == (str(64 * MIB), "64")


@both_versions
def test_64_mib_to_the_caller(relay, leaf, ca, tls):
    data = payload(64 * MIB)
    with TlsBackend(send(data), leaf, ca, tls=tls) as backend:
        link = relay(backend)
        with link.call() as sock:
            assert digest(expect_eof(sock)) == digest(data)
        line = link.ended(reason="ok")
        assert (line["sent"], line["received"]) == ("0", str(64 * MIB))


@pytest.mark.threads
@both_versions
def test_24_mib_both_ways_at_once(relay, leaf, ca, tls):
    up, down = payload(24 * MIB, "up"), payload(24 * MIB, "down")
    heard = []

    def handler(connection):
        writer = connection.begin_write(down)
        heard.append(digest(connection.read_all()))
        writer.join(HANG)
        connection.close_notify()

    with TlsBackend(handler, leaf, ca, tls=tls) as backend:
        link = relay(backend)
        with link.call() as sock:
            sender = Sender(sock, up, half_close=True)
            assert digest(expect_eof(sock)) == digest(down)
            sender.finish()
        assert heard == [digest(up)]
        line = link.ended(reason="ok")
        assert (line["sent"], line["received"]) == (str(24 * MIB), str(24 * MIB))


@both_versions
def test_one_byte_writes(relay, leaf, ca, tls):
    data = payload(3000)

    def handler(connection):
        while byte := connection.read(1):
            connection.write(byte)
        connection.close_notify()

    with TlsBackend(handler, leaf, ca, tls=tls) as backend:
        with relay(backend).call() as sock:
            sender = Sender(sock, data, piece=1, half_close=True)
            assert expect_eof(sock) == data
            sender.finish()


def test_one_byte_at_a_time_and_back(relay, leaf, ca):
    """Each byte goes there and back before the next: nothing waits for company."""
    with TlsBackend(echo, leaf, ca) as backend, relay(backend).call() as sock:
        begun = time.monotonic()
        for byte in payload(300):
            sock.sendall(bytes([byte]))
            assert recv_exact(sock, 1) == bytes([byte])
        assert time.monotonic() - begun < HANG / 3  # 40 ms each would be a delayed acknowledgement


# Who closes first


def word(sock, text):
    sock.sendall(text)
    assert recv_exact(sock, len(text)) == text


def by_order(connection):
    """Echoes one word, which says what is to come, and then does its part of it."""
    order = connection.read_exact(1)
    connection.write(order)
    ORDERS[order][1](connection)


def caller_closes_first(sock):
    sock.shutdown(socket.SHUT_WR)
    assert expect_eof(sock) == b""


def backend_follows(connection):
    assert connection.read_all() == b""
    connection.close_notify()


def caller_follows(sock):
    assert expect_eof(sock) == b""


def backend_closes_first(connection):
    connection.close_notify()
    assert connection.wait_closed() == "close_notify"


def caller_half_closes(sock):
    sock.sendall(b"q" * 10_000)
    sock.shutdown(socket.SHUT_WR)
    assert expect_eof(sock) == b"a" * 100_000


def backend_answers_late(connection):
    assert connection.read_all() == b"q" * 10_000
    connection.write(b"a" * 100_000)
    connection.close_notify()


def caller_goes_on(sock):
    assert expect_eof(sock) == b""
    sock.sendall(b"m" * 100_000)


def backend_half_closes(connection):
    connection.close_notify()
    assert connection.read_all() == b"m" * 100_000


def caller_resets(sock):
    reset(sock)


def backend_sees_an_abort(connection):
    assert connection.wait_closed() in ("eof", "reset")


def caller_is_reset(sock):
    assert expect_reset(sock) == b""


def backend_resets(connection):
    connection.reset()


def both_close(sock):
    sock.shutdown(socket.SHUT_WR)
    assert expect_eof(sock) == b""


def backend_closes_too(connection):
    connection.close_notify()
    connection.wait_closed()


ORDERS = {
    b"c": (caller_closes_first, backend_follows, "ok"),
    b"b": (caller_follows, backend_closes_first, "ok"),
    b"2": (both_close, backend_closes_too, "ok"),
    b"l": (caller_half_closes, backend_answers_late, "ok"),
    b"h": (caller_goes_on, backend_half_closes, "ok"),
    b"r": (caller_resets, backend_sees_an_abort, "caller_reset"),
    b"R": (caller_is_reset, backend_resets, "upstream_reset"),
}


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 4])
def test_200_connections_in_every_order_of_closing(relay, leaf, ca, workers):
    orders = [list(ORDERS)[i % len(ORDERS)] for i in range(200)]
    all_open = threading.Barrier(len(orders), timeout=2 * HANG)

    def exchange(order):
        with link.call() as sock:
            word(sock, order)
            all_open.wait()
            ORDERS[order][0](sock)

    with TlsBackend(by_order, leaf, ca) as backend:
        agent = {"workers": workers, "log_level": "debug"}
        link = relay(backend, prewarm=0, agent=agent)  # descriptors are counted
        before = link.agent.fds()
        in_parallel([lambda order=order: exchange(order) for order in orders])
        lines = link.agent.wait_logs(len(orders), HANG, msg="connection ended")
        errors = [session.error for session in backend.wait_over(len(orders)) if session.error]
        assert errors == []
        for reason in {row[2] for row in ORDERS.values()}:
            expected = sum(ORDERS[order][2] == reason for order in orders)
            assert sum(line["reason"] == reason for line in lines) == expected, reason
        wait_for(lambda: link.agent.fds() <= before, what="the descriptors to be back")


@both_versions
@pytest.mark.parametrize("order", list(ORDERS), ids=lambda order: order.decode())
def test_each_order_of_closing(relay, leaf, ca, tls, order):
    with TlsBackend(by_order, leaf, ca, tls=tls) as backend:
        link = relay(backend)
        with link.call() as sock:
            word(sock, order)
            ORDERS[order][0](sock)
        link.ended(reason=ORDERS[order][2])
        assert backend.wait_over()[0].error is None


def test_a_late_answer_after_half_close(relay, leaf, ca):
    """The caller's end of file reaches the backend at once, and the way back stays open until the
    backend is ready."""
    asked, go = threading.Event(), threading.Event()

    def handler(connection):
        assert connection.read_all() == b"question"
        asked.set()
        assert go.wait(HANG)
        connection.write(b"answer")
        connection.close_notify()

    with TlsBackend(handler, leaf, ca) as backend, relay(backend).call() as sock:
        sock.sendall(b"question")
        sock.shutdown(socket.SHUT_WR)
        assert asked.wait(HANG)
        assert not is_readable(sock, 0.3)
        go.set()
        assert expect_eof(sock) == b"answer"


@both_versions
def test_the_server_speaks_first(relay, leaf, ca, tls):
    def handler(connection):
        connection.write(b"220 ready\r\n")
        echo(connection)

    with TlsBackend(handler, leaf, ca, tls=tls) as backend, relay(backend).call() as sock:
        assert recv_exact(sock, 11) == b"220 ready\r\n"
        word(sock, b"EHLO")


@both_versions
def test_the_caller_sends_on_after_the_backends_close_notify(relay, leaf, ca, tls):
    data, heard = payload(4 * MIB), []

    def handler(connection):
        connection.write(b"done")
        connection.close_notify()
        heard.append(connection.read_all())

    with TlsBackend(handler, leaf, ca, tls=tls) as backend:
        link = relay(backend)
        with link.call() as sock:
            assert expect_eof(sock) == b"done"
            sock.sendall(data)
        link.ended(reason="ok")
        wait_for(lambda: data in heard, what="all of it at the backend")


# Deadlines


def test_idle_timeout(relay, leaf, ca):
    with TlsBackend(echo, leaf, ca) as backend:
        link = relay(backend, idle_timeout="400ms")
        with link.call() as sock:
            word(sock, b"hello")
            assert expect_reset(sock) == b""
        line = link.ended(reason="idle_timeout", side="network")
        assert 0.4 <= seconds(line) < 5
        assert backend.wait_over()[0].error is not None  # no clean close_notify


@pytest.mark.parametrize("speaker", ["caller", "backend"])
def test_a_byte_either_way_is_not_idle(relay, leaf, ca, speaker):
    """One side alone, speaking for three times the timeout, keeps the connection."""
    pace = threading.Event()

    def speak(write):
        for _ in range(15):
            write(b".")
            pace.wait(0.1)  # the rate of the traffic, not a wait for anything

    def handler(connection):
        if speaker == "backend":
            speak(connection.write)
            connection.close_notify()
        else:
            connection.write(connection.read_exact(15))
            connection.read_all()
            connection.close_notify()
        connection.wait_closed()

    with TlsBackend(handler, leaf, ca) as backend:
        link = relay(backend, idle_timeout="500ms")
        with link.call() as sock:
            if speaker == "caller":
                speak(sock.sendall)
            assert recv_exact(sock, 15) == b"." * 15
        assert seconds(link.ended(reason="ok")) > 1.0


def test_close_timeout_after_the_callers_end(relay, leaf, ca):
    def handler(connection):
        connection.read_all()
        connection.session.released.wait()

    with TlsBackend(handler, leaf, ca) as backend:
        link = relay(backend, close_timeout="400ms")
        with link.call() as sock:
            sock.sendall(b"bye")
            sock.shutdown(socket.SHUT_WR)
            assert expect_reset(sock) == b""
        line = link.ended(reason="close_timeout", side="network")
        assert 0.4 <= seconds(line) < 5


def test_close_timeout_is_total_and_not_per_byte(relay, leaf, ca):
    """A backend that goes on for ever after the caller's end is not slow: it does not finish."""

    def handler(connection):
        assert connection.read_all() == b"bye"
        while not connection.session.released.wait(0.05):
            connection.write(b".")

    with TlsBackend(handler, leaf, ca) as backend:
        link = relay(backend, close_timeout="2s")
        with link.call() as sock:
            sock.sendall(b"bye")
            sock.shutdown(socket.SHUT_WR)
            assert set(expect_reset(sock)) == {ord(".")}
        assert 2 <= seconds(link.ended(reason="close_timeout")) < 3.8


def test_close_timeout_after_the_backends_end(relay, leaf, ca):
    """The caller has had a clean end by then, and keeps its side open for ever."""

    def handler(connection):
        connection.write(b"all")
        connection.close_notify()
        connection.wait_closed()

    with TlsBackend(handler, leaf, ca) as backend:
        link = relay(backend, close_timeout="400ms")
        with link.call() as sock:
            assert recv_exact(sock, 3) == b"all"
            line = link.ended(reason="close_timeout")
            assert 0.4 <= seconds(line) < 5


def read_steadily(sock, read, total, seconds):
    """Reads `total` bytes at a pace that takes so long, its kernel holding little of them."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    pieces, pace = [], threading.Event()
    while (got := sum(map(len, pieces))) < total:
        piece = read(min(64 * 1024, total - got))
        if not piece:
            break
        pieces.append(piece)
        pace.wait(seconds * len(piece) / total)
    return b"".join(pieces)


def test_close_timeout_does_not_hurry_a_slow_reader(relay, leaf, ca):
    """What the backend said before its end is still being taken: that is not waiting for nothing."""
    answer = payload(5 * MIB)

    def handler(connection):
        connection.write(answer)
        connection.close_notify()
        connection.wait_closed()

    with TlsBackend(handler, leaf, ca) as backend:
        link = relay(backend, close_timeout="500ms")
        with link.call() as sock:
            assert read_steadily(sock, sock.recv, len(answer), seconds=2.5) == answer
            assert expect_eof(sock) == b""


def test_close_timeout_does_not_hurry_a_slow_backend(relay, leaf, ca):
    request, got = payload(5 * MIB), []

    def handler(connection):
        got.append(read_steadily(connection.sock, connection.read, len(request), seconds=2.5))
        assert connection.read_all() == b""
        connection.write(b"thanks")
        connection.close_notify()

    with TlsBackend(handler, leaf, ca) as backend:
        link = relay(backend, close_timeout="500ms")
        with link.call() as sock:
            sender = Sender(sock, request, half_close=True)
            assert recv_exact(sock, 6) == b"thanks"
            sender.finish()
        assert got == [request]


def test_close_timeout_does_not_take_the_answer_from_a_slow_reader(relay, leaf, ca):
    """The backend has said all, and the kernel has it: that we let go does not make it less."""
    answer = payload(MIB // 2)

    def handler(connection):
        connection.write(answer)
        connection.close_notify()
        connection.wait_closed()

    with TlsBackend(handler, leaf, ca) as backend:
        link = relay(backend, close_timeout="300ms")
        with link.call() as sock:
            link.ended(reason="close_timeout")
            assert expect_eof(sock) == answer


def test_max_lifetime(relay, leaf, ca):
    """Ends a connection in full traffic."""

    def handler(connection):
        while True:
            connection.write(bytes(10_000))

    with TlsBackend(handler, leaf, ca) as backend:
        link = relay(backend, max_lifetime="600ms")
        with link.call() as sock:
            assert len(expect_reset(sock)) > 0
        line = link.ended(reason="lifetime_reached", side="local")
        assert 0.6 <= seconds(line) < 5


# Truncation


def ends_without_goodbye(connection):
    connection.write(b"half of the tru")
    connection.fin()
    connection.wait_closed()


@both_versions
def test_truncation_is_a_reset(relay, leaf, ca, tls):
    with TlsBackend(ends_without_goodbye, leaf, ca, tls=tls) as backend:
        link = relay(backend)
        with link.call() as sock:
            assert expect_reset(sock) == b"half of the tru"
        line = link.ended(reason="upstream_truncated", side="network")
        assert line["received"] == "15"


@both_versions
def test_truncation_as_eof(relay, leaf, ca, tls):
    with TlsBackend(ends_without_goodbye, leaf, ca, tls=tls) as backend:
        link = relay(backend, truncation="eof")
        with link.call() as sock:
            assert expect_eof(sock) == b"half of the tru"
        link.ended()


def test_truncation_as_eof_does_not_excuse_a_reset(relay, leaf, ca):
    def handler(connection):
        connection.write(b"half")
        connection.read_exact(2)
        connection.reset()

    with TlsBackend(handler, leaf, ca) as backend:
        link = relay(backend, truncation="eof")
        with link.call() as sock:
            assert recv_exact(sock, 4) == b"half"
            sock.sendall(b"ok")
            assert expect_reset(sock) == b""
        link.ended(reason="upstream_reset")


@both_versions
def test_a_truncated_large_answer_is_delivered_up_to_its_end(relay, leaf, ca, tls):
    data = payload(8 * MIB)

    def handler(connection):
        connection.write(data)
        connection.fin()
        connection.wait_closed()

    with TlsBackend(handler, leaf, ca, tls=tls) as backend:
        with relay(backend).call() as sock:
            assert digest(expect_reset(sock)) == digest(data)


@both_versions
def test_the_backend_resets_after_an_answer(relay, leaf, ca, tls):
    data = payload(MIB)

    def handler(connection):
        connection.write(data)
        connection.read_exact(2)
        connection.reset()

    with TlsBackend(handler, leaf, ca, tls=tls) as backend:
        link = relay(backend)
        with link.call() as sock:
            assert recv_exact(sock, len(data)) == data
            sock.sendall(b"ok")
            assert expect_reset(sock) == b""
        link.ended(reason="upstream_reset", side="network")


@pytest.mark.threads
def test_the_backend_resets_in_the_middle(relay, leaf, ca):
    """What comes before the reset is a part of the answer, unspoilt."""
    data = payload(16 * MIB)

    def handler(connection):
        connection.write(data[: 8 * MIB])
        connection.reset()

    with TlsBackend(handler, leaf, ca) as backend:
        link = relay(backend)
        with link.call() as sock:
            got = expect_reset(sock)
        assert data.startswith(got)
        link.ended(reason="upstream_reset", side="network")


@both_versions
def test_the_caller_resets_in_the_middle(relay, leaf, ca, tls):
    """The backend must not take an abort for a complete request."""
    seen = []

    def handler(connection):
        connection.write(connection.read_exact(1))
        seen.append(connection.wait_closed())

    with TlsBackend(handler, leaf, ca, tls=tls) as backend:
        link = relay(backend)
        with link.call() as sock:
            word(sock, b"1")
            sock.sendall(payload(MIB))
            reset(sock)
        link.ended(reason="caller_reset", side="local")
        backend.wait_over()
        assert seen[0] in ("eof", "reset")


def test_the_caller_resets_while_the_backend_sends(relay, leaf, ca):
    def handler(connection):
        while True:
            connection.write(bytes(100_000))

    with TlsBackend(handler, leaf, ca) as backend:
        link = relay(backend)
        with link.call() as sock:
            recv_exact(sock, MIB)
            reset(sock)
        link.ended(reason="caller_reset", side="local")
        assert isinstance(backend.wait_over()[0].error, OSError)


@both_versions
def test_a_forged_record_is_a_reset(relay, leaf, ca, tls):
    """Ciphertext that was tampered with: nothing after it, and no clean end."""

    def handler(connection):
        connection.write(b"good")
        connection.sock.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        connection.wait_closed()

    with TlsBackend(handler, leaf, ca, tls=tls) as backend:
        link = relay(backend)
        with link.call() as sock:
            assert expect_reset(sock) == b"good"
        link.ended(reason="tls_protocol", side="we_refused")


# Backpressure


def settled(count):
    """Waits until a count has stopped growing for half a second, and returns it."""
    last, since = count(), time.monotonic()

    def is_settled():
        nonlocal last, since
        if count() != last:
            last, since = count(), time.monotonic()
        return last and time.monotonic() - since > 0.5

    wait_for(is_settled, what="the sender to be stopped")
    return last


@pytest.mark.memory
def expect_flat(agent, before_kib):
    """A sanitizer's allocator keeps what was freed: only plain builds are held to the figure."""
    if not sanitizer():
        assert agent.rss_kib() - before_kib < 8 * 1024


class Flood:
    """A backend that sends one block after the other until told to stop."""

    block = payload(MIB)

    def __init__(self):
        self.blocks, self.stop = 0, threading.Event()

    def __call__(self, connection):
        connection.write(connection.read_exact(1))
        while not self.stop.is_set() and not connection.session.released.is_set():
            connection.write(self.block)
            self.blocks += 1
        connection.close_notify()


@pytest.mark.threads
def test_a_caller_that_never_reads_stops_the_backend(relay, leaf, ca):
    flood = Flood()
    with TlsBackend(flood, leaf, ca) as backend:
        link = relay(backend)
        with link.call() as sock:
            before = link.agent.rss_kib()
            sock.sendall(b"x")
            assert settled(lambda: flood.blocks) < 100
            expect_flat(link.agent, before)
            flood.stop.set()
            answer = expect_eof(sock)
        assert digest(answer) == digest(b"x" + flood.block * flood.blocks)
        link.ended(reason="ok")


@pytest.mark.threads
def test_a_backend_that_never_reads_stops_the_caller(relay, leaf, ca):
    read_now = threading.Event()
    data = payload(128 * MIB)

    def handler(connection):
        connection.write(b"x")
        assert read_now.wait(4 * HANG)
        answer_digest(connection)

    with TlsBackend(handler, leaf, ca) as backend:
        link = relay(backend)
        with link.call() as sock:
            assert recv_exact(sock, 1) == b"x"
            before = link.agent.rss_kib()
            sender = Sender(sock, data, half_close=True)
            assert settled(lambda: sender.sent) < 100 * MIB
            expect_flat(link.agent, before)
            read_now.set()
            assert recv_all(sock).decode() == digest(data)
            sender.finish()
        link.ended(reason="ok")


@pytest.mark.memory
def test_fifty_callers_that_never_read(relay, leaf, ca):
    """Memory is bounded for each connection, not only for one."""
    flood = Flood()
    with TlsBackend(flood, leaf, ca) as backend:
        link = relay(backend)
        socks = [link.call() for _ in range(50)]
        for sock in socks:
            sock.sendall(b"x")
        settled(lambda: flood.blocks + sum(s.handshaken.is_set() for s in backend.sessions))
        if not sanitizer():
            assert link.agent.rss_kib() < 50 * 1024
        flood.stop.set()
        for sock in socks:
            reset(sock)
        link.agent.wait_logs(50, msg="connection ended")


def test_a_backend_that_swallows_all_is_no_obstacle(relay, leaf, ca):
    """The caller's end comes through as soon as all is delivered."""
    with TlsBackend(swallow, leaf, ca) as backend:
        link = relay(backend)
        with link.call() as sock:
            sender = Sender(sock, payload(4 * MIB), half_close=True)
            assert expect_eof(sock) == b""
            sender.finish()
        assert link.ended(reason="ok")["sent"] == str(4 * MIB)
