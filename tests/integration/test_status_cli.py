"""`status` and `reload` as commands: against an endpoint that serves what a test makes up, and against
a real agent."""

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import unicodedata

import pytest
from harness.agent import config, is_stopped, program, section, service
from harness.backends import TlsBackend, echo
from harness.net import HANG, connect, free_port, wait_for
from harness.status import Endpoint, failing_service, made_up_service, made_up_status

SEQUENCES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


def run(*arguments, of=None, **options):
    return subprocess.run(
        [of or program(), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANG,
        **options,
    )


@pytest.fixture
def sock(short_path):
    return short_path / "status.sock"


@pytest.fixture
def serve(sock):
    """serve(DOCUMENT) starts an endpoint that the end of the test stops."""
    with contextlib.ExitStack() as running:

        def start(*arguments, **options):
            return running.enter_context(Endpoint(sock, *arguments, **options))

        yield start


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments, width=80, height=24, env=None):
        self._master, slave = pty.openpty()
        self._text, self._news = "", threading.Condition()
        self._slave, self.saved = slave, termios.tcgetattr(slave)
        self.resize(width, height)
        self.process = subprocess.Popen(
            [program(), *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=self._take_terminal,
            env={**os.environ, "TERM": "xterm", **(env or {})},
        )

    @staticmethod
    def _take_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def __enter__(self):
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def _read(self):
        pending = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(self._master, 65536):
                pending += chunk
                try:
                    text, pending = pending.decode(), b""
                except UnicodeDecodeError:
                    continue
                with self._news:
                    self._text += text
                    self._news.notify_all()

    @property
    def text(self):
        with self._news:
            return self._text

    def wait_for(self, wanted, after=0):
        """Waits until `wanted` was written; returns how much was written by then."""
        wait_for(lambda: wanted in self.text[after:], what=f"{wanted!r} in {self.text[after:]!r}")
        return len(self.text)

    def resize(self, width, height):
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def type(self, keys):
        os.write(self._master, keys)

    def wait(self):
        """Waits for the end; returns the exit status."""
        return self.process.wait(HANG)

    def finish(self):
        """Waits for the end, and for all that was written; returns the exit status."""
        status = self.wait()
        self._close_slave()
        self._reader.join(HANG)
        return status

    def _close_slave(self):
        if self._slave is not None:
            os.close(self._slave)
        self._slave = None

    def lines(self):
        """What was written, without colours."""
        return SEQUENCES.sub("", self.text).replace("\r\n", "\n").splitlines()

    def is_as_before(self):
        """True when the terminal shows keys, and takes lines, as it did at the start."""
        return termios.tcgetattr(self._slave)[3] == self.saved[3]

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._close_slave()
        self._reader.join(HANG)
        os.close(self._master)


def columns(text):
    """How wide a text is on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def on_terminal(sock, *arguments, **options):
    """The lines of `status` on a terminal, and its exit status."""
    with Terminal("status", "-s", sock, *arguments, **options) as terminal:
        status = terminal.finish()
        return terminal.lines(), status


# The table


def test_all_is_well(serve, sock):
    endpoint = serve(made_up_status(made_up_service("orders"), made_up_service("billing")))
    done = run("status", "--socket", sock)
    assert (done.returncode, done.stderr) == (0, "")
    assert endpoint.requests == ["GET /status"]
    lines = done.stdout.splitlines()
    assert lines[0] == "2 services: all ok"
    assert lines[2].split() == ["SERVICE", "STATE", "ADDRESS", "ACTIVE/TOTAL", "DAYS", "LEFT"]
    assert lines[3].split() == ["orders", "ok", "api.example.com:443", "3/120", "45", "backend"]
    assert lines[4].index("ok") == lines[3].index("ok") == lines[2].index("STATE")
    assert "process      0.1.0, pid 1234, up 3d, 2 workers" in lines
    assert "resources    12.3 MB, 1.5 s of CPU, 123/65536 descriptors, 0 log lines dropped" in lines
    assert "generation 3" in done.stdout


def test_who_fails_comes_first(serve, sock):
    serve(
        made_up_status(
            made_up_service("one"),
            failing_service("two"),
            made_up_service("three", state="no_address", endpoints=[]),
            made_up_service("four", state="unused"),
            failing_service("five"),
        )
    )
    done = run("status", "-s", sock)
    assert done.returncode == 1
    assert done.stdout.startswith("5 services: 2 failing, 1 no_address, 1 ok, 1 unused\n")
    names = re.findall(r"^(\w+) +(?:ok|failing|no_address|unused) ", done.stdout, re.M)
    assert names == ["two", "three", "five", "one", "four"]
    assert re.search(r"^two .* connect_refused network 12s$", done.stdout, re.M)
    assert "\n    10.0.0.1:443: Connection refused\n" in done.stdout


def test_several_addresses_and_days(serve, sock):
    serve(
        made_up_status(
            made_up_service("a", address=["a:1", "b:1", "c:1"], days_left={"own": 5, "ca": 9}),
            made_up_service("b", days_left={"own": 50, "ca": 9, "backend": None}),
            made_up_service("c", days_left={"own": None, "ca": None, "backend": None}),
        )
    )
    rows = [line.split() for line in run("status", "-s", sock).stdout.splitlines()[3:6]]
    assert rows[0] == ["a", "ok", "a:1", "+2", "3/120", "5", "own"]
    assert rows[1][-2:] == ["9", "ca"]
    assert rows[2][-1] == "-"


def test_what_needs_attention(serve, sock):
    certificate = {
        "name": "gateway",
        "file": "/pki/client.crt",
        "not_before": "2026-09-01T00:00:00Z",
        "not_after": "2026-11-25T00:00:00Z",
        "days_left": 4,
        "problem": "the key is another one's",
    }
    reload = {"time": "2026-11-21T11:00:00Z", "result": "refused", "faults": ["a.conf:12: bad"]}
    document = made_up_status(
        made_up_service("orders", held="the backend refuses it"),
        certificates=[certificate],
        log={"dropped": 7},
    )
    document["configuration"]["last_reload"] = reload
    serve(document)
    done = run("status", "-s", sock)
    assert done.returncode == 0, "connections are good"
    for line in (
        "certificate  gateway: the old one stays in use: the key is another one's",
        "certificate  gateway: 4 days left, until 2026-11-25; /pki/client.crt",
        "held back    orders keeps what it had: the backend refuses it",
        "             a.conf:12: bad",
    ):
        assert line in done.stdout.splitlines()
    assert "reload       refused " in done.stdout and "7 log lines dropped" in done.stdout


@pytest.mark.parametrize("state, word", [("draining", "shutting down"), ("running", "not ready")])
def test_an_agent_that_does_not_serve_all(serve, sock, state, word):
    serve(made_up_status(made_up_service("a", state="resolving"), state=state, ready=False))
    done = run("status", "-s", sock)
    assert (done.returncode, word in done.stdout.splitlines()[0]) == (0, True)


# The terminal


def thousand():
    services = [made_up_service(f"service-{number:04}") for number in range(1000)]
    services[5] = failing_service("service-0005", detail="中文 " * 99)
    services[400] = made_up_service("x" * 64, address=["y" * 200 + ".example.com:443", "b:1"])
    services[777] = failing_service("service-0777", reason="client_cert_untrusted")
    services[900] = made_up_service("z", connections={"active": 10**4, "opened": 10**15})
    return made_up_status(*services)


@pytest.mark.parametrize("width", [20, 40, 80, 81, 200])
def test_no_line_wraps(serve, sock, width):
    serve(thousand())
    lines, status = on_terminal(sock, width=width)
    assert status == 1
    assert max(map(columns, lines)) <= width
    assert sum("service-0" in line for line in lines) >= 997 or width < 80


def test_a_thousand_services_on_a_terminal(serve, sock):
    serve(thousand())
    lines, _ = on_terminal(sock)
    assert lines[0] == "1000 services: 2 failing, 998 ok"
    assert lines[3].startswith("service-0005 ") and " failing " in lines[3]
    assert lines[-1] == "2 of 1000 services fail: service-0005, service-0777", "what is seen at last"
    long = next(line for line in lines if line.startswith("xxx"))
    assert "…" in long and "com:443 +1" in long


def test_a_pipe_gets_whole_names_and_no_colour(serve, sock):
    serve(thousand())
    out = run("status", "-s", sock, env={**os.environ, "TERM": "xterm"}).stdout
    assert "x" * 64 in out and "y" * 200 in out and "\x1b" not in out and "…" not in out


@pytest.mark.parametrize(
    "env, has_colour", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colour(serve, sock, env, has_colour):
    serve(made_up_status(failing_service("orders")))
    with Terminal("status", "-s", sock, env={"NO_COLOR": "", **env}) as terminal:
        assert terminal.wait() == 1
        terminal.wait_for("descriptors")
        assert ("\x1b[31m" in terminal.text) == has_colour


def test_nothing_acts_on_the_terminal(serve, sock):
    hostile = "\x1b]0;owned\x07\x9b31m\u202e\r\n"
    serve(
        made_up_status(
            failing_service(hostile, reason=hostile, side=hostile, detail=hostile, advice=hostile),
            version=hostile,
        )
    )
    for arguments in [], ["--json"], [hostile]:
        out = run("status", "-s", sock, *arguments).stdout
        assert out and all(char == "\n" or char.isprintable() for char in out)


# Some services


def test_a_named_service(serve, sock):
    serve(made_up_status(made_up_service("orders"), failing_service("billing")))
    done = run("status", "-s", sock, "billing")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("billing: failing\n")
    for line in (
        "    listen       127.0.0.1:9001",
        "    last failure connect_refused (network) 12s ago, at 2026-11-21T11:59:50Z",
        "    why          10.0.0.1:443: Connection refused",
        "    to do        nothing listens on that port",
    ):
        assert line in done.stdout.splitlines()
    assert run("status", "-s", sock, "orders").returncode == 0, "the other one was not asked about"
    both = run("status", "-s", sock, "billing", "orders", "billing").stdout
    assert re.findall(r"^\w+: \w+$", both, re.M) == ["orders: ok", "billing: failing"]


def test_an_unknown_service(serve, sock):
    serve(made_up_status(made_up_service("orders")))
    done = run("status", "-s", sock, "order")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "mtls-agent status: the agent has no service 'order'; did you mean 'orders'?\n"
    )


def test_json(serve, sock):
    document = made_up_status(made_up_service("orders"), failing_service("billing"), new_key=[1.25])
    serve(document)
    done = run("status", "-s", sock, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (1, document)
    done = run("status", "-s", sock, "--json", "orders")
    expected = {**document, "services": document["services"][:1]}
    assert (done.returncode, json.loads(done.stdout)) == (0, expected)


# Nobody there


def test_no_socket(sock):
    done = run("status", "-s", sock)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"unix:{sock}: No such file or directory; " in done.stderr
    assert "start it" in done.stderr


def test_a_socket_that_was_left_behind(sock):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(sock))
    for name in "status", "reload":
        done = run(name, "-s", sock)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Connection refused; no agent runs here" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
@pytest.mark.parametrize("name", ["status", "reload"])
def test_a_socket_of_somebody_else(serve, sock, name, short_path):
    """Tried with a copy of the program, whose own folder may be closed to others."""
    serve(made_up_status())
    sock.chmod(0o660)
    copy = shutil.copy(program(), short_path / "mtls-agent")
    done = run(name, "-s", sock, of=copy, user=65534, group=65534, extra_groups=[])
    assert (done.returncode, done.stdout) == (1, "")
    assert "Permission denied; run this as root, or join the group mtls-agent" in done.stderr


def test_a_tcp_port_where_nobody_listens():
    done = run("status", "-s", f"127.0.0.1:{free_port()}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "refused" in done.stderr


@pytest.mark.parametrize("name", ["status", "reload"])
@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"[]", b"{}", b'{"services": [', b"\x00\xff", b"[" * 100000, b'"' * 1000],
    ids=str,
)
def test_an_answer_that_makes_no_sense(serve, sock, name, body):
    serve(body, reload=(200, body))
    done = run(name, "-s", sock)
    assert (done.returncode, done.stdout) == (1, "")
    assert "what answers is not mtls-agent" in done.stderr


@pytest.mark.parametrize("status", [404, 500])
def test_another_server(serve, sock, status):
    endpoint = serve(reload=(status, b"<html>"))
    endpoint.answers["GET"] = (status, b"<html>")
    for name in "status", "reload":
        done = run(name, "-s", sock)
        assert (done.returncode, done.stdout) == (1, "")
        assert "what answers is not mtls-agent" in done.stderr


@contextlib.contextmanager
def server_that(sock, act):
    """Takes connections; each is given to `act`, and closed at the end."""
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as open_ones:
        listener.bind(str(sock))
        listener.listen()

        def serve_all():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    open_ones.enter_context(connection)
                    with contextlib.suppress(OSError):
                        act(connection)

        thread = threading.Thread(target=serve_all)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(HANG)


@pytest.mark.parametrize(
    "said",
    [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b""],
    ids=["ssh", "cut", "nothing"],
)
def test_an_answer_that_ends_early(sock, said):
    def act(connection):
        connection.recv(4096)
        connection.sendall(said)
        connection.shutdown(socket.SHUT_RDWR)

    with server_that(sock, act):
        done = run("status", "-s", sock)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"mtls-agent status: unix:{sock}: ")


def test_a_server_that_is_silent_is_not_waited_for_for_ever(sock):
    with server_that(sock, lambda connection: None):
        begun = time.monotonic()
        done = run("status", "-s", sock)
        assert 5 < time.monotonic() - begun < 20
    assert (done.returncode, done.stdout) == (1, "")
    assert "no answer in time; the agent is stopped or overloaded" in done.stderr


# Where to ask


def write(tmp_path, text):
    path = tmp_path / "mtls-agent.conf"
    path.write_text(text)
    return path


def test_the_configuration_says_where(tmp_path, serve, sock):
    serve(made_up_status(made_up_service("orders")))
    unused = f"127.0.0.1:{free_port()}"
    path = write(tmp_path, section("agent", status=[unused, f"unix:{sock}"]))
    done = run("status", "-c", path)
    assert (done.returncode, done.stderr) == (0, ""), "UNIX sockets come first"


def test_a_configuration_with_errors_says_where(tmp_path, serve, sock):
    """Above all a reload: it tells of the errors."""
    serve(made_up_status(made_up_service("orders")))
    path = write(tmp_path, section("agent", status=f"unix:{sock}", lisen="x"))
    done = run("status", "-c", path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_next_address_is_asked(tmp_path, serve, sock):
    serve(made_up_status(made_up_service("orders")))
    path = write(tmp_path, section("agent", status=[f"unix:{sock}.old", f"unix:{sock}"]))
    assert run("status", "-c", path).returncode == 0


@pytest.mark.parametrize("name", ["status", "reload"])
def test_status_is_off(tmp_path, name):
    done = run(name, "-c", write(tmp_path, section("agent", status="off")))
    assert (done.returncode, done.stdout) == (1, "")
    assert "status is off" in done.stderr
    assert ("systemctl kill -s HUP mtls-agent" in done.stderr) == (name == "reload")


@pytest.mark.skipif(
    os.path.exists("/run/mtls-agent/status.sock"), reason="an agent of this host would answer"
)
def test_a_configuration_that_is_not_there(tmp_path):
    path = tmp_path / "none.conf"
    done = run("status", "-c", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "unix:/run/mtls-agent/status.sock: No such file or directory" in done.stderr
    assert f"{path}: No such file or directory; the standard socket was asked" in done.stderr


@pytest.mark.parametrize(
    "value", ["", "status.sock", "example.com:80", "192.0.2.1:80", "127.0.0.1", "/" + 200 * "x"]
)
@pytest.mark.parametrize("name", ["status", "reload"])
def test_a_bad_socket(name, value):
    done = run(name, "--socket", value)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"mtls-agent {name}: {value}: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "--frobnicate"],
        ["status", "--watch", "--json"],
        ["status", "--watch"],
        ["reload", "--json"],
        ["reload", "surplus"],
        ["reload", "-s"],
    ],
    ids=" ".join,
)
def test_wrong_usage(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: mtls-agent" in done.stderr


# Reload


def reloaded(**keys):
    return {
        "result": "ok", "generation": 4, "added": 1, "changed": 2, "removed": 0, "unchanged": 997,
        "faults": [], "warnings": [], **keys,
    }


def test_a_reload(serve, sock):
    endpoint = serve(reload=(200, reloaded(warnings=["a.conf:3: not much time is left"])))
    done = run("reload", "-s", sock)
    assert done.returncode == 0
    assert endpoint.requests == ["POST /reload"]
    assert done.stdout == (
        "reloaded: 1 added, 2 changed, 0 removed, 997 unchanged (generation 4)\n"
    )
    assert done.stderr == "a.conf:3: warning: not much time is left\n"


def test_a_reload_that_is_refused(serve, sock):
    faults = ["a.conf:12: unknown key 'lisen'", "b.conf:1: no such file"]
    serve(reload=(422, reloaded(result="refused", generation=3, faults=faults)))
    done = run("reload", "-s", sock)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        *faults,
        "mtls-agent reload: refused; the old configuration stays in force (generation 3)",
    ]


@pytest.mark.parametrize("status, said", [(403, "a UNIX socket only"), (503, "shutting down")])
def test_a_reload_at_the_wrong_place_or_time(serve, sock, status, said):
    serve(reload=(status, b""))
    done = run("reload", "-s", sock)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_a_reload_is_not_sent_to_tcp_behind_a_unix_socket(tmp_path, sock):
    path = write(tmp_path, section("agent", status=[f"unix:{sock}", f"127.0.0.1:{free_port()}"]))
    done = run("reload", "-c", path)
    assert done.returncode == 1
    assert f"unix:{sock}: No such file" in done.stderr


# Watch


@pytest.fixture
def watch(serve, sock):
    """A terminal on which `status --watch` runs, and the endpoint."""
    endpoint = serve(made_up_status(made_up_service("orders")))
    with Terminal("status", "-s", sock, "--watch") as terminal:
        terminal.wait_for("1 service: 1 ok")
        yield terminal, endpoint


def test_watch_draws_again(watch):
    terminal, endpoint = watch
    assert terminal.text.startswith(ENTER)
    assert all(len(line) <= 80 for line in terminal.lines())
    endpoint.serve(made_up_status(failing_service("orders")))
    terminal.wait_for("1 service: 1 failing")
    terminal.type(b"q")
    assert terminal.wait() == 0
    terminal.wait_for(LEAVE)
    assert terminal.is_as_before()


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_watch_gives_the_terminal_back(watch, sig):
    terminal, _ = watch
    wait_for(lambda: not terminal.is_as_before(), what="keys to be hidden")
    if sig == signal.SIGINT:
        terminal.type(b"\x03")
    else:
        terminal.process.send_signal(sig)
    assert terminal.wait() == -sig
    terminal.wait_for(LEAVE)
    assert terminal.is_as_before()


def test_watch_is_stopped_and_goes_on(watch):
    terminal, _ = watch
    terminal.process.send_signal(signal.SIGTSTP)
    seen = terminal.wait_for(LEAVE)
    wait_for(terminal.is_as_before, what="the terminal to be as it was")
    wait_for(lambda: is_stopped(terminal.process.pid), what="the process to be stopped")
    terminal.process.send_signal(signal.SIGCONT)
    seen = terminal.wait_for(ENTER, after=seen)
    terminal.wait_for("orders", after=seen)


def test_watch_follows_the_size(watch):
    terminal, endpoint = watch
    endpoint.serve(made_up_status(*(failing_service(f"orders-{n:02}") for n in range(50))))
    seen = terminal.wait_for("50 services: 50 failing")
    assert "orders-20" not in terminal.text, "24 lines do not hold them"
    terminal.resize(120, 200)
    terminal.process.send_signal(signal.SIGWINCH)
    seen = terminal.wait_for("orders-49", after=seen)
    terminal.resize(40, 10)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.wait_for("and 49 more services", after=seen)


def test_watch_survives_a_restart(short_path):
    sock = short_path / "other.sock"
    with contextlib.ExitStack() as running:
        with Endpoint(sock, made_up_status(made_up_service("orders"))):
            terminal = running.enter_context(Terminal("status", "-s", sock, "--watch"))
            seen = terminal.wait_for("1 service: 1 ok")
        seen = terminal.wait_for("No such file or directory", after=seen)
        assert "no answer for " in terminal.text
        with Endpoint(sock, made_up_status(made_up_service("a"), made_up_service("b"))):
            terminal.wait_for("2 services: all ok", after=seen)
            terminal.type(b"q")
            assert terminal.wait() == 0


def test_watch_that_finds_nobody_ends(sock):
    with Terminal("status", "-s", sock, "--watch") as terminal:
        assert terminal.wait() == 1
        terminal.wait_for("No such file or directory")
        assert ENTER not in terminal.text


# A real agent


@pytest.fixture
def agent(start, sock, ca, gateway, leaf):
    """An agent with a service that works, one that does not, and one that nobody calls."""
    with TlsBackend(echo, leaf, ca) as backend:
        port, dead = free_port(), free_port()
        text = config(
            service("good", port, backend.port, ca),
            service("bad", dead, free_port(), ca),
            service("idle", free_port(), backend.port, ca),
            certificate=gateway,
            agent={"status": [f"unix:{sock}", f"127.0.0.1:{free_port()}"]},
            defaults={"prewarm": 0},  # handshakes are counted
        )
        agent = start(text)
        with connect(port) as caller:
            caller.sendall(b"hello")
            assert caller.recv(5) == b"hello"
        with connect(dead) as caller, contextlib.suppress(ConnectionError):
            assert caller.recv(1) == b""
        agent.ended(service="good")
        agent.ended(service="bad")
        yield agent


def rows(out):
    """The table, as a dict of the name to the other words."""
    found = re.findall(r"^(\w+) +((?:ok|failing|unused|resolving|no_address) .*)$", out, re.M)
    return {name: rest.split() for name, rest in found}


def test_an_agent_tells_how_it_is(agent):
    done = run("status", "-c", agent.config)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("3 services: 1 failing, 1 ok, 1 unused\n")
    table = rows(done.stdout)
    assert list(table) == ["bad", "good", "idle"]
    assert table["good"][0] == "ok" and table["good"][2] == "0/1"
    assert table["bad"][0] == "failing" and table["bad"][2] == "0/1"
    assert "connect_refused" in table["bad"] and "network" in table["bad"]
    assert table["idle"][0] == "unused" and table["idle"][2] == "0/0"
    assert f"pid {agent.pid}," in done.stdout and "generation 1" in done.stdout


def test_an_agent_tells_about_a_service(agent):
    done = run("status", "-c", agent.config, "good")
    assert (done.returncode, done.stderr) == (0, "")
    for said in ("good: ok\n", " 0 active, 1 in total", "ended        1 ok\n", " 1 full, 0 resumed"):
        assert said in done.stdout
    assert "5 bytes sent, 5 bytes received" in done.stdout
    assert re.search(r"^    certificate  gateway: \d+ days left$", done.stdout, re.M)
    assert re.search(r"^    backend      \d+ days left, until 20\d\d-", done.stdout, re.M)


def test_an_agent_reloads(agent, ca):
    text = agent.config.read_text()
    agent.config.write_text(text + service("new", free_port(), free_port(), ca))
    done = run("reload", "-c", agent.config)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "reloaded: 1 added, 0 changed, 0 removed, 3 unchanged (generation 2)\n"
    agent.config.write_text(text.replace("service idle", "service other"))
    assert "1 added, 0 changed, 2 removed, 2 unchanged" in run("reload", "-c", agent.config).stdout


def test_an_agent_refuses_a_reload(agent):
    text = agent.config.read_text()
    agent.config.write_text(text + "lisen = 127.0.0.1:1\n")
    line = text.count("\n") + 1
    done = run("reload", "-c", agent.config)
    assert (done.returncode, done.stdout) == (2, "")
    first, last = done.stderr.splitlines()
    assert first.startswith(f"{agent.config}:{line}: ") and "did you mean" in first
    assert last.endswith("refused; the old configuration stays in force (generation 1)")
    out = run("status", "-c", agent.config).stdout
    assert list(rows(out)) == ["bad", "good", "idle"]
    assert "reload       refused " in out and first in out


def test_an_agent_of_another_configuration_is_not_reloaded(agent, tmp_path):
    """A new file at the agent's own path is its own, and so is a link to it."""
    text = agent.config.read_text()
    other = write(tmp_path, text + "this is no configuration\n")
    agent.config.write_text(text.replace("service idle", "service other"))
    done = run("reload", "-c", other)
    assert (done.returncode, done.stdout) == (1, "")
    for said in (str(agent.config), str(other), "nothing was reloaded"):
        assert said in done.stderr
    assert list(rows(run("status", "-c", agent.config).stdout)) == ["bad", "good", "idle"]
    link = tmp_path / "link.conf"
    link.symlink_to(agent.config)
    done = run("reload", "-c", link)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 added, 0 changed, 1 removed" in done.stdout


def test_an_agent_whose_status_is_off_is_reloaded_by_signal(start, ca, gateway):
    text = config(service("own", free_port(), free_port(), ca), certificate=gateway)
    agent = start(text)
    assert "status = off" in text
    done = run("reload", "-c", agent.config, env={**os.environ, "MAINPID": str(agent.pid)})
    assert (done.returncode, done.stderr) == (0, "")
    assert "signal" in done.stdout
    agent.wait_log(msg="reloaded")
    assert agent.process.poll() is None


@pytest.mark.parametrize("pid", [None, "", "nobody", "99999999999999999999"])
def test_status_is_off_and_there_is_no_main_process(tmp_path, pid):
    path = write(tmp_path, section("agent", status="off"))
    env = {key: value for key, value in os.environ.items() if key != "MAINPID"}
    done = run("reload", "-c", path, env=env if pid is None else {**env, "MAINPID": pid})
    assert (done.returncode, done.stdout) == (1, "")
    assert "status is off" in done.stderr and "systemctl kill -s HUP mtls-agent" in done.stderr


def test_an_agent_takes_no_reload_by_tcp(agent):
    port = re.search(r"^status = (127\S+)", agent.config.read_text(), re.M).group(1)
    assert run("status", "-s", port).stdout.startswith("3 services: ")
    done = run("reload", "-s", port)
    assert (done.returncode, done.stdout) == (1, "")
    assert "by a UNIX socket only" in done.stderr


def test_an_agent_that_is_stopped(agent):
    with agent.stopped():
        done = run("status", "-c", agent.config)
        assert (done.returncode, done.stdout) == (1, "")
        assert "no answer in time; the agent is stopped or overloaded" in done.stderr
    assert run("status", "-c", agent.config).stdout.startswith("3 services: ")
