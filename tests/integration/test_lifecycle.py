"""From start to stop: listening everywhere or not at all, signals, draining, systemd."""

import ctypes
import os
import re
import resource
import signal
import socket
import time
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM

import pytest
from harness.agent import Agent, config, sanitizer, service
from harness.backends import TlsBackend, echo
from harness.net import HANG, connect, expect_reset, free_port, is_listening, recv_exact, wait_for

LONG = {"shutdown_timeout": "30s"}


@pytest.fixture
def backend(leaf, ca):
    with TlsBackend(echo, leaf, ca) as server:
        yield server


def say(sock, text=b"hello"):
    sock.sendall(text)
    assert recv_exact(sock, len(text)) == text


def workers_of(agent):
    """The worker threads, as folders of /proc."""
    tasks = Path(f"/proc/{agent.pid}/task").iterdir()
    return [task for task in tasks if (task / "comm").read_text().startswith("worker")]


# Starting


def test_ready_tells_the_version_and_what_is_served(start, ca, gateway):
    services = [service(f"s-{i}", free_port(), 443, ca) for i in range(3)]
    agent = start(config(*services, certificate=gateway, agent={"workers": 2}))
    line = agent.wait_log(msg="ready")
    assert (line["level"], line["services"], line["workers"]) == ("info", "3", "2")
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", line["version"])


def test_a_busy_port_is_named_and_nothing_is_left_behind(start, ca, gateway, short_path):
    busy, free = free_port(), free_port()
    path = short_path / "s.sock"
    with socket.create_server(("127.0.0.1", busy)):
        agent = start(
            config(
                service("first", free, 443, ca),
                service("second", f"unix:{path}", 443, ca),
                service("third", busy, 443, ca),
                certificate=gateway,
            ),
            ready=False,
        )
        assert agent.wait() == 1
    line = agent.wait_log(level="error")
    assert line["priority"] == "3"
    assert f'the service "third" cannot listen at 127.0.0.1:{busy}: another' in line["msg"]
    assert not path.exists()
    assert not agent.find_log(msg="ready")


def test_a_foreign_address_is_named(start, ca, gateway):
    text = config(service("far", "192.0.2.77:9001", 443, ca, expose="yes"), certificate=gateway)
    agent = start(text, ready=False)
    assert agent.wait() == 1
    assert "no such address" in agent.wait_log(level="error")["msg"]


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 3])
def test_workers_are_threads_and_share_the_callers(start, backend, ca, gateway, workers):
    port = free_port()
    text = config(
        service("backend", port, backend.port, ca), certificate=gateway, agent={"workers": workers}
    )
    agent = start(text)
    wait_for(lambda: len(workers_of(agent)) == workers, what="the workers to have their names")
    socks = [connect(port) for _ in range(30)]
    for sock in socks:
        say(sock)
        sock.close()
    agent.wait_logs(30, msg="connection ended", reason="ok")


def test_workers_auto_are_the_cpus_that_it_may_use(start, ca, gateway):
    cpu = min(os.sched_getaffinity(0))
    agent = start(
        config(service("s", free_port(), 443, ca), certificate=gateway, agent={"workers": "auto"}),
        preexec=lambda: os.sched_setaffinity(0, {cpu}),
    )
    assert agent.wait_log(msg="ready")["workers"] == "1"


def test_a_limit_that_holds_no_sockets_is_an_error(start, ca, gateway):
    services = [service(f"s-{i}", free_port(), 443, ca) for i in range(60)]
    agent = start(
        config(*services, certificate=gateway),
        ready=False,
        preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )
    assert agent.wait() == 1
    line = agent.wait_log(level="error")
    assert line["limit"] == "64" and "LimitNOFILE" in line["detail"]


# Stopping


@pytest.mark.parametrize("sig", [SIGTERM, SIGINT])
def test_an_idle_agent_stops_at_once(start, ca, gateway, sig):
    agent = start(config(service("s", free_port(), 443, ca), certificate=gateway, agent=LONG))
    begun = time.monotonic()
    assert agent.stop(sig) == 0
    assert time.monotonic() - begun < 5
    assert agent.wait_log(msg="stopping")["signal"] == sig.name
    assert agent.wait_log(msg="stopped")


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 3])
def test_a_signal_drains(relay, backend, workers):
    link = relay(backend, agent={**LONG, "workers": workers})
    socks = [link.call() for _ in range(6)]
    for sock in socks:
        say(sock)
    link.agent.signal(SIGTERM)
    assert link.agent.wait_log(msg="stopping")["connections"] == "6"
    wait_for(lambda: not is_listening(link.port), what="the port to close")
    for sock in socks:
        say(sock, b"still served while it drains")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    assert link.agent.wait() == 0
    assert len(link.agent.all_log(msg="connection ended", reason="ok")) == 6


def test_what_is_left_after_shutdown_timeout_is_cut(relay, backend):
    link = relay(backend, agent={"shutdown_timeout": "300ms"})
    with link.call() as sock:
        say(sock)
        begun = time.monotonic()
        assert link.agent.stop() == 1
        assert 0.25 < time.monotonic() - begun < 5
        expect_reset(sock)
    assert link.agent.ended(reason="shutting_down", side="local")
    assert link.agent.wait_log(msg="leaving at once", connections="1")["level"] == "warning"


@pytest.mark.parametrize("second", [SIGTERM, SIGINT])
def test_a_second_signal_leaves_at_once(relay, backend, second):
    link = relay(backend, agent=LONG)
    with link.call() as sock:
        say(sock)
        link.agent.signal(SIGTERM)
        link.agent.wait_log(msg="stopping")
        begun = time.monotonic()
        assert link.agent.stop(second) == 1
        assert time.monotonic() - begun < 5
        expect_reset(sock)
    link.agent.ended(reason="shutting_down")


def test_unix_sockets_are_gone_when_draining_begins(start, backend, ca, gateway, short_path):
    path = short_path / "s.sock"
    text = config(service("s", f"unix:{path}", backend.port, ca), certificate=gateway, agent=LONG)
    agent = start(text)
    with connect(path) as sock:
        say(sock)
        agent.signal(SIGTERM)
        wait_for(lambda: not path.exists(), what="the socket's file to go")
        say(sock)
    assert agent.wait() == 0


def test_another_agent_s_unix_socket_is_left_alone(start, backend, ca, gateway, short_path):
    path = short_path / "s.sock"
    text = config(service("s", f"unix:{path}", backend.port, ca), certificate=gateway)
    old = start(text)
    path.rename(short_path / "old.sock")
    start(text)
    assert old.stop() == 0
    with connect(path) as sock:
        say(sock)


def test_hangup_is_survived_and_told(relay, backend):
    link = relay(backend)
    with link.call() as sock:
        say(sock)
        link.agent.signal(SIGHUP)
        link.agent.wait_log(msg="reloaded", unchanged="1")
        say(sock)


def test_a_broken_pipe_is_survived(relay, backend):
    link = relay(backend)
    link.agent.signal(signal.SIGPIPE)
    with link.call() as sock:
        say(sock)


def test_no_signal_is_lost_on_a_worker(start, backend, ca, gateway):
    """Only the control thread takes signals: workers have them blocked."""
    text = config(service("s", free_port(), 443, ca), certificate=gateway, agent={"workers": 2})
    agent = start(text)
    wanted = 1 << (SIGTERM - 1)
    for task in Path(f"/proc/{agent.pid}/task").iterdir():
        mask = int(re.search(r"SigBlk:\s*(\w+)", (task / "status").read_text()).group(1), 16)
        is_main = task.name == str(agent.pid)
        assert bool(mask & wanted) != is_main or sanitizer(), (task / "comm").read_text()


# systemd


class Manager:
    """The end of NOTIFY_SOCKET that systemd has."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.told = []

    def wait_for(self, text, timeout=HANG):
        """Reads messages until one has this line; returns that message."""
        deadline = time.monotonic() + timeout
        while True:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            message = self.socket.recv(4096).decode()
            self.told.append(message)
            if text in message.split("\n"):
                return message

    def is_silent(self, seconds):
        self.socket.settimeout(seconds)
        try:
            self.told.append(self.socket.recv(4096).decode())
        except TimeoutError:
            return True
        return False


@pytest.fixture
def manager(short_path):
    manager = Manager(short_path / "notify")
    yield manager
    manager.socket.close()


def test_systemd_is_told_ready_and_stopping(start, backend, ca, gateway, manager):
    port = free_port()
    agent = start(
        config(service("s", port, backend.port, ca), certificate=gateway, agent=LONG),
        env={"NOTIFY_SOCKET": str(manager.path)},
    )
    assert "STATUS=" in manager.wait_for("READY=1")
    with connect(port) as sock:  # ready means that it serves
        say(sock)
        agent.signal(SIGTERM)
        manager.wait_for("STOPPING=1")
        assert agent.process.poll() is None
    assert agent.wait() == 0
    assert sum("READY=1" in message for message in manager.told) == 1


def test_systemd_is_not_told_ready_when_it_cannot_start(start, ca, gateway, manager):
    with socket.create_server(("127.0.0.1", port := free_port())):
        text = config(service("s", port, 443, ca), certificate=gateway)
        agent = start(text, ready=False, env={"NOTIFY_SOCKET": str(manager.path)})
        assert agent.wait() == 1
    assert manager.is_silent(0.01)


def watched(manager, interval=0.4):
    return {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": str(int(interval * 1e6))}


def test_the_watchdog_is_fed_in_time(start, ca, gateway, manager):
    text = config(service("s", free_port(), 443, ca), certificate=gateway, agent={"workers": 2})
    start(text, env=watched(manager))
    manager.wait_for("WATCHDOG=1")
    begun = time.monotonic()
    for _ in range(8):
        manager.wait_for("WATCHDOG=1")
    assert time.monotonic() - begun < 8 * 0.4


def test_the_watchdog_of_another_process_is_not_ours(start, ca, gateway, manager):
    text = config(service("s", free_port(), 443, ca), certificate=gateway)
    start(text, env={**watched(manager, 0.04), "WATCHDOG_PID": "1"})
    manager.wait_for("READY=1")
    assert manager.is_silent(0.5)


class Frozen:
    """One thread of a process, held by ptrace; all others run."""

    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, tid):
        self.tid = tid
        self._libc = ctypes.CDLL(None, use_errno=True)

    def _ptrace(self, request):
        if self._libc.ptrace(request, self.tid, None, None) < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))

    def __enter__(self):
        try:
            self._ptrace(self.SEIZE)
        except OSError as error:
            pytest.skip(f"ptrace is not permitted here: {error}")
        self._ptrace(self.INTERRUPT)
        os.waitpid(self.tid, self.WALL)

    def __exit__(self, *_):
        self._ptrace(self.DETACH)


@pytest.mark.skipif(sanitizer() == "thread", reason="ThreadSanitizer waits for all threads")
def test_a_worker_that_is_stuck_ends_the_signs_of_life(start, ca, gateway, manager):
    text = config(service("s", free_port(), 443, ca), certificate=gateway, agent={"workers": 2})
    agent = start(text, env=watched(manager))
    manager.wait_for("WATCHDOG=1")
    worker = wait_for(lambda: workers_of(agent), what="a worker")[0]
    with Frozen(int(worker.name)):
        wait_for(lambda: manager.is_silent(1), what="the signs of life to end")
        agent.wait_log(level="warning", msg=lambda m: "does not turn" in m)
    manager.wait_for("WATCHDOG=1")


# Care


def test_secrets_of_sessions_are_not_written(relay, backend, tmp_path, monkeypatch):
    keys = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    link = relay(backend)
    with link.call() as sock:
        say(sock)
    link.agent.ended(reason="ok")
    assert not keys.exists()


def test_started_without_standard_streams(tmp_path, backend, ca, gateway):
    port = free_port()

    def close_all():
        for fd in range(3):
            os.close(fd)

    text = config(service("s", port, backend.port, ca), certificate=gateway)
    with Agent(tmp_path, text, preexec=close_all) as agent:
        with connect(port) as sock:
            say(sock)
        for fd in range(3):
            assert os.readlink(f"/proc/{agent.pid}/fd/{fd}") == "/dev/null"
        assert agent.stop() == 0
