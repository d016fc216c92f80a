"""The agent under test as a context manager, its log as data, and its configuration as text."""

import contextlib
import functools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import pytest

from .net import HANG, is_readable, wait_for

TREE = Path(__file__).resolve().parents[3]
_SANITIZER = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer"
)
_FIELD = re.compile(r'([\w.-]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?:\s|$)')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)")
_PLAIN = {"n": "\n", "t": "\t", "r": "\r"}

# Becomes the program with these sockets as its descriptors from 3 on, as systemd does it.
_HAND_OVER = """
import fcntl, os, sys
names, fds, command = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
kept = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 1000) for fd in fds]
os.closerange(3, 1000)
for i, fd in enumerate(kept):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""


def is_stopped(pid):
    """Whether the stop has happened by now; a signal to go on that comes sooner is lost."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def program():
    """The path of the program under test."""
    return os.environ.get("MTLS_AGENT", str(TREE / "mtls-agent"))


@functools.lru_cache
def sanitizer():
    """What the program was built with: "address", "thread" or ""."""
    path = Path(program())
    image = path.read_bytes() if path.exists() else b""
    return "address" if b"__asan_init" in image else "thread" if b"__tsan_init" in image else ""


def parse_line(text):
    """One line of the log as a dict of strings; None for what is no log line."""
    priority = re.match(r"<(\d)>", text)
    text = text[priority.end() :] if priority else text
    fields = _parse_json(text) if text.startswith("{") else _parse_logfmt(text)
    if fields is not None and priority:
        fields["priority"] = priority.group(1)
    return fields


def _parse_json(text):
    try:
        return {key: _as_text(value) for key, value in json.loads(text).items()}
    except ValueError:
        return None


def _as_text(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _parse_logfmt(text):
    fields, position = {}, 0
    text = text.strip()
    while position < len(text):
        field = _FIELD.match(text, position)
        if not field:
            return None
        key, value = field.groups()
        fields[key] = _unquote(value) if value.startswith('"') else value
        position = field.end()
    return fields or None


def _unquote(value):
    def plain(escape):
        code = escape.group(1)
        return chr(int(code[1:], 16)) if len(code) > 1 else _PLAIN.get(code, code)

    return _ESCAPE.sub(plain, value[1:-1])


class Agent:
    """A running `mtls-agent run`.

    Entering the context starts it and waits until it is ready (`ready=False`: does not wait).
    Leaving the context stops it, and fails on a crash or a sanitizer's report. `sockets` are pairs
    of a name and a listening socket, which it is handed as systemd does it.
    """

    _count = 0

    def __init__(
        self,
        directory,
        config_text,
        env=None,
        ready=True,
        arguments=None,
        preexec=None,
        sockets=None,
    ):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config = self.directory / "mtls-agent.conf"
        self.config.write_text(config_text)
        self.log, self.raw = [], []
        self.process = None
        self._wants_ready, self._preexec = ready, preexec
        self._arguments = arguments or ["run", "-c", str(self.config)]
        self._sockets = sockets or []
        self._news = threading.Condition()
        self._notify = None
        self._env = self._environment(env or {})

    def _environment(self, extra):
        env = {**os.environ, **extra}
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:detect_stack_use_after_return=1")
        env.setdefault("TSAN_OPTIONS", "second_deadlock_stack=1")
        if "NOTIFY_SOCKET" not in extra:
            env["NOTIFY_SOCKET"] = self._open_notify_socket()
        return env

    def _open_notify_socket(self):
        Agent._count += 1
        name = f"mtls-agent-test-{os.getpid()}-{Agent._count}"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind("\0" + name)
        return "@" + name

    def _command(self):
        command = [program(), *self._arguments]
        if not self._sockets:
            return command
        names = ":".join(name for name, _ in self._sockets)
        fds = ",".join(str(sock.fileno()) for _, sock in self._sockets)
        return [sys.executable, "-c", _HAND_OVER, names, fds, *command]

    def __enter__(self):
        self.process = subprocess.Popen(
            self._command(),
            env=self._env,
            pass_fds=[sock.fileno() for _, sock in self._sockets],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=self._preexec,
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (self.process.stderr, self.process.stdout)
        ]
        for reader in self._readers:
            reader.start()
        if self._wants_ready:
            try:
                self.wait_ready()
            except BaseException:
                self._kill()
                raise
        return self

    def _read(self, stream):
        for line in stream:
            text = line.decode(errors="backslashreplace").rstrip("\n")
            fields = parse_line(text)
            with self._news:
                self.raw.append(text)
                if fields:
                    self.log.append(fields)
                self._news.notify_all()
        stream.close()

    def wait_ready(self, timeout=HANG):
        """Waits for READY=1 or the log's `msg=ready`, whichever comes first."""

        def ready():
            assert self.process.poll() is None, f"the agent ended at its start:\n{self.dump()}"
            return self._was_notified() or self.find_log(msg="ready")

        try:
            wait_for(ready, timeout, "the agent to be ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.dump()}") from None

    def _was_notified(self):
        if not self._notify:
            return False
        return is_readable(self._notify) and b"READY=1" in self._notify.recv(4096)

    @property
    def pid(self):
        return self.process.pid

    def dump(self):
        """All that the agent has written, for messages."""
        with self._news:
            return "\n".join(self.raw)

    def find_log(self, **fields):
        """The first log line with all these fields, or None. A callable judges the field's text."""
        with self._news:
            return next((line for line in self.log if _matches(line, fields)), None)

    def all_log(self, **fields):
        """All log lines with these fields so far."""
        with self._news:
            return [line for line in self.log if _matches(line, fields)]

    def wait_log(self, timeout=10, **fields):
        """The first log line with all these fields; fails with the whole log."""
        return self.wait_logs(1, timeout, **fields)[0]

    def wait_logs(self, count, timeout=10, **fields):
        """The first `count` such lines."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                found = [line for line in self.log if _matches(line, fields)]
                if len(found) >= count:
                    return found[:count]
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(
                        f"{len(found)} of {count} lines with {fields} in {timeout} s:\n"
                        + self._tail(fields.get("service"))
                    )
                self._news.wait(left)

    def _tail(self, service):
        """The last lines, without those that name another service."""
        mine = [line for line in self.log if not service or line.get("service", service) == service]
        rest = [line for line in self.raw if not parse_line(line)]
        return "\n".join([*map(str, mine[-40:]), *rest[-100:]])

    def ended(self, timeout=10, **fields):
        """The line of a connection's end."""
        return self.wait_log(timeout, msg="connection ended", **fields)

    def rss_kib(self):
        """Resident memory now."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def fds(self):
        """How many descriptors are open now. The agent hides that from all but root."""
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))
        except PermissionError:
            pytest.skip("only root can count the agent's descriptors")

    def cpu_seconds(self):
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, sig):
        self.process.send_signal(sig)

    @contextlib.contextmanager
    def stopped(self):
        """Nothing happens in the agent meanwhile."""
        self.signal(SIGSTOP)
        try:
            wait_for(lambda: is_stopped(self.pid), what="the stop")
            yield
        finally:
            self.signal(SIGCONT)

    def wait(self, timeout=20):
        """Waits for the end; returns the exit status (negative: the signal that killed it)."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            everything = self.dump()
            self._kill()
            raise AssertionError(f"the agent did not end in {timeout} s:\n{everything}") from None
        for reader in self._readers:
            reader.join(HANG)
        return status

    def stop(self, sig=SIGTERM, timeout=20):
        """Sends `sig`, unless it has ended, and returns the exit status."""
        if self.process.poll() is None:
            self.signal(sig)
        return self.wait(timeout)

    def _kill(self):
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(HANG)
        if self._notify:
            self._notify.close()

    def __exit__(self, kind, *_):
        try:
            status = self.stop()
        finally:
            if self._notify:
                self._notify.close()
        if kind is None:
            self.check_health(status)

    def check_health(self, status):
        """Fails when the exit status tells of a crash, or the output of a sanitizer's finding."""
        report = _SANITIZER.search(self.dump())
        assert not report, f"a sanitizer's report:\n{self.dump()}"
        assert status in (0, 1, -SIGKILL), f"the agent ended with {status}:\n{self.dump()}"


def _matches(line, fields):
    return all(
        wanted(line.get(key)) if callable(wanted) else line.get(key) == str(wanted)
        for key, wanted in fields.items()
    )


def section(title, **keys):
    """One section of the configuration; a list gives its key once for each value."""
    lines = [f"[{title}]"]
    for key, value in keys.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item is not None:
                lines.append(f"{key} = {item}")
    return "\n".join(lines) + "\n"


def service(name, port, backend_port, ca, sni="localhost", **keys):
    """A `[service]` that listens on a loopback port (or `unix:/path`) and leads to a port of
    127.0.0.1, to an address in text form, or to a list of either. `ca` is a path, or an authority
    that has one in `.cert`."""
    backends = backend_port if isinstance(backend_port, (list, tuple)) else [backend_port]
    return section(
        f"service {name}",
        listen=port if isinstance(port, str) else f"127.0.0.1:{port}",
        address=[f"127.0.0.1:{b}" if isinstance(b, int) else b for b in backends],
        ca=getattr(ca, "cert", ca),
        sni=sni,
        **keys,
    )


def _further_defaults():
    """What the environment puts into every [defaults], as in "prewarm = 2; prewarm_max_age = 5s",
    unless a test sets the key itself."""
    lines = os.environ.get("MTLS_AGENT_TEST_DEFAULTS", "").split(";")
    pairs = (line.partition("=") for line in lines if line.strip())
    return {key.strip(): value.strip() for key, _, value in pairs}


def config(*services, certificate=None, agent=None, defaults=None):
    """A whole configuration: one worker, a quick end, handshakes as long as a busy machine may need
    and no status endpoint, unless told otherwise. `certificate` is the gateway's own: anything with
    `.cert` and `.key`."""
    text = section(
        "agent",
        **{
            "workers": 1,
            "log_level": "info",
            "status": "off",
            "shutdown_timeout": "1s",
            **(agent or {}),
        }
    )
    common = {"handshake_timeout": "1m", **_further_defaults(), **(defaults or {})}
    if certificate:
        text += section("certificate gateway", cert=certificate.cert, key=certificate.key)
        common.setdefault("certificate", "gateway")
    return text + section("defaults", **common) + "".join(services)
