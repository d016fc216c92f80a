"""When something runs out: the connection that meets the limit ends, the agent and all others go
on, and everything is as before when there is enough again."""

import contextlib
import re
import resource
import subprocess
import threading
import time
from pathlib import Path

import pytest
from harness.agent import config, program, sanitizer, service
from harness.backends import TlsBackend, echo
from harness.live import Live
from harness.net import (
    HANG,
    connect,
    free_port,
    in_parallel,
    is_readable,
    recv_exact,
    reset,
    wait_for,
)


def word(sock, text=b"hello"):
    sock.sendall(text)
    assert recv_exact(sock, len(text)) == text


def can_exchange(link):
    try:
        with link.call() as sock:
            word(sock)
        return True
    except (OSError, AssertionError):
        return False


def test_the_descriptor_limit_is_raised(start, ca, gateway):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    agent = start(
        config(service("backend", free_port(), free_port(), ca), certificate=gateway),
        preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)),
    )
    assert resource.prlimit(agent.pid, resource.RLIMIT_NOFILE) == (hard, hard)


@pytest.fixture
def scarce(relay, leaf, ca):
    """An agent that has only twenty descriptors left, and callers that took them all."""
    with TlsBackend(echo, leaf, ca) as backend:
        link = relay(backend, connect_timeout="2s", handshake_timeout="2s")
        hard = resource.prlimit(link.agent.pid, resource.RLIMIT_NOFILE)[1]
        limit = link.agent.fds() + 20
        resource.prlimit(link.agent.pid, resource.RLIMIT_NOFILE, (limit, hard))
        open_ones = [link.call() for _ in range(8)]
        for sock in open_ones:
            word(sock)
        crowd = [link.call() for _ in range(50)]
        wait_for(lambda: link.agent.fds() >= limit - 2, what="the descriptors to run out")
        yield link, open_ones, crowd
        for sock in open_ones + crowd:
            sock.close()


def test_out_of_descriptors_the_open_ones_go_on(scarce):
    link, open_ones, _ = scarce
    for sock in open_ones:
        word(sock, b"still here")
    assert link.agent.process.poll() is None


def test_out_of_descriptors_it_does_not_spin(scarce):
    link, _, _ = scarce
    window = 2.0
    lines, used = len(link.agent.raw), link.agent.cpu_seconds()
    threading.Event().wait(window)  # the stretch of time that is measured
    assert link.agent.cpu_seconds() - used < 0.1 * window * (5 if sanitizer() else 1)
    told = [line for line in link.agent.raw[lines:] if "connection ended" not in line]
    assert len(told) <= 5, told


def test_out_of_descriptors_it_recovers(scarce):
    link, open_ones, crowd = scarce
    for sock in crowd:
        reset(sock)
    begun = time.monotonic()
    wait_for(lambda: can_exchange(link), what="an exchange after the drought")
    assert time.monotonic() - begun < 5
    for sock in open_ones:
        word(sock, b"through it all")


@pytest.fixture
def tight(start, short_path, leaf, ca, gateway):
    """An agent that was started with few descriptors, and more callers than they suffice for, who
    have all said "hello"; with a status socket."""
    limit, count = 64, 50
    socket, port = short_path / "status.sock", free_port()
    with TlsBackend(echo, leaf, ca) as backend, contextlib.ExitStack() as crowd:
        agent = start(
            config(
                service("backend", port, backend.port, ca),
                certificate=gateway,
                agent={"status": f"unix:{socket}"},
            ),
            preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
        )
        link = Live(agent, socket)
        before = link.descriptors()
        callers = [crowd.enter_context(connect(port)) for _ in range(count)]
        for sock in callers:
            sock.sendall(b"hello")
        # An eighth is kept for what is not a connection.
        wait_for(lambda: agent.fds() >= limit * 7 // 8 - 2, what="the descriptors to run out")
        assert before + 2 * count > limit
        yield link, callers


def command(link, name):
    return subprocess.run([program(), name, "-s", link.socket], capture_output=True, text=True,
                          timeout=HANG)


def test_out_of_descriptors_the_operator_is_served(tight):
    link, callers = tight
    assert recv_exact(callers[0], 5) == b"hello"
    status = command(link, "status")
    assert (status.returncode, status.stderr) == (0, ""), status
    assert status.stdout.startswith("1 service: 1 ok\n")
    for _ in range(3):
        reload = command(link, "reload")
        assert (reload.returncode, reload.stderr) == (0, ""), reload
        assert reload.stdout.startswith("reloaded: 0 added, 0 changed, 0 removed, 1 unchanged")


def test_out_of_descriptors_callers_wait_for_others_to_leave(tight):
    """None is lost, and none has to call again."""
    link, callers = tight
    assert not is_readable(callers[-1])
    for sock in callers:
        assert recv_exact(sock, 5) == b"hello"
        sock.close()
    ended = link.agent.wait_logs(len(callers), HANG, msg="connection ended")
    assert {line["reason"] for line in ended} == {"ok"}


@pytest.mark.memory
@pytest.mark.skipif(bool(sanitizer()), reason="a sanitizer's shadow memory has no place in it")
def test_out_of_memory(relay, leaf, ca):
    """Memory for some connections and not for others."""
    with TlsBackend(echo, leaf, ca) as backend:
        link = relay(backend)
        assert can_exchange(link)
        text = Path(f"/proc/{link.agent.pid}/status").read_text()
        size = int(re.search(r"VmData:\s+(\d+)", text).group(1)) * 1024
        resource.prlimit(link.agent.pid, resource.RLIMIT_DATA, (size + (1 << 20), -1))
        crowd = [link.call() for _ in range(600)]
        # The very line may be lost to the want of memory; then the sum comes, ten seconds later.
        failed = link.agent.wait_log(
            HANG, msg=lambda m: m.startswith("connection"), reason=lambda r: r != "ok"
        )
        assert failed["reason"] in ("internal", "limit_reached"), failed
        for sock in crowd:
            reset(sock)
        wait_for(lambda: can_exchange(link), what="an exchange after the drought")


@pytest.mark.memory
@pytest.mark.skipif(bool(sanitizer()), reason="a sanitizer's allocator has its own figures")
def test_an_idle_connection_holds_little_memory(relay, leaf, ca):
    """GnuTLS's session is 11 KiB; buffers that are not in use are not there."""
    count = 400

    def exchange():
        sock = link.call()
        word(sock, b"x" * 20_000)
        return sock

    with TlsBackend(echo, leaf, ca) as backend:
        link = relay(backend)
        for sock in in_parallel([exchange] * 20):  # what is allocated once
            sock.close()
        link.agent.wait_logs(20, msg="connection ended")
        before = link.agent.rss_kib()
        socks = [exchange() for _ in range(count)]
        assert (link.agent.rss_kib() - before) / count < 32
        for sock in socks:
            sock.close()


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 4])
def test_a_thousand_services(start, leaf, ca, gateway, workers):
    port = free_port()
    with TlsBackend(echo, leaf, ca) as backend:
        hosts = [f"127.0.{i // 250}.{i % 250 + 1}" for i in range(1000)]
        agent = start(
            config(
                *(
                    service(f"service-{i}", f"{host}:{port}", backend.port, ca)
                    for i, host in enumerate(hosts)
                ),
                certificate=gateway,
                agent={"workers": workers},
                defaults={"prewarm": 0},  # they would be too many for a backend in Python
            )
        )
        for i in (0, 1, 499, 998, 999):
            with connect(port, host=hosts[i]) as sock:
                word(sock)
            agent.ended(service=f"service-{i}", reason="ok")
        begun = time.monotonic()
        assert agent.stop() == 0
        assert time.monotonic() - begun < 5
