"""Several addresses: the order and pace of RFC 8305, and that only the winner sees plaintext."""

import functools
import threading
import time

import pytest
from harness.backends import Backend, TlsBackend, echo, stay_silent
from harness.net import HANG, Blackhole, expect_no_service, free_port, recv_exact, wait_for

PACE = 0.25  # seconds between attempts (RFC 8305 section 5)


@pytest.fixture
def relay(relay):
    """Without warm sessions, for here it counts when a backend is dialled."""
    return functools.partial(relay, prewarm=0)


def exchange(link, text=b"hello"):
    """A word there and back; returns how long it took from the call."""
    begun = time.monotonic()
    with link.call() as sock:
        sock.sendall(text)
        assert recv_exact(sock, len(text)) == text
        return time.monotonic() - begun


def at(port, host="127.0.0.1"):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def test_the_first_refuses(relay, leaf, ca):
    dead = free_port()
    with TlsBackend(echo, leaf, ca) as good:
        link = relay([at(dead), at(good.port)])
        assert exchange(link) < 2  # at once, without the pace
        failed = link.agent.wait_log(msg="attempt failed", service="backend")
        assert failed["upstream"] == at(dead)
        assert (failed["reason"], failed["side"]) == ("connect_refused", "network")
        assert link.ended(reason="ok")["upstream"] == at(good.port)


def test_the_first_drops_syn(relay, leaf, ca):
    with Blackhole() as hole, TlsBackend(echo, leaf, ca) as good:
        link = relay([at(hole.port), at(good.port)])
        assert PACE * 0.9 <= exchange(link) < 3
        assert link.ended(reason="ok")["upstream"] == at(good.port)


def test_the_first_is_silent_in_the_handshake(relay, leaf, ca):
    """TCP alone does not win: TLS and verification do."""
    with Backend(stay_silent) as mute, TlsBackend(echo, leaf, ca) as good:
        link = relay([at(mute.port), at(good.port)])
        assert PACE * 0.9 <= exchange(link) < 3
        assert link.ended(reason="ok")["upstream"] == at(good.port)
        mute.wait_over()  # the loser is let go


@pytest.mark.parametrize(
    "fault, reason",
    [
        ("authority", "cert_untrusted"),
        ("name", "cert_name_mismatch"),
        ("purpose", "cert_purpose"),
    ],
)
def test_the_first_has_a_wrong_certificate(relay, leaf, ca, other_ca, fault, reason):
    wrong = {
        "authority": lambda: other_ca.issue("localhost", dns=["localhost"]),
        "name": lambda: ca.issue("other", dns=["other.test"]),
        "purpose": lambda: ca.issue("localhost", dns=["localhost"], purpose="client"),
    }[fault]()
    with TlsBackend(echo, wrong, ca) as bad, TlsBackend(echo, leaf, ca) as good:
        link = relay([at(bad.port), at(good.port)])
        exchange(link)
        failed = link.agent.wait_log(msg="attempt failed")
        assert failed["upstream"] == at(bad.port)
        assert (failed["reason"], failed["side"]) == (reason, "we_refused")
        assert failed["detail"]
        assert link.ended(reason="ok")["upstream"] == at(good.port)
        assert bad.wait_over()[0].received == 0


def test_the_first_does_not_speak_tls(relay, leaf, ca):
    def http(sock):
        sock.recv(1 << 16)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with Backend(http) as bad, TlsBackend(echo, leaf, ca) as good:
        link = relay([at(bad.port), at(good.port)])
        exchange(link)
        assert link.agent.wait_log(msg="attempt failed")["reason"] == "not_tls"


def test_order_is_kept_while_the_first_is_well(relay, leaf, ca):
    with TlsBackend(echo, leaf, ca) as first, TlsBackend(echo, leaf, ca) as second:
        link = relay([at(first.port), at(second.port)])
        for _ in range(20):
            exchange(link)
        assert len(first.sessions) == 20
        assert second.sessions == []
        assert not link.agent.all_log(msg="attempt failed")


def test_all_fail(relay, ca, other_ca):
    """Each attempt has its line, and the connection has one of its own."""
    dead = free_port()
    wrong = other_ca.issue("localhost", dns=["localhost"])
    with TlsBackend(echo, wrong, ca) as bad:
        link = relay([at(dead), at(bad.port)])
        expect_no_service(link.port, b"hello")
        line = link.ended()
        assert line["reason"] == "cert_untrusted"  # the last word
        assert line.get("sent", "0") == "0"
        failed = link.agent.wait_logs(2, msg="attempt failed")
        assert [(f["upstream"], f["reason"]) for f in failed] == [
            (at(dead), "connect_refused"),
            (at(bad.port), "cert_untrusted"),
        ]
        assert bad.wait_over()[0].received == 0


def test_ten_dead_addresses_before_the_good_one(relay, leaf, ca):
    with TlsBackend(echo, leaf, ca) as good:
        dead = [at(free_port()) for _ in range(10)]
        link = relay([*dead, at(good.port)], agent={"log_level": "debug"})
        exchange(link)
        link.agent.wait_logs(10, msg="attempt failed", reason="connect_refused")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_ip_literals(relay, leaf, ca, host):
    """Verified by the iPAddress of the certificate, and without SNI (RFC 6066 section 3)."""
    names = []

    with TlsBackend(echo, leaf, ca, host=host) as backend:
        backend.context.sni_callback = lambda tls, name, context: names.append(name)
        link = relay(at(backend.port, host), sni=None)
        exchange(link)
        assert link.ended(reason="ok")["upstream"] == at(backend.port, host)
    assert set(names) <= {None}


def test_both_families(relay, leaf, ca):
    """IPv6 is dead, IPv4 serves."""
    dead = free_port()
    with TlsBackend(echo, leaf, ca) as good:
        link = relay([at(dead, "::1"), at(good.port)])
        exchange(link)
        assert link.agent.wait_log(msg="attempt failed")["upstream"] == at(dead, "::1")


class Held(TlsBackend):
    """A backend whose handshakes wait for `go`."""

    def __init__(self, go, *args, **options):
        super().__init__(*args, **options)
        self.go = go

    def handle(self, session):
        assert self.go.wait(HANG)
        super().handle(session)


@pytest.mark.threads
def test_two_slow_backends_race(relay, leaf, ca):
    """Both are dialled, both complete; exactly one gets the plaintext and the other none."""
    go = threading.Event()
    with Held(go, echo, leaf, ca) as one, Held(go, echo, leaf, ca) as two:
        link = relay([at(one.port), at(two.port)], handshake_timeout="20s", connect_timeout="20s")
        for i in range(1, 11):
            go.clear()
            with link.call() as sock:
                sock.sendall(b"just once")
                wait_for(lambda: len(one.sessions) == len(two.sessions) == i, what="both attempts")
                go.set()
                assert recv_exact(sock, 9) == b"just once"
        link.agent.wait_logs(10, msg="connection ended", reason="ok")
        one.wait_over(10), two.wait_over(10)
        for first, second in zip(one.sessions, two.sessions):
            assert sorted((first.received, second.received)) == [0, 9]


def test_nothing_moves_on_after_plaintext_was_sent(relay, leaf, ca):
    """The first took the request and then died: the second must not get it again."""

    def dies(connection):
        connection.read_exact(5)
        connection.reset()

    with TlsBackend(dies, leaf, ca) as first, TlsBackend(echo, leaf, ca) as second:
        link = relay([at(first.port), at(second.port)])
        expect_no_service(link.port, b"hello")
        assert link.ended(reason="upstream_reset")["upstream"] == at(first.port)
        assert second.sessions == []


def test_connect_timeout_bounds_all_attempts(relay):
    with Blackhole() as one, Blackhole() as two, Blackhole() as three:
        link = relay([at(one.port), at(two.port), at(three.port)], connect_timeout="900ms")
        begun = time.monotonic()
        expect_no_service(link.port)
        assert 0.9 <= time.monotonic() - begun < 3
        link.ended(reason="connect_timeout", side="network")


def test_handshake_timeout_is_for_each_attempt(relay):
    """Three silent backends a pace apart: the last ends its own deadline after the first."""
    with Backend(stay_silent) as one, Backend(stay_silent) as two:
        link = relay([at(one.port), at(two.port)], handshake_timeout="800ms")
        begun = time.monotonic()
        expect_no_service(link.port)
        assert 0.8 + PACE * 0.9 <= time.monotonic() - begun < 4
        link.ended(reason="handshake_timeout")
