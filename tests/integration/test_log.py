"""The log: what a line says, and that no reader of it can hold up a session."""

import fcntl
import json
import os
import re
import resource
import select
import socket
import subprocess
import time

import pytest
from harness.agent import config, program, service
from harness.backends import TlsBackend, echo
from harness.net import HANG, connect, free_port, in_parallel, recv_exact, wait_for


@pytest.fixture
def backend(leaf, ca):
    with TlsBackend(echo, leaf, ca) as server:
        yield server


def say(sock, text=b"hello"):
    sock.sendall(text)
    assert recv_exact(sock, len(text)) == text


def exchange(port):
    with connect(port) as sock:
        say(sock)


# What a line says


def test_a_connection_s_end_is_one_line_with_all_that_is_known(relay, backend):
    link = relay(backend)
    with link.call() as sock:
        caller = "{}:{}".format(*sock.getsockname())
        say(sock, b"12345")
    line = link.agent.ended()
    assert line["service"] == "backend"
    assert line["caller"] == caller
    assert line["upstream"] == f"127.0.0.1:{backend.port}"
    assert line["tls"] == "1.3"
    assert line["cipher"]
    assert line["resumed"] == "no"
    assert (line["sent"], line["received"]) == ("5", "5")
    assert re.fullmatch(r"\d+\.\d{3}", line["duration"])
    assert (line["reason"], line["level"], line["priority"]) == ("ok", "info", "6")
    assert "detail" not in line
    assert len(link.agent.all_log(msg="connection ended")) == 1


def test_the_order_of_the_first_fields(relay, backend):
    link = relay(backend)
    link.agent.wait_log(msg="ready")
    raw = next(line for line in link.agent.raw if "msg=ready" in line)
    assert re.match(r"<6>time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=info msg=ready ", raw)


def test_json(relay, backend):
    link = relay(backend, agent={"log_format": "json"})
    exchange(link.port)
    link.agent.ended(reason="ok")
    for raw in link.agent.raw:
        line = json.loads(re.sub(r"^<\d>", "", raw))
        assert list(line)[:3] == ["time", "level", "msg"]
    end = json.loads(link.agent.raw[-1][3:])
    assert (end["sent"], end["received"]) == (5, 5)
    assert isinstance(end["duration"], float)


@pytest.mark.parametrize("level", ["error", "warning", "info", "debug"])
def test_levels(relay, backend, level):
    link = relay(backend, agent={"log_level": level})
    exchange(link.port)
    link.agent.stop()
    is_told = bool(link.agent.find_log(msg="connection ended"))
    assert is_told == (level in ("info", "debug"))


def test_a_terminal_gets_no_priorities(tmp_path, ca, gateway):
    path = tmp_path / "mtls-agent.conf"
    path.write_text(config(service("s", free_port(), 443, ca), certificate=gateway))
    master, terminal = os.openpty()
    process = subprocess.Popen([program(), "run", "-c", str(path)], stderr=terminal)
    try:
        text = b""
        while b"msg=ready" not in text:
            assert select.select([master], [], [], HANG)[0]
            text += os.read(master, 4096)
        assert re.search(rb"^time=\S+ level=info msg=ready ", text, re.MULTILINE)
        assert b"<6>" not in text
    finally:
        process.terminate()
        assert process.wait(HANG) == 0
        os.close(master)
        os.close(terminal)


def test_the_journal_gets_no_time(tmp_path, ca, gateway):
    path = tmp_path / "mtls-agent.conf"
    path.write_text(config(service("s", free_port(), 443, ca), certificate=gateway))
    reader, writer = os.pipe()
    status = os.fstat(writer)
    env = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    process = subprocess.Popen([program(), "run", "-c", str(path)], stderr=writer, env=env)
    os.close(writer)
    with open(reader, "rb") as stream:
        while not (line := stream.readline()).startswith(b"<6>level=info msg=ready "):
            assert line
        process.terminate()
        assert process.wait(HANG) == 0


# Readers that do not read


class Unread:
    """An agent whose stderr goes where the test says."""

    def __init__(self, directory, text, stderr):
        directory.mkdir(exist_ok=True)
        path = directory / "mtls-agent.conf"
        path.write_text(text)
        self.process = subprocess.Popen([program(), "run", "-c", str(path)], stderr=stderr)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def can_exchange(port):
    try:
        exchange(port)
        return True
    except OSError:
        return False


@pytest.fixture
def unread(tmp_path, backend, ca, gateway):
    """unread(STDERR) starts an agent with one service; gives it and its port."""
    port = free_port()
    text = config(service("s", port, backend.port, ca), certificate=gateway)
    started = []

    def start(stderr):
        agent = Unread(tmp_path / "agent", text, stderr)
        started.append(agent)
        wait_for(lambda: can_exchange(port), what="the agent to serve")
        return agent.process, port

    yield start
    for agent in started:
        agent.__exit__()


@pytest.fixture
def pipe():
    """A pipe of one page, so that it is soon full."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            pass


def read_available(fd):
    data = b""
    while select.select([fd], [], [], 0)[0] and (part := os.read(fd, 1 << 16)):
        data += part
    return data


def test_a_pipe_that_nobody_reads_holds_up_no_session(unread, pipe):
    reader, writer = pipe
    process, port = unread(writer)
    begun = time.monotonic()
    in_parallel([lambda: [exchange(port) for _ in range(25)]] * 8)
    assert time.monotonic() - begun < 20
    # More than the pipe holds has been logged. Now somebody reads, and finds every line whole.
    text = b""

    def read_on():
        nonlocal text
        text += read_available(reader)
        return text.count(b'msg="connection ended"') >= 200

    wait_for(read_on, what="the lines that waited")
    for line in text.splitlines():
        assert re.match(rb"<\d>time=", line), line
    process.terminate()
    assert process.wait(HANG) == 0


def test_a_pipe_that_nobody_reads_holds_up_no_end(unread, pipe):
    _, writer = pipe
    process, port = unread(writer)
    for _ in range(40):
        exchange(port)
    begun = time.monotonic()
    process.terminate()
    assert process.wait(HANG) == 0
    assert time.monotonic() - begun < 5


def test_a_reader_that_is_gone(unread, pipe):
    reader, writer = pipe
    process, port = unread(writer)
    os.close(writer)
    os.close(reader)
    for _ in range(5):
        exchange(port)
    process.terminate()
    assert process.wait(HANG) == 0


def test_a_full_disk(unread):
    with open("/dev/full", "wb") as full:
        process, port = unread(full)
    for _ in range(5):
        exchange(port)
    process.terminate()
    assert process.wait(HANG) == 0


def test_dropped_lines_are_counted_and_told(tmp_path, unread):
    """A disk that is full, and then is not: a limit on the file's size that is raised."""
    path = tmp_path / "log"
    with open(path, "wb") as file:
        process, port = unread(file)
    wait_for(lambda: b"connection ended" in path.read_bytes(), what="the first line")
    unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (path.stat().st_size + 20, unlimited[1]))
    for _ in range(5):
        exchange(port)
    wait_for(lambda: not path.read_bytes().endswith(b"\n"), what="a torn line")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
    exchange(port)
    wait_for(lambda: b"log lines were dropped" in path.read_bytes(), what="the count")
    lines = path.read_bytes().splitlines()
    told = next(line for line in lines if b"log lines were dropped" in line)
    assert int(re.search(rb"count=(\d+)", told).group(1)) >= 1
    assert sum(not line.startswith(b"<") for line in lines) == 0
    # What was torn stays a line of its own: nothing is glued to it.
    assert sum(line.count(b"time=") for line in lines) <= len(lines)
    assert all(line.count(b"<4>") + line.count(b"<6>") <= 1 for line in lines)
    process.terminate()
    assert process.wait(HANG) == 0


def test_caller_text_cannot_forge_a_line(start, backend, ca, gateway, short_path):
    """What comes from outside is escaped: here a UNIX caller's own address."""
    path = short_path / "s.sock"
    text = config(service("s", f"unix:{path}", backend.port, ca), certificate=gateway)
    agent = start(text)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(short_path / "a\nlevel=error msg=forged"))
        sock.settimeout(HANG)
        sock.connect(str(path))
        say(sock)
    agent.ended(reason="ok")
    assert not agent.find_log(msg="forged")
