"""Backends that misbehave in every way we know: the caller is reset and told nothing, the log says
why, every deadline is total, and another service of the same single worker keeps its latency."""

import contextlib
import socket
import ssl
import threading
import time

import pytest
from harness.agent import config, sanitizer, service
from harness.backends import (
    Backend,
    TlsBackend,
    TlsConnection,
    answer_digest,
    echo,
    send,
    stay_silent,
    swallow,
)
from harness.gnutls import GnutlsBackend
from harness.net import (
    HANG,
    Blackhole,
    Sender,
    connect,
    digest,
    expect_eof,
    expect_no_service,
    expect_reset,
    free_port,
    is_readable,
    is_writable,
    payload,
    recv_exact,
    reset,
    wait_for,
)

MIB = 1 << 20
LATENCY = 1.0  # seconds; far more than a round trip takes, far less than any of the deadlines below
both_versions = pytest.mark.parametrize("tls", ["1.2", "1.3"])


class Neighbour:
    """Round trips through the good service, on an old connection and on new ones, all the time."""

    def __init__(self, port):
        self._port, self._stop = port, threading.Event()
        self.trips, self.worst, self.error = 0, 0.0, None

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_for(lambda: self.trips or self.error, what="the neighbour's first round trip")
        return self

    def _run(self):
        try:
            with connect(self._port) as old:
                while not self._stop.is_set():
                    self._measure(old)
                    with connect(self._port) as new:
                        self._measure(new)
                    self._stop.wait(0.02)  # leaves some of the processor to the others
        except (OSError, AssertionError) as error:
            self.error = error

    def _measure(self, sock):
        begun = time.monotonic()
        sock.sendall(b"ping")
        assert recv_exact(sock, 4) == b"ping"
        self.worst = max(self.worst, time.monotonic() - begun)
        self.trips += 1

    def __exit__(self, kind, *_):
        seen = self.trips
        if kind is None and not self.error:  # it still lives at the end
            wait_for(lambda: self.trips > seen + 1 or self.error, what="the neighbour's last trip")
        self._stop.set()
        self._thread.join(HANG)
        if kind is None:
            assert self.error is None, f"the good service suffered: {self.error!r}"
            assert self.worst < LATENCY * (5 if sanitizer() else 1)


class Pair:
    """An agent with a good service and a bad one."""

    def __init__(self, agent, port):
        self.agent, self.port = agent, port

    def call(self):
        return connect(self.port)

    def ended(self, **fields):
        return self.agent.ended(service="bad", **fields)


@pytest.fixture
def beside(start, ca, leaf, gateway):
    """beside(BACKEND, key=value…): a context in which the bad service leads to that backend, and
    the good one is watched. Each of many failures has its line at log_level = debug."""

    @contextlib.contextmanager
    def run(backend, log_level="info", **keys):
        keys = {"connect_timeout": "5s", "handshake_timeout": "700ms", **keys}
        with TlsBackend(echo, leaf, ca) as good:
            good_port, bad_port = free_port(), free_port()
            bad = backend if isinstance(backend, int) else backend.port
            agent = start(
                config(
                    service("good", good_port, good.port, ca),
                    service("bad", bad_port, bad, ca, **keys),
                    certificate=gateway,
                    agent={"log_level": log_level},
                )
            )
            with Neighbour(good_port):
                yield Pair(agent, bad_port)

    return run


def expect_failure(pair, reasons, side):
    """A caller that speaks at once gets a reset and not one byte; returns the log's line. A side of
    None is any."""
    expect_no_service(pair.port, b"hello")
    line = pair.ended()
    assert line["reason"] in ([reasons] if isinstance(reasons, str) else reasons), line
    assert side in (None, line["side"]), line
    assert line.get("sent", "0") == line.get("received", "0") == "0", line
    return line


# Before TLS


def test_refuses_tcp(beside):
    with beside(free_port()) as pair:
        begun = time.monotonic()
        line = expect_failure(pair, "connect_refused", "network")
        assert time.monotonic() - begun < LATENCY
        assert line["upstream"].startswith("127.0.0.1:")
        assert "tls" not in line


def test_drops_syn(beside):
    with Blackhole() as hole, beside(hole, connect_timeout="800ms") as pair:
        line = expect_failure(pair, "connect_timeout", "network")
        assert 0.8 <= float(line["duration"]) < 3


def test_fifty_connections_to_a_port_that_drops_syn(beside):
    with Blackhole() as hole, beside(hole, "debug", connect_timeout="1500ms") as pair:
        socks = [pair.call() for _ in range(50)]
        for sock in socks:
            assert expect_reset(sock) == b""
            sock.close()
        for line in pair.agent.wait_logs(50, msg="connection ended", service="bad"):
            assert line["reason"] == "connect_timeout"


# In the handshake


def speaks_http(sock):
    sock.recv(1 << 16)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nplain HTTP here\n")
    stay_silent(sock)


def speaks_ssh_first(sock):
    sock.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    stay_silent(sock)


def sends_garbage(sock):
    sock.recv(1 << 16)
    sock.sendall(b"\x00" + payload(5000))
    stay_silent(sock)


def sends_an_oversize_record(sock):
    sock.recv(1 << 16)
    sock.sendall(b"\x16\x03\x03\xff\xff" + payload(70_000))
    stay_silent(sock)


def speaks_sslv2(sock):
    sock.recv(1 << 16)
    sock.sendall(b"\x80\x2e\x04\x00\x01\x00\x02" + payload(41))
    stay_silent(sock)


def resets_in_the_handshake(sock):
    sock.recv(1 << 16)
    reset(sock)


def closes_in_the_handshake(sock):
    sock.recv(1 << 16)
    sock.shutdown(socket.SHUT_WR)
    stay_silent(sock)


def server_hello(version, cipher):
    """A ServerHello of TLS 1.2 or older, with nothing in it but these."""
    body = version + bytes(32) + b"\x00" + cipher + b"\x00"
    message = b"\x02" + len(body).to_bytes(3, "big") + body
    return b"\x16" + version + len(message).to_bytes(2, "big") + message


def answers_with(data):
    def handler(sock):
        sock.recv(1 << 16)
        sock.sendall(data)
        stay_silent(sock)

    return handler


def bytes_too_slowly(sock):
    """The beginning of a handshake as it should be, but slowly."""
    sock.recv(1 << 16)
    pace = threading.Event()
    for byte in server_hello(b"\x03\x03", b"\xc0\x2b"):
        sock.sendall(bytes([byte]))
        pace.wait(0.2)  # five a second: each well within the deadline, all of them never


def alert(number):
    return b"\x15\x03\x03\x00\x02\x02" + bytes([number])


def speaks_first_with(number):
    def handler(sock):
        sock.sendall(alert(number))
        stay_silent(sock)

    return handler


IN_THE_HANDSHAKE = {
    "silence": (stay_silent, "handshake_timeout", "network"),
    "a byte at a time": (bytes_too_slowly, "handshake_timeout", "network"),
    "HTTP": (speaks_http, "not_tls", "network"),
    "SSH banner": (speaks_ssh_first, "not_tls", "network"),
    "garbage": (sends_garbage, "not_tls", "network"),
    "SSLv2": (speaks_sslv2, "not_tls", "network"),
    "reset": (resets_in_the_handshake, "upstream_reset", "network"),
    "end": (closes_in_the_handshake, ("upstream_truncated", "upstream_reset"), "network"),
    "oversize record": (sends_an_oversize_record, ("tls_protocol", "not_tls"), None),
    "alert 40 first": (speaks_first_with(40), "tls_no_common_cipher", "they_refused"),
    "alert 70": (answers_with(alert(70)), "tls_version", "they_refused"),
    "alert 80": (answers_with(alert(80)), "tls_alert", "they_refused"),
    "alert 112": (answers_with(alert(112)), "sni_unrecognized", "they_refused"),
    "alert 255": (answers_with(alert(255)), "tls_alert", "they_refused"),
    "TLS 1.1 chosen": (
        answers_with(server_hello(b"\x03\x02", b"\xc0\x2b")),
        "tls_version",
        "we_refused",
    ),
    "SSL 3 chosen": (
        answers_with(server_hello(b"\x03\x00", b"\xc0\x2b")),
        "tls_version",
        "we_refused",
    ),
    "NULL cipher chosen": (
        answers_with(server_hello(b"\x03\x03", b"\x00\x02")),
        ("tls_no_common_cipher", "tls_protocol"),
        "we_refused",
    ),
    "CBC cipher chosen": (
        answers_with(server_hello(b"\x03\x03", b"\xc0\x09")),
        ("tls_no_common_cipher", "tls_protocol"),
        "we_refused",
    ),
}


@pytest.mark.parametrize("kind", IN_THE_HANDSHAKE)
def test_in_the_handshake(beside, kind):
    handler, reason, side = IN_THE_HANDSHAKE[kind]
    with Backend(handler) as backend, beside(backend) as pair:
        begun = time.monotonic()
        line = expect_failure(pair, reason, side)
        took = time.monotonic() - begun
        assert took < 0.7 + 5 * LATENCY
        assert line["upstream"] == f"127.0.0.1:{backend.port}"
        if reason == "handshake_timeout":
            assert took >= 0.7
        else:
            assert line["detail"], line


def test_fifty_silent_peers(beside):
    with Backend(stay_silent) as backend, beside(backend, "debug", handshake_timeout="1s") as pair:
        socks = [pair.call() for _ in range(50)]
        for sock in socks:
            assert expect_reset(sock) == b""
            sock.close()
        for line in pair.agent.wait_logs(50, msg="connection ended", service="bad"):
            assert line["reason"] == "handshake_timeout"


def test_a_truncated_real_handshake(beside, leaf, ca):
    """A TLS server that stops in the middle of its flight is met by the same total deadline."""

    class Stops(TlsBackend):
        def handle(self, session):
            connection = TlsConnection(session, self.context)
            connection.sock = Trickle(connection.sock)
            connection.handshake()

    with Stops(echo, leaf, ca) as backend, beside(backend) as pair:
        expect_failure(pair, "handshake_timeout", "network")
        assert backend.sessions[0].received == 0


class Trickle:
    """A socket that sends only the first half of what it is given, and then nothing."""

    def __init__(self, sock):
        self.sock, self.done = sock, False

    def sendall(self, data):
        if not self.done:
            self.sock.sendall(data[: len(data) // 2])
        self.done = True

    def __getattr__(self, name):
        return getattr(self.sock, name)


# Nothing in common: a server that speaks only what we do not.


def test_tls_1_1_only(beside, leaf, ca):
    backend = TlsBackend(echo, leaf, ca, tls="1.1", ciphers="ALL:@SECLEVEL=0")
    with backend, beside(backend) as pair:
        expect_failure(pair, "tls_version", "they_refused")


@pytest.mark.parametrize(
    "ciphers",
    ["ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA", "aNULL:@SECLEVEL=0", "eNULL:@SECLEVEL=0"],
    ids=["CBC", "anonymous", "NULL"],
)
def test_bad_ciphers_only(beside, leaf, ca, ciphers):
    backend = TlsBackend(echo, leaf, ca, tls="1.2", ciphers=ciphers)
    with backend, beside(backend) as pair:
        expect_failure(pair, "tls_no_common_cipher", "they_refused")


@pytest.mark.parametrize("keys, tls", [({"tls_min": "1.3"}, "1.2"), ({"tls_max": "1.2"}, "1.3")])
def test_no_common_version(beside, leaf, ca, keys, tls):
    with TlsBackend(echo, leaf, ca, tls=tls) as backend, beside(backend, **keys) as pair:
        expect_failure(pair, "tls_version", "they_refused")


# After the handshake


def test_resets_in_the_middle(beside, leaf, ca):
    data = payload(MIB)

    def handler(connection):
        connection.read_exact(5)
        connection.write(data)
        connection.reset()

    with TlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
        with pair.call() as sock:
            sock.sendall(b"hello")
            assert data.startswith(expect_reset(sock))
        pair.ended(reason="upstream_reset", side="network")


def test_ends_without_close_notify(beside, leaf, ca):
    def handler(connection):
        connection.read_exact(5)
        connection.write(b"half an ans")
        connection.fin()
        connection.wait_closed()

    with TlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
        with pair.call() as sock:
            sock.sendall(b"hello")
            assert expect_reset(sock) == b"half an ans"
        pair.ended(reason="upstream_truncated", side="network")


def test_sends_close_notify_and_keeps_the_connection(beside, leaf, ca):
    """The caller has its clean end at once, and goes; then ours is the one to close."""
    gone = threading.Event()

    def handler(connection):
        connection.write(b"answer")
        connection.close_notify()
        assert connection.wait_closed() == "close_notify"
        gone.set()

    with TlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
        with pair.call() as sock:
            assert expect_eof(sock) == b"answer"
        assert gone.wait(HANG)
        pair.ended(reason="ok")


@both_versions
@pytest.mark.parametrize("number, reason", [(80, "tls_alert"), (20, "tls_protocol")])
def test_an_alert_in_the_middle(beside, leaf, ca, tls, number, reason):
    def handler(connection):
        connection.write(connection.read_exact(5))
        connection.alert(number)
        connection.session.released.wait()

    with GnutlsBackend(handler, leaf, ca, tls=tls) as backend, beside(backend) as pair:
        with pair.call() as sock:
            sock.sendall(b"hello")
            assert expect_reset(sock) == b"hello"
        line = pair.ended(reason=reason, side="they_refused")
        assert str(number) in line["detail"]


def test_warnings_in_tls_1_2(beside, leaf, ca):
    """A warning ends nothing (RFC 5246 section 7.2)."""

    def handler(connection):
        connection.write(connection.read_exact(5))
        connection.alert(90, fatal=False)
        echo(connection)

    with GnutlsBackend(handler, leaf, ca, tls="1.2") as backend, beside(backend) as pair:
        with pair.call() as sock:
            sock.sendall(b"hello")
            assert recv_exact(sock, 5) == b"hello"
            sock.sendall(b"again")
            assert recv_exact(sock, 5) == b"again"
        pair.ended(reason="ok")


def test_floods_warnings(beside, leaf, ca):
    def handler(connection):
        connection.write(b"x")
        for _ in range(20_000):
            connection.alert(90, fatal=False)
        connection.write(b"y")
        connection.close_notify()
        connection.read_all()

    with GnutlsBackend(handler, leaf, ca, tls="1.2") as backend, beside(backend) as pair:
        before = pair.agent.rss_kib()
        with pair.call() as sock:
            with contextlib.suppress(ConnectionError):
                while sock.recv(1):
                    pass
            expect_bounded(pair, before)
        pair.ended()


@both_versions
def test_answers_says_goodbye_and_resets(beside, leaf, ca, tls):
    """As servers do that close with something unread: the answer was complete, so it is one."""
    answer = payload(20_000)

    def handler(connection):
        connection.read_exact(5)
        connection.write(answer)
        connection.close_notify()
        connection.reset()

    with TlsBackend(handler, leaf, ca, tls=tls) as backend, beside(backend) as pair:
        with pair.call() as sock:
            sock.sendall(b"hello")
            assert expect_eof(sock) == answer
        pair.ended()


def test_wants_another_group(beside, leaf, ca):
    """We offer one key share; a HelloRetryRequest (RFC 8446 section 4.1.4) costs a round trip."""
    backend = TlsBackend(echo, leaf, ca, tls="1.3")
    backend.context.set_ecdh_curve("secp384r1")
    with backend, beside(backend) as pair:
        with pair.call() as sock:
            sock.sendall(b"hello")
            assert recv_exact(sock, 5) == b"hello"
        pair.ended(reason="ok")


def test_as_fast_as_it_can(beside, leaf, ca):
    """Bulk in both directions is no reason to make the neighbour wait."""
    data = payload(96 * MIB)

    def handler(connection):
        writer = connection.begin_write(data)
        assert digest(connection.read_all()) == digest(data)
        writer.join(HANG)
        connection.close_notify()

    with TlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
        with pair.call() as sock:
            sender = Sender(sock, data, half_close=True)
            assert digest(expect_eof(sock)) == digest(data)
            sender.finish()
        pair.ended(reason="ok")
        assert backend.sessions[0].error is None


def expect_bounded(pair, before_kib):
    if not sanitizer():
        assert pair.agent.rss_kib() - before_kib < 8 * 1024


@pytest.mark.parametrize("reads", [False, True], ids=["and never reads", "and reads"])
def test_floods_key_updates(beside, leaf, ca, reads):
    """Each asks for an answer. Whether we bear it or end it, it must not grow nor hinder others."""

    def handler(connection):
        connection.write(b"x")
        for _ in range(20_000):
            if connection.session.released.is_set():
                return
            connection.key_update()
            while reads and is_readable(connection.sock):
                connection.read()

    with GnutlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
        with pair.call() as sock:
            assert recv_exact(sock, 1) == b"x"
            before = pair.agent.rss_kib()
            sender = Sender(sock, bytes(MIB))  # our answers ride on what we send
            backend.sessions[0].over.wait(3)
            expect_bounded(pair, before)
            sender.stop()
            reset(sock)
        assert pair.ended()["reason"] in ("tls_protocol", "caller_reset", "upstream_reset")


def test_a_few_key_updates_are_answered(beside, leaf, ca):
    def handler(connection):
        for _ in range(4):
            connection.key_update()
            connection.write(connection.read_exact(1000))
        connection.close_notify()

    with GnutlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
        with pair.call() as sock:
            for seed in range(4):
                sock.sendall(payload(1000, seed))
                assert recv_exact(sock, 1000) == payload(1000, seed)
            assert expect_eof(sock) == b""
        pair.ended(reason="ok")
        assert backend.sessions[0].error is None


def test_floods_tickets(beside, leaf, ca):
    """Tickets are not application data: they are consumed, and what follows them is not lost."""

    def handler(connection):
        for _ in range(2000):
            connection.send_tickets(5)
        connection.write(b"after the flood")
        connection.close_notify()
        connection.read_all()

    with GnutlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
        with pair.call() as sock:
            before = pair.agent.rss_kib()
            assert expect_eof(sock) == b"after the flood"
            expect_bounded(pair, before)
        pair.ended(reason="ok")


@pytest.mark.threads
@pytest.mark.parametrize("half_close", [True, False], ids=["then half-closes", "then waits"])
def test_asks_for_a_key_update_while_our_sending_is_blocked(beside, leaf, ca, half_close):
    """GnuTLS sends the same bytes twice when a record waits half sent at that moment."""
    size = 32 * MIB  # more than all socket buffers on the way hold
    data = payload(size)
    is_blocked, answers = threading.Event(), []

    def handler(connection):
        connection.write(b"x")
        assert is_blocked.wait(HANG)
        connection.key_update()
        connection.write(b"y")
        answers.append(digest(connection.read_all() if half_close else connection.read_exact(size)))
        connection.write(b"z")
        connection.close_notify()

    with GnutlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
        with pair.call() as sock:
            assert recv_exact(sock, 1) == b"x"
            sender = Sender(sock, data, half_close=half_close)
            wait_for(lambda: sender.sent and is_stuck(sock), what="the caller to be blocked")
            is_blocked.set()
            assert expect_eof(sock) == b"yz"
            sender.finish()
        assert answers == [digest(data)]
        pair.ended(reason="ok")
        assert backend.sessions[0].error is None


def is_stuck(sock):
    """True when the socket takes nothing more for a third of a second."""
    return not is_writable(sock, 0.3)


def test_never_reads(beside, leaf, ca):

    def handler(connection):
        connection.write(b"x")
        connection.session.released.wait()

    with TlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
        with pair.call() as sock:
            assert recv_exact(sock, 1) == b"x"
            before = pair.agent.rss_kib()
            sender = Sender(sock, bytes(64 * MIB))
            wait_for(lambda: sender.sent and is_stuck(sock), what="the caller to be blocked")
            expect_bounded(pair, before)
            sender.stop()
            reset(sock)
        pair.ended(reason="caller_reset")


def test_reads_one_byte_a_second(beside, leaf, ca):
    """So slow a reader has no end of its own; the caller's patience decides."""

    def handler(connection):
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.write(b"x")
        while not connection.session.released.wait(0.1):
            connection.sock.recv(1)

    with TlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
        with pair.call() as sock:
            assert recv_exact(sock, 1) == b"x"
            before = pair.agent.rss_kib()
            sender = Sender(sock, bytes(64 * MIB))
            wait_for(lambda: sender.sent and is_stuck(sock), what="the caller to be blocked")
            assert not is_readable(sock, 1.0)
            expect_bounded(pair, before)
            sender.stop()
            reset(sock)
        pair.ended(reason="caller_reset")


def test_sends_one_byte_a_second(beside, leaf, ca):
    """A slow answer is an answer."""
    pace = threading.Event()

    def handler(connection):
        for byte in b"slowly":
            connection.write(bytes([byte]))
            pace.wait(0.2)
        connection.close_notify()

    with TlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
        with pair.call() as sock:
            assert expect_eof(sock) == b"slowly"
        pair.ended(reason="ok")


def test_sends_half_a_record_and_waits(beside, leaf, ca):
    """Half a record is no data, and no failure before the stream ends in it."""

    def handler(connection):
        connection.write(b"whole")
        connection.read_exact(2)
        connection.tls.write(b"never to be seen")
        connection.sock.sendall(connection.outgoing.read()[:-1])
        connection.fin()
        connection.wait_closed()

    with TlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
        with pair.call() as sock:
            assert recv_exact(sock, 5) == b"whole"
            sock.sendall(b"ok")
            assert expect_reset(sock) == b""
        pair.ended(reason="upstream_truncated")


def test_asks_for_renegotiation(beside, leaf, ca):
    """Declined (TLS 1.2): the session goes on as it was, for a server that lives with that."""

    def handler(connection):
        connection.write(connection.read_exact(5))
        connection.request_renegotiation()
        connection.write(connection.read_exact(100_000))
        connection.close_notify()

    with GnutlsBackend(handler, leaf, ca, tls="1.2") as backend, beside(backend) as pair:
        with pair.call() as sock:
            sock.sendall(b"hello")
            assert recv_exact(sock, 5) == b"hello"
            data = payload(100_000)
            sender = Sender(sock, data)
            assert expect_eof(sock) == data
            sender.finish()
        pair.ended(reason="ok", tls="1.2")


def test_floods_renegotiation_requests(beside, leaf, ca):
    def handler(connection):
        for _ in range(5000):
            connection.request_renegotiation()
        connection.write(b"x")
        connection.close_notify()
        connection.read_all()

    with GnutlsBackend(handler, leaf, ca, tls="1.2") as backend, beside(backend) as pair:
        before = pair.agent.rss_kib()
        with pair.call() as sock:
            with contextlib.suppress(ConnectionError):
                sock.recv(1)
            expect_bounded(pair, before)
        pair.ended()


def test_asks_for_authentication_after_the_handshake(beside, leaf, ca):
    """TLS 1.3: answered with the certificate, in the middle of the traffic."""
    names = []

    def handler(connection):
        assert connection.tls.getpeercert() is None
        connection.write(connection.read_exact(5))
        connection.tls.verify_client_post_handshake()
        connection.write(b"now who are you")
        connection.write(connection.read_exact(5))
        names.append(connection.tls.getpeercert()["subject"])
        connection.close_notify()
        connection.wait_closed()

    backend = TlsBackend(handler, leaf, tls="1.3")
    backend.context.load_verify_locations(ca.cert)
    backend.context.verify_mode = ssl.CERT_REQUIRED
    backend.context.post_handshake_auth = True
    with backend, beside(backend) as pair:
        with pair.call() as sock:
            sock.sendall(b"hello")
            assert recv_exact(sock, 20) == b"hellonow who are you"
            sock.sendall(b"again")
            assert expect_eof(sock) == b"again"
        pair.ended(reason="ok")
        assert names == [((("commonName", "gateway"),),)]


def test_good_backends_pass_the_same_bench(beside, leaf, ca):
    """The bench itself: with nothing wrong, nothing fails."""
    data = payload(MIB)
    for handler, said, answer in (
        (echo, data, data),
        (answer_digest, data, digest(data).encode()),
        (send(data), b"", data),
        (swallow, data, b""),
    ):
        with TlsBackend(handler, leaf, ca) as backend, beside(backend) as pair:
            with pair.call() as sock:
                sender = Sender(sock, said, half_close=True)
                assert expect_eof(sock) == answer
                sender.finish()
            pair.ended(reason="ok")
