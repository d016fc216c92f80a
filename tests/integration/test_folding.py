"""Failures that repeat: the first is told at once, those that follow are told as a count."""

import contextlib
import json
import re

import pytest
from harness.agent import config, service
from harness.backends import Backend, TlsBackend, echo
from harness.net import (
    connect,
    expect_no_service,
    expect_reset,
    free_port,
    in_parallel,
    recv_exact,
)

INTERVAL = 10  # seconds


def at(port):
    return f"127.0.0.1:{port}"


def exchange(port, text=b"hello"):
    with connect(port) as sock:
        sock.sendall(text)
        assert recv_exact(sock, len(text)) == text


def counts(agent, message, **fields):
    """The counts of all such lines."""
    return [int(line["count"]) for line in agent.all_log(msg=message, **fields)]


def all_told(agent, full, folded, **fields):
    """How many failures the log told of, one by one and as counts."""
    return len(agent.all_log(msg=full, **fields)) + sum(counts(agent, folded, **fields))


# At the stop, when what is not yet told is told, so that nobody has to wait for it


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 4])
def test_a_storm_is_one_line_and_a_count(relay, workers):
    """Each of the failures is in the log exactly once, whoever saw it."""
    storm = 400
    link = relay(free_port(), agent={"workers": workers})
    in_parallel([lambda: [expect_no_service(link.port) for _ in range(storm // 8)]] * 8)
    assert link.agent.stop() == 0
    refused = {"service": "backend", "reason": "connect_refused", "side": "network"}
    assert all_told(link.agent, "connection ended", "connections ended", **refused) == storm
    # One worker's first and the next one's are the same first: the service's.
    (line,) = link.agent.all_log(msg="connection ended")
    assert (line["level"], line["detail"]) == ("warning", "Connection refused")


def test_the_folded_line(relay):
    link = relay(free_port())
    for _ in range(4):
        expect_no_service(link.port)
    link.agent.stop()
    link.agent.wait_log(msg="connections ended")
    raw = next(line for line in link.agent.raw if 'msg="connections ended"' in line)
    assert re.fullmatch(
        r'<4>time=\S+ level=warning msg="connections ended" service=backend count=3 '
        r"reason=connect_refused side=network interval=\d\.\d{3} "
        r'detail="Connection refused" advice="nothing listens on that port: .*"',
        raw,
    )
    order = [line["msg"] for line in link.agent.log]
    assert order[-3:] == ["stopping", "connections ended", "stopped"]


def test_the_folded_line_in_json(relay):
    link = relay(free_port(), agent={"log_format": "json"})
    for _ in range(3):
        expect_no_service(link.port)
    link.agent.stop()
    lines = [json.loads(re.sub(r"^<\d>", "", raw)) for raw in link.agent.raw]
    (folded,) = [line for line in lines if line["msg"] == "connections ended"]
    assert folded["count"] == 2
    assert isinstance(folded["interval"], float)


def test_debug_shows_each(relay):
    link = relay(free_port(), agent={"log_level": "debug"})
    for _ in range(5):
        expect_no_service(link.port)
    lines = link.agent.wait_logs(5, msg="connection ended", reason="connect_refused")
    assert [line["level"] for line in lines] == ["warning"] + ["debug"] * 4
    for line in lines:
        assert line["detail"] and line["advice"] and line["caller"] and line["upstream"]
    assert len({line["caller"] for line in lines}) == 5
    link.agent.stop()
    assert counts(link.agent, "connections ended") == [4]


def test_one_failure_is_no_repetition(relay):
    link = relay(free_port())
    expect_no_service(link.port)
    link.ended(reason="connect_refused")
    link.agent.stop()
    assert not link.agent.find_log(msg="connections ended")


def test_ordinary_ends_are_never_folded(relay, leaf, ca):
    with TlsBackend(echo, leaf, ca) as backend:
        link = relay(backend, max_lifetime="300ms")
        for _ in range(20):
            exchange(link.port)
        held = [link.call() for _ in range(5)]
        for sock in held:
            with contextlib.suppress(ConnectionResetError):
                sock.recv(1)
            sock.close()
        link.agent.wait_logs(20, msg="connection ended", reason="ok", level="info")
        link.agent.wait_logs(5, msg="connection ended", reason="lifetime_reached", level="info")
        link.agent.stop()
        assert not link.agent.find_log(msg="connections ended")


def test_services_and_reasons_are_folded_apart(start, ca, gateway):
    """In one agent: two services of one fault, of which one has another fault, too."""

    def http(sock):
        sock.recv(1 << 16)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    first, second, third = (free_port() for _ in range(3))
    dead = free_port()
    agent = start(
        config(
            service("first", first, dead, ca),
            service("second", second, dead, ca),
            service("third", third, dead, ca),
            certificate=gateway,
        )
    )
    for _ in range(3):
        expect_no_service(first)
        expect_no_service(second)
    expect_no_service(third)
    with Backend(http, port=dead):
        for _ in range(2):
            expect_no_service(second)
    agent.stop()
    told = [(line["service"], line["reason"], line["count"]) for line in agent.log
            if line["msg"] == "connections ended"]
    assert sorted(told) == [
        ("first", "connect_refused", "2"),
        ("second", "connect_refused", "2"),
        ("second", "not_tls", "1"),
    ]
    for name, reason in [("first", "connect_refused"), ("second", "connect_refused"),
                         ("second", "not_tls"), ("third", "connect_refused")]:
        assert len(agent.all_log(msg="connection ended", service=name, reason=reason)) == 1


def test_the_side_is_that_of_the_folded(start, leaf, ca, gateway):
    """Who refused is said of the many as of the one: here they do, and we do."""
    theirs, ours = free_port(), free_port()
    with TlsBackend(echo, leaf, ca) as backend:
        agent = start(
            config(
                service("theirs", theirs, backend.port, ca, tls_mode="tls"),
                service("ours", ours, backend.port, ca, verify_name="dns:other.test"),
                certificate=gateway,
            )
        )
        for port in (theirs, ours):
            for _ in range(3):
                expect_no_service(port, b"hello")
        agent.stop()
    line = agent.wait_log(msg="connections ended", service="theirs")
    assert line["count"] == "2"
    assert (line["reason"], line["side"]) == ("client_cert_required", "they_refused")
    assert "116" in line["detail"]
    line = agent.wait_log(msg="connections ended", service="ours")
    assert line["count"] == "2"
    assert (line["reason"], line["side"]) == ("cert_name_mismatch", "we_refused")
    assert "other.test" in line["detail"]


def test_attempts_are_folded_too(relay, leaf, ca):
    """With the address of one of them: there are several."""
    dead = [at(free_port()) for _ in range(2)]
    with TlsBackend(echo, leaf, ca) as good:
        link = relay([*dead, at(good.port)], prewarm=0)  # attempts are counted
        for _ in range(5):
            exchange(link.port)
        link.agent.stop()
    refused = {"service": "backend", "reason": "connect_refused", "side": "network"}
    (first,) = link.agent.all_log(msg="attempt failed", **refused)
    assert first["upstream"] == dead[0]
    (folded,) = link.agent.all_log(msg="attempts failed", **refused)
    assert (folded["count"], folded["level"]) == ("9", "warning")
    assert folded["detail"] == f"{dead[1]}: Connection refused"
    assert not link.agent.find_log(msg="connections ended")


def test_connections_that_the_stop_cuts(relay, leaf, ca):
    with TlsBackend(echo, leaf, ca) as backend:
        link = relay(backend, agent={"workers": 2, "shutdown_timeout": "200ms"})
        held = [link.call() for _ in range(10)]
        for sock in held:
            sock.sendall(b"x")
            assert recv_exact(sock, 1) == b"x"
        assert link.agent.stop() == 1
        for sock in held:
            assert expect_reset(sock) == b""
            sock.close()
    assert len(link.agent.all_log(msg="connection ended", reason="shutting_down")) == 1
    assert counts(link.agent, "connections ended", reason="shutting_down") == [9]


# As time passes


def test_intervals(start, leaf, ca, gateway):
    """A count when the interval is over; and after one without any, the next failure is a first one
    again, told at once."""
    busy, quiet, dead = free_port(), free_port(), free_port()
    with TlsBackend(echo, leaf, ca) as good:
        agent = start(
            config(
                service("busy", busy, [dead, good.port], ca),
                service("quiet", quiet, dead, ca),
                certificate=gateway,
                defaults={"prewarm": 0},  # attempts are counted
            )
        )
        expect_no_service(quiet)
        for _ in range(6):
            exchange(busy)
        agent.wait_log(msg="attempt failed", service="busy")
        assert counts(agent, "attempts failed") == []

        line = agent.wait_log(INTERVAL + 5, msg="attempts failed", service="busy")
        assert line["count"] == "5"
        assert INTERVAL <= float(line["interval"]) < INTERVAL + 2
        for _ in range(2):
            exchange(busy)
            expect_no_service(quiet)
    agent.stop()
    assert counts(agent, "attempts failed") == [5, 2]
    assert len(agent.all_log(msg="attempt failed", service="busy")) == 1
    assert counts(agent, "connections ended", service="quiet") == [1]
    assert len(agent.all_log(msg="connection ended", service="quiet")) == 2
    assert len(agent.all_log(msg="connection ended", reason="ok")) == 8
