"""`probe` as a command: many services at once, names, wrong usage, terminals, and secrets."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import ssl
import struct
import subprocess
import termios
import time
from datetime import timedelta

import pytest
from harness.agent import config, program, section, service
from harness.backends import Backend, TlsBackend, stay_silent
from harness.net import HANG, free_port
from harness.pki import key_pem
from harness.probe import Probe, split_text

LONG = {"not_after": timedelta(days=400)}
ESCAPES = re.compile(r"\x1b\[[0-9;]*[mK]|\r")


@pytest.fixture(scope="module")
def gateway(ca):
    return ca.issue("gateway", purpose="client", **LONG)


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.issue("localhost", dns=["localhost"], **LONG)


def serve_http(connection):
    connection.read()
    connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.close_notify()
    connection.wait_closed()


@pytest.fixture
def backend(leaf, ca):
    with TlsBackend(serve_http, leaf, ca) as server:
        yield server


@pytest.fixture
def silent():
    with Backend(stay_silent) as server:
        yield server


def pair(tmp_path, ca, gateway, backend, **options):
    """A probe of two services: `orders` works, and nothing listens for `billing`."""
    text = config(
        service("orders", free_port(), backend.port, ca),
        service("billing", free_port(), free_port(), ca),
        certificate=gateway,
    )
    return Probe(tmp_path, text, **options)


# Many services


def test_fifty_services_at_once(tmp_path, ca, gateway, backend, silent):
    names = [f"service-{(37 * number) % 50:02}" for number in range(50)]
    text = config(
        *(
            service(
                name, free_port(), (silent if number % 5 < 2 else backend).port, ca,
                handshake_timeout="1s",
            )
            for number, name in enumerate(names)
        ),
        certificate=gateway,
    )
    probe = Probe(tmp_path, text)
    begun = time.monotonic()
    done = probe.run()
    assert time.monotonic() - begun < 8, "twenty seconds of silence are to be waited for at once"
    assert done.returncode == 1
    texts = split_text(done.stdout)
    assert list(texts) == names
    for number, name in enumerate(names):
        verdict = "handshake_timeout (network)" if number % 5 < 2 else "ok"
        assert texts[name].splitlines()[0] == f"{name}: {verdict}"
    bad = [name for number, name in enumerate(names) if number % 5 < 2]
    assert done.stdout.endswith(f"\n20 of 50 services are not good: {', '.join(bad)}\n")


def test_services_come_in_the_order_of_the_configuration(tmp_path, ca, gateway, backend, silent):
    """Also when the first is the last to have its verdict."""
    text = config(
        service("slow", free_port(), silent.port, ca, handshake_timeout="500ms"),
        service("quick", free_port(), backend.port, ca),
        certificate=gateway,
    )
    found = Probe(tmp_path, text).diagnose_all()
    assert list(found) == ["slow", "quick"]
    found["slow"].expect("handshake_timeout", "network")
    found["quick"].expect("ok")


def test_the_last_line_sums_up(tmp_path, ca, gateway, backend):
    assert pair(tmp_path, ca, gateway, backend).run().stdout.endswith(
        "\n1 of 2 services is not good: billing\n"
    )
    text = config(
        *(service(name, free_port(), backend.port, ca) for name in "ab"), certificate=gateway
    )
    done = Probe(tmp_path, text).run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nall 2 services are good\n")


# Names


def test_named_services_only(tmp_path, ca, gateway, backend):
    probe = pair(tmp_path, ca, gateway, backend)
    assert list(probe.diagnose_all("orders")) == ["orders"]
    assert list(probe.diagnose_all("billing", "orders", "billing")) == ["orders", "billing"]
    assert list(probe.diagnose_all("orders", "--no-http", "billing")) == ["orders", "billing"]
    assert len(backend.sessions) > 0


def test_a_service_that_is_not_named_is_left_alone(tmp_path, ca, gateway, backend):
    pair(tmp_path, ca, gateway, backend).diagnose("billing").expect("connect_refused", "network")
    assert backend.sessions == []


@pytest.mark.parametrize("typed, meant", [("order", "orders"), ("biling", "billing"), ("zq", None)])
def test_an_unknown_service(tmp_path, ca, gateway, backend, typed, meant):
    probe = pair(tmp_path, ca, gateway, backend)
    done = probe.run("orders", typed)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{probe.config} has no service '{typed}'" in done.stderr
    assert (f"did you mean '{meant}'?" in done.stderr) == (meant is not None)
    assert backend.sessions == []


# Wrong usage


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--frobnicate"], "frobnicate"),
        (["--path"], "path"),
        (["--path", "orders"], "--path"),
        (["--path", "/a b"], "--path"),
        (["--path", "/a\r\nEvil: 1"], "--path"),
        (["--path", ""], "--path"),
        (["--host", ""], "--host"),
        (["--host", "a b"], "--host"),
        (["--host", "shop.test\r\nEvil: 1"], "--host"),
        (["--host", "user@shop.test"], "--host"),
        (["--host", "shop.test/path"], "--host"),
        (["--method", ""], "--method"),
        (["--method", "GET /"], "--method"),
        (["--method", "G\nX"], "--method"),
        (["--no-http", "--path", "/"], "--no-http"),
        (["--no-http", "--method", "GET"], "--no-http"),
        (["--no-http", "--host", "a"], "--no-http"),
        (["--no-http", "--via-agent"], "--no-http"),
    ],
)
def test_wrong_usage(tmp_path, ca, gateway, backend, arguments, word):
    done = pair(tmp_path, ca, gateway, backend).run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert word in done.stderr.splitlines()[0] and "usage: mtls-agent probe" in done.stderr
    assert backend.sessions == []


def test_help():
    done = subprocess.run([program(), "probe", "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: mtls-agent probe")
    for option in ("--json", "--path", "--host", "--method", "--no-http", "--via-agent", "-c"):
        assert option in done.stdout
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


def test_the_version_names_the_libraries():
    done = subprocess.run([program(), "--version"], capture_output=True, text=True)
    assert re.search(r"libcurl \d+\.\d+\.\d+ \(GnuTLS/3\.", done.stdout), done.stdout
    assert "jansson 2." in done.stdout


def test_a_bad_configuration(tmp_path, ca, gateway, backend):
    probe = pair(tmp_path, ca, gateway, backend)
    text = probe.config.read_text()
    probe.config.write_text(f"{text}adress = 127.0.0.1:1\n")
    line = text.count("\n") + 1
    for arguments in ([], ["--json"], ["orders"]):
        done = probe.run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"{probe.config}:{line}: ") and "address" in done.stderr
    assert backend.sessions == []


def test_a_configuration_that_is_not_there(tmp_path):
    probe = Probe(tmp_path, "")
    probe.config.unlink()
    done = probe.run()
    assert (done.returncode, done.stdout) == (2, "") and str(probe.config) in done.stderr


def test_an_output_that_cannot_be_written(tmp_path, ca, gateway, backend):
    probe = pair(tmp_path, ca, gateway, backend)
    for arguments in ([], ["--json"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                probe.command("orders", *arguments), stdout=full, stderr=subprocess.PIPE,
                env=probe.env, timeout=HANG,
            )
        assert done.returncode == 1, done


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_no_output_at_all(tmp_path, ca, gateway, backend, closed):
    """Nothing that is opened later may become the output: it is as if it went to /dev/null."""
    probe = pair(tmp_path, ca, gateway, backend)
    done = subprocess.run(
        probe.command("orders"), env=probe.env, timeout=HANG,
        preexec_fn=lambda: [os.close(fd) for fd in closed],
    )
    assert done.returncode == 0
    assert not any(isinstance(part.error, ssl.SSLError) for part in backend.wait_over(2))


def test_a_reader_that_leaves(tmp_path, ca, gateway, backend):
    """As `| head -1` does: no signal ends the probe."""
    probe = pair(tmp_path, ca, gateway, backend)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(probe.command("orders"), stdout=write, env=probe.env, timeout=HANG)
    os.close(write)
    assert done.returncode == 1


# Terminals


class Terminal:
    """What a command writes on a terminal of its own; `with_stdout=False`: stderr alone is one."""

    def __init__(self, command, env, columns=80, with_stdout=True):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        stdout = slave if with_stdout else subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, env=env, stdin=slave, stdout=stdout, stderr=slave, start_new_session=True
        )
        os.close(slave)

    def read(self):
        """All of it, up to the command's end."""
        parts, deadline = [], time.monotonic() + HANG
        with contextlib.suppress(OSError):  # EIO: no process holds the other end any more
            while time.monotonic() < deadline:
                if select.select([self._master], [], [], 0.1)[0]:
                    parts.append(os.read(self._master, 1 << 16))
        os.close(self._master)
        self.status = self.process.wait(HANG)
        return b"".join(parts).decode().replace("\r\n", "\n")


def on_terminal(probe, *arguments, **options):
    env = {**probe.env, "TERM": "xterm", **options.pop("env", {})}
    env = {key: value for key, value in env.items() if value is not None}
    terminal = Terminal(probe.command(*arguments), env, **options)
    text = terminal.read()
    assert terminal.status in (0, 1), text
    return text


def test_no_colour_and_no_progress_elsewhere(tmp_path, ca, gateway, silent):
    text = config(
        service("slow", free_port(), silent.port, ca, handshake_timeout="400ms"),
        certificate=gateway,
    )
    done = Probe(tmp_path, text, env={"TERM": "xterm"}).run()
    assert done.stderr == "" and "\x1b" not in done.stdout and "probing" not in done.stdout


def test_colour_on_a_terminal(tmp_path, ca, gateway, backend):
    probe = pair(tmp_path, ca, gateway, backend)
    shown = on_terminal(probe)
    assert "orders: \x1b[32mok\x1b[0m\n" in shown
    assert "billing: \x1b[31mconnect_refused\x1b[0m (network)\n" in shown
    plain = on_terminal(probe, env={"NO_COLOR": "1"})
    assert "orders: ok\n" in plain and not re.search(r"\x1b\[\d*m", plain)


def test_every_colour_is_taken_back(tmp_path, ca, backend):
    soon = ca.issue("gateway", purpose="client", not_after=timedelta(days=2.5))
    shown = on_terminal(pair(tmp_path, ca, soon, backend))
    assert "\x1b[33m" in shown
    for line in shown.split("\n"):
        codes = re.findall(r"\x1b\[(\d*)m", line)
        assert not codes or codes[-1] in ("", "0"), repr(line)


@pytest.mark.parametrize("columns", [80, 20, 4])
def test_progress_on_a_terminal(tmp_path, ca, gateway, backend, silent, columns):
    names = ["slow-one", "a-service-with-a-long-name", "slow-two"]
    text = config(
        *(service(name, free_port(), silent.port, ca, handshake_timeout="600ms") for name in names),
        service("quick", free_port(), backend.port, ca),
        certificate=gateway,
    )
    shown = on_terminal(Probe(tmp_path, text), columns=columns, with_stdout=False)
    drawn = [part for part in ESCAPES.sub("\n", shown).split("\n") if part]
    assert drawn and all(len(part) < columns for part in drawn), repr(shown)
    assert shown.endswith("\r\x1b[K"), repr(shown)
    if columns == 80:
        assert re.match(r"probing: [01] of 4 services done; waiting for slow-one", drawn[0])


@pytest.mark.parametrize("term", ["dumb", None])
def test_no_progress_where_lines_cannot_be_erased(tmp_path, ca, gateway, silent, term):
    text = config(
        service("slow", free_port(), silent.port, ca, handshake_timeout="500ms"),
        certificate=gateway,
    )
    shown = on_terminal(Probe(tmp_path, text), env={"TERM": term}, with_stdout=False)
    assert shown == ""


def test_json_on_a_terminal(tmp_path, ca, gateway, backend):
    """Nothing but the document stays, and it has no colours."""
    shown = on_terminal(pair(tmp_path, ca, gateway, backend), "--json")
    assert json.loads(ESCAPES.sub("", shown))["good"] is False
    assert not re.search(r"\x1b\[\d*m", shown)


# What does not get out


EVIL = "\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\u202e evil"


def test_certificates_that_speak_to_the_terminal(tmp_path, pki, gateway, ca):
    evil = pki.authority(f"CA {EVIL}")
    leaf = evil.issue(f"leaf {EVIL}", dns=["localhost", "a\x1b[31mb\r\nc.test"], **LONG)
    ours = evil.issue(f"ours {EVIL}", purpose="client", **LONG)
    with TlsBackend(serve_http, leaf) as backend:
        for trusted, verdict in ((evil, "ok"), (ca, "cert_untrusted")):
            text = config(service("backend", free_port(), backend.port, trusted), certificate=ours)
            done = Probe(tmp_path, text).run()
            assert done.stdout.startswith(f"backend: {verdict}"), done.stdout
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done.stdout)
            assert all(line.startswith("    ") for line in done.stdout.splitlines()[1:])
            (found,) = Probe(tmp_path, text).json()["services"]
            assert "evil" in found["endpoints"][0]["chain"][0]["subject"]


def test_no_secret_gets_out(tmp_path, ca, gateway, backend, silent):
    """Neither with a good key nor with a password that does not fit."""
    password = "correct-horse-battery-staple"
    key, given = tmp_path / "client.key", tmp_path / "client.txt"
    key.write_bytes(key_pem(gateway.private_key, password.encode()))
    key.chmod(0o600)
    given.write_text(password)
    given.chmod(0o600)
    keys = {"cert": gateway.cert, "key": key, "password_file": given}
    text = config(
        service("backend", free_port(), backend.port, ca, certificate="mine"),
        section("certificate mine", **keys),
    )
    probe = Probe(tmp_path, text)
    good = [probe.run(), probe.run("--json")]
    given.write_text(f"not-{password}")
    bad = [probe.run(), probe.run("--json")]
    assert [done.returncode for done in good + bad] == [0, 0, 2, 2], good + bad
    plain = key_pem(gateway.private_key).decode().splitlines()[1]
    for done in good + bad:
        for secret in (password, "PRIVATE KEY", plain):
            assert secret not in done.stdout + done.stderr


def test_session_keys_are_not_written(tmp_path, ca, gateway, backend):
    log = tmp_path / "keys"
    probe = pair(tmp_path, ca, gateway, backend, env={"SSLKEYLOGFILE": str(log)})
    probe.diagnose("orders").expect("ok")
    assert not log.exists()


def test_proxies_of_the_environment_are_not_used(tmp_path, ca, gateway, backend):
    proxy = f"http://127.0.0.1:{free_port()}"
    names = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    probe = pair(tmp_path, ca, gateway, backend, env=dict.fromkeys(names, proxy))
    assert probe.diagnose("orders").expect("ok")["http"]["status"] == 200
