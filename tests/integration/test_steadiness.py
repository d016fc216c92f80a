"""What befalls a process that runs for months: it is killed and started again, its program is
replaced, it is stopped for a while, and the wall clock jumps."""

import stat
import threading
import time
from datetime import timedelta
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest
from harness.agent import Agent, config, service
from harness.backends import TlsBackend, echo
from harness.live import Installation, Live
from harness.net import (
    connect,
    expect_no_service,
    expect_reset,
    free_port,
    recv_exact,
    wait_for,
)

UNHEARD = {"NOTIFY_SOCKET": ""}


@pytest.fixture
def backend(leaf, ca):
    with TlsBackend(echo, leaf, ca) as server:
        yield server


@pytest.fixture
def socket_path(short_path):
    return short_path / "status.sock"


@pytest.fixture
def text(gateway, socket_path):
    """text(SERVICE…) makes a configuration with a status socket."""

    def make_text(*services, certificate=gateway, agent=None, **options):
        keys = {"status": f"unix:{socket_path}", **(agent or {})}
        return config(*services, certificate=certificate, agent=keys, **options)

    return make_text


@pytest.fixture
def live(start, text, socket_path):
    """live(SERVICE…) starts an agent; `env` is added to its environment."""

    def start_live(*services, env=None, ready=True, **keys):
        agent = start(text(*services, **keys), env={**UNHEARD, **(env or {})}, ready=ready)
        return Live(agent, socket_path)

    return start_live


def say(sock, text=b"hello"):
    sock.sendall(text)
    assert recv_exact(sock, len(text)) == text


def exchange(where):
    with connect(where) as sock:
        say(sock)


# Killed


def test_killed_and_started_again(live, backend, ca, short_path, socket_path):
    """No stale file of a UNIX socket is in the way, and no port that was in use."""
    port, path = free_port(), short_path / "own.sock"
    services = (
        service("tcp", port, backend.port, ca),
        service("unix", f"unix:{path}", backend.port, ca, socket_mode="0660"),
    )
    for _ in range(3):
        link = live(*services)
        with connect(port) as tcp, connect(path) as local:
            say(tcp)
            say(local)
            assert link.status()["services"][0]["connections"]["opened"] == 1
            assert link.agent.stop(SIGKILL) == -SIGKILL
            for sock in (tcp, local):
                try:
                    assert sock.recv(1) == b""
                except ConnectionResetError:
                    pass
        for stale in (path, socket_path):
            assert stat.S_ISSOCK(stale.lstat().st_mode)
            with pytest.raises(ConnectionRefusedError):
                connect(stale)
    link = live(*services)
    exchange(port)
    exchange(path)
    assert stat.S_IMODE(path.lstat().st_mode) == 0o660
    assert stat.S_IMODE(socket_path.lstat().st_mode) == 0o660
    assert link.agent.stop() == 0
    assert not path.exists() and not socket_path.exists()


def test_killed_in_the_middle_of_starting(tmp_path, text, backend, ca, short_path, live):
    """At any moment of it: what it leaves behind is in nobody's way."""
    path = short_path / "own.sock"
    services = [service(f"s-{i}", f"unix:{short_path}/{i}.sock", backend.port, ca)
                for i in range(50)]
    services.append(service("own", f"unix:{path}", backend.port, ca))
    for i in range(10):
        with Agent(tmp_path / f"killed-{i}", text(*services), env=UNHEARD, ready=False) as agent:
            wait_for(lambda: len(list(short_path.iterdir())) > 5 * i, what="the start to go on")
            agent.stop(SIGKILL)
    live(*services)
    exchange(path)
    for i in range(50):
        exchange(short_path / f"{i}.sock")


def test_a_second_one_does_not_take_over(live, text, tmp_path, backend, ca, short_path):
    """A socket file that somebody listens on is not stale."""
    path = short_path / "own.sock"
    own = service("own", f"unix:{path}", backend.port, ca)
    link = live(own)
    before = path.lstat().st_ino
    with Agent(tmp_path / "second", text(own), env=UNHEARD, ready=False) as second:
        assert second.wait() == 1
    assert "another program" in second.dump()
    assert path.lstat().st_ino == before
    exchange(path)
    assert link.status()["pid"] == link.agent.pid


# Replaced on disk


def test_the_program_is_replaced_while_it_runs(live, text, tmp_path, monkeypatch, backend, ca):
    port, extra = free_port(), free_port()
    own = service("own", port, backend.port, ca)
    installed = Installation(tmp_path, monkeypatch)
    link = live(own)
    with connect(port) as sock:
        say(sock)
        installed.upgrade()
        link.write(text(own, service("extra", extra, backend.port, ca)))
        told = link.reload()  # by the new program
        assert (told.returncode, told.stderr) == (0, ""), told
        exchange(extra)
        say(sock)
        installed.remove()
        link.write(text(own))
        assert link.hang_up()["msg"] == "reloaded"
        say(sock)
        exchange(port)


# Stopped for a while


def pause(agent, seconds):
    """Stops the process for some seconds: longer than the deadlines under test."""
    agent.signal(SIGSTOP)
    stat_file = Path(f"/proc/{agent.pid}/stat")
    wait_for(lambda: stat_file.read_text().rsplit(") ", 1)[1][0] == "T", what="it to be stopped")
    threading.Event().wait(seconds)
    return lambda: agent.signal(SIGCONT)


@pytest.mark.parametrize("workers", [1, 2])
def test_connections_survive_a_stop(live, backend, ca, workers):
    port = free_port()
    link = live(service("own", port, backend.port, ca, connect_timeout="30s",
                        handshake_timeout="30s"), agent={"workers": workers})
    with connect(port) as idle, connect(port) as busy:
        say(idle)
        say(busy)
        go_on = pause(link.agent, 3)
        busy.sendall(b"said while it was stopped")
        with connect(port) as new:  # the kernel takes the call
            new.sendall(b"patience")
            go_on()
            assert recv_exact(busy, 25) == b"said while it was stopped"
            assert recv_exact(new, 8) == b"patience"
        say(idle)
    assert len(link.agent.wait_logs(3, msg="connection ended", reason="ok")) == 3


def test_what_came_during_a_stop_is_not_idle(live, backend, ca):
    """Idle for longer than allowed by the clock, but with bytes that wait to be moved."""
    port = free_port()
    link = live(service("own", port, backend.port, ca, idle_timeout="1s"))
    with connect(port) as talker, connect(port) as silent:
        say(talker)
        say(silent)
        go_on = pause(link.agent, 2)
        talker.sendall(b"still here")
        go_on()
        assert recv_exact(talker, 10) == b"still here"
        expect_reset(silent)
    link.agent.wait_logs(1, msg="connection ended", reason="idle_timeout")


class Halting(TlsBackend):
    """Answers a handshake only when told to."""

    def __init__(self, leaf, ca):
        super().__init__(echo, leaf, ca)
        self.go_on = threading.Event()

    def handle(self, session):
        if not self.go_on.is_set():
            self.go_on.wait(30)
        super().handle(session)


def test_a_handshake_whose_time_passed_in_a_stop(live, leaf, ca):
    """It fails as one that took too long, at once, or is finished with the answer that has come;
    the next one works in any case."""
    port = free_port()
    with Halting(leaf, ca) as backend:
        link = live(service("own", port, backend.port, ca, handshake_timeout="1s"))
        with connect(port) as sock:
            backend.wait_sessions()
            pause(link.agent, 2)()
            expect_reset(sock)
        link.agent.ended(reason="handshake_timeout")
        backend.go_on.set()
        exchange(port)


def test_a_backend_that_ended_during_a_stop(live, leaf, ca):
    def bye(connection):
        connection.read_exact(5)
        connection.write(b"bye")
        connection.close_notify()
        connection.wait_closed()

    port = free_port()
    with TlsBackend(bye, leaf, ca) as backend:
        link = live(service("own", port, backend.port, ca, idle_timeout="1s"))
        with connect(port) as sock:
            sock.sendall(b"hel")
            backend.wait_sessions()[0].handshaken.wait(30)
            go_on = pause(link.agent, 2)
            sock.sendall(b"lo")
            go_on()
            assert recv_exact(sock, 3) == b"bye"


# The wall clock


def wait_step(link, direction):
    """Waits until the log tells that the clock was set. A reload has it looked at soon; otherwise
    that is so once a minute."""
    link.post()
    return link.agent.wait_log(msg="this host's clock was set", direction=direction)


@pytest.mark.parametrize("by, direction, reason",
                         [("+3650d", "forward", "cert_expired"),
                          ("-3650d", "back", "cert_not_yet_valid")])
def test_the_clock_jumps_by_years(live, clock, backend, ca, by, direction, reason):
    """What runs, runs on; a new connection is judged by the new clock; and back."""
    port = free_port()
    link = live(service("own", port, backend.port, ca, idle_timeout="1m"), env=clock.environment())
    with connect(port) as old:
        say(old)
        clock.set(by)
        say(old)
        expect_no_service(port, b"secret")
        line = link.agent.ended(reason=reason)
        assert "clock" in line["detail"], line
        told = wait_step(link, direction)
        assert told["level"] == "warning"
        assert told["by"].startswith(("9 years", "10 years", "3650 days", "3649 days")), told
        say(old)
        exchange_fails = link.service("own")
        assert exchange_fails["last_failure"]["reason"] == reason
        assert exchange_fails["last_failure"]["age_seconds"] < 120, "by the monotonic clock"
        assert link.status()["uptime_seconds"] < 120
        clock.set("+0")
        exchange(port)
        wait_step(link, "back" if direction == "forward" else "forward")
        say(old)
    assert len(link.agent.wait_logs(2, msg="connection ended", reason="ok")) == 2
    for line in link.agent.all_log(msg="connection ended"):
        assert float(line["duration"]) < 120, line


def test_timers_do_not_follow_the_clock(live, clock, backend, ca):
    """Neither do they pass early when it jumps ahead, nor late when it jumps back."""
    port, lived = free_port(), free_port()
    link = live(
        service("own", port, backend.port, ca, idle_timeout="2s"),
        service("lived", lived, backend.port, ca, max_lifetime="2s"),
        env=clock.environment(),
    )
    for by in ("+3650d", "-7300d", "+0"):
        with connect(port) as idle, connect(lived) as limited:
            for sock in (idle, limited):
                say(sock)
            clock.set(by)
            say(limited)
            say(idle)
            begun = time.monotonic()
            expect_reset(limited)
            expect_reset(idle)
            assert time.monotonic() - begun > 1.5
        clock.set("+0")
    for name, reason in (("own", "idle_timeout"), ("lived", "lifetime_reached")):
        assert link.service(name)["connections"]["ended"] == {reason: 3}
        for line in link.agent.all_log(msg="connection ended", service=name):
            assert 1.9 < float(line["duration"]) < 30, line


def test_tickets_do_not_outlive_the_certificate(live, clock, leaf, ca):
    """A session that could be resumed is not when the certificate that was verified has expired by
    the new clock."""
    port = free_port()
    short = ca.issue("localhost", purpose="server", dns=["localhost"], not_after=timedelta(days=2))
    with TlsBackend(echo, short, ca) as backend:
        link = live(service("own", port, backend.port, ca), env=clock.environment())
        for _ in range(3):
            exchange(port)
        clock.set("+3d")
        expect_no_service(port, b"secret")
        link.agent.ended(reason="cert_expired")
        clock.set("+0")
        exchange(port)


def test_started_in_1970(live, clock, backend, ca):
    """A machine without a battery: it starts, says "clock", and is right when the clock is."""
    port = free_port()
    clock.set("@1970-01-01 00:00:10")
    link = live(service("own", port, backend.port, ca), env=clock.environment())
    expect_no_service(port, b"secret")
    line = link.agent.ended(reason="cert_not_yet_valid")
    assert "clock" in line["detail"], line
    assert link.service("own")["last_failure"]["reason"] == "cert_not_yet_valid"
    assert "clock" in link.service("own")["last_failure"]["detail"]
    link.post()  # a reload works as well
    clock.set("+0")
    exchange(port)
    assert link.service("own")["state"] == "ok"
    wait_step(link, "forward")
    assert link.status()["started"].startswith("1970-") or link.status()["uptime_seconds"] < 120


def test_expiry_of_the_own_certificate_follows_the_clock(live, clock, backend, ca):
    """It is told in days by the new clock, also before 1970 and beyond 2038."""
    port = free_port()
    link = live(service("own", port, backend.port, ca), env=clock.environment())

    def days():
        return link.status()["certificates"][0]["days_left"]

    assert days() in (29, 30)
    for by, expected in ((20, (9, 10)), (100, (-71, -70)), (-100, (129, 130)),
                         (7300, (-7271, -7270))):
        clock.set(f"{by:+}d")
        wait_for(lambda: days() in expected, 10, f"the days at {by:+} days: {days()}")
    clock.set("+0")
    assert days() in (29, 30)
