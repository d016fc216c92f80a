"""The status endpoint as Prometheus, a browser, an operator and a troublemaker meet it."""

import contextlib
import http.client
import json
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest
from harness.agent import TREE, config, service
from harness.backends import TlsBackend, echo
from harness.dns import DnsServer, PrivateResolver, why_not
from harness.net import (
    HANG,
    connect,
    expect_reset,
    free_port,
    in_parallel,
    recv_all,
    recv_exact,
    wait_for,
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MANUAL = (TREE / "agent/status/mtls-agent-metrics.7").read_text()
ALERTS = TREE / "conf/examples/mtls-agent-alerts.yml"

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs chromium")
needs_dns = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=HANG)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.text = response.read().decode()

    def json(self):
        return json.loads(self.text)


class Status:
    """The endpoint of an agent that runs, by both ways."""

    def __init__(self, agent, path, port):
        self.agent, self.path, self.port = agent, path, port

    def ask(self, path, method="GET", by="unix", **options):
        if by == "unix":
            link = UnixConnection(self.path)
        else:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG)
        with contextlib.closing(link):
            link.request(method, path, **options)
            return Answer(link.getresponse())

    def document(self):
        return self.ask("/status").json()

    def service(self, name="backend"):
        return next(one for one in self.document()["services"] if one["name"] == name)

    def metric(self, name, **labels):
        """The value of a sample, or None."""
        for line in self.ask("/metrics").text.splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if found and found.group(1) == name:
                here = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found.group(2) or ""))
                if labels.items() <= here.items():
                    return float(found.group(3))
        return None


@pytest.fixture
def backend(leaf, ca):
    with TlsBackend(echo, leaf, ca) as server:
        yield server


@pytest.fixture
def launch(start, short_path, gateway):
    """launch(SERVICE…) starts an agent with an endpoint on a UNIX socket and a TCP port."""

    def launch_agent(*services, agent=None, **options):
        path, port = short_path / "status.sock", free_port()
        listens = {"status": [f"unix:{path}", f"127.0.0.1:{port}"], **(agent or {})}
        text = config(*services, certificate=gateway, agent=listens)
        return Status(start(text, **options), path, port)

    return launch_agent


@pytest.fixture
def status(launch, backend, ca):
    """An endpoint, and in `.listens` a service that works and one that does not."""
    good, bad = free_port(), free_port()
    running = launch(
        service("backend", good, backend.port, ca),
        service("nobody", bad, free_port(), ca, prewarm=0),  # attempts are counted
    )
    running.listens = {"backend": good, "nobody": bad}
    return running


def exchange(port, text=b"hello"):
    with connect(port) as sock:
        sock.sendall(text)
        assert recv_exact(sock, len(text)) == text


# Routes


@pytest.mark.parametrize("by", ["unix", "tcp"])
@pytest.mark.parametrize(
    "path, kind",
    [
        ("/", "text/html; charset=utf-8"),
        ("/status", "application/json"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/healthz", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
    ],
)
def test_what_can_be_read(status, path, kind, by):
    answer = status.ask(path, by=by)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Connection"] == "close"
    assert answer.text
    head = status.ask(path, method="HEAD", by=by)
    assert (head.status, head.headers["Content-Type"], head.text) == (200, kind, "")


@pytest.mark.parametrize("by", ["unix", "tcp"])
@pytest.mark.parametrize(
    "method, path, code, allow",
    [
        ("GET", "/nowhere", 404, None),
        ("POST", "/nowhere", 404, None),
        ("GET", "/metrics/", 404, None),
        ("POST", "/metrics", 405, "GET, HEAD"),
        ("DELETE", "/status", 405, "GET, HEAD"),
        ("GET", "/reload", 405, "POST"),
        ("PUT", "/reload", 405, "POST"),
    ],
)
def test_what_cannot(status, method, path, code, allow, by):
    answer = status.ask(path, method=method, by=by)
    assert (answer.status, answer.headers["Allow"]) == (code, allow)


def test_a_reload_by_the_unix_socket_only(status):
    refused = status.ask("/reload", method="POST", by="tcp")
    assert refused.status == 403
    assert status.document()["configuration"]["last_reload"]["result"] == "none"
    answer = status.ask("/reload", method="POST")
    assert answer.status == 200
    outcome = answer.json()
    assert list(outcome) == [
        "result",
        "generation",
        "added",
        "changed",
        "removed",
        "unchanged",
        "faults",
        "warnings",
    ]
    assert (outcome["result"], outcome["unchanged"], outcome["faults"]) == ("ok", 2, [])
    assert status.document()["configuration"]["last_reload"]["result"] == "ok"
    assert status.metric("mtls_agent_last_reload_successful") == 1


def test_a_reload_that_is_refused(status):
    before = status.document()["configuration"]["generation"]
    with status.agent.config.open("a") as file:
        file.write("\n[service broken]\nadress = localhost:1\n")
    answer = status.ask("/reload", method="POST")
    assert answer.status == 422
    outcome = answer.json()
    assert (outcome["result"], outcome["generation"]) == ("refused", before)
    assert any("mtls-agent.conf:" in fault and "adress" in fault for fault in outcome["faults"])
    now = status.document()["configuration"]
    assert now["last_reload"]["result"] == "refused"
    assert now["last_reload"]["faults"] == outcome["faults"]
    assert status.metric("mtls_agent_last_reload_successful") == 0
    assert "The last reload was refused" in status.ask("/").text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9464", "127.0.0.1.evil.example"])
def test_a_name_that_was_made_to_lead_here(status, host):
    for path in "/", "/metrics", "/status", "/nowhere":
        assert status.ask(path, by="tcp", headers={"Host": host}).status == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:9464"])
def test_names_of_this_host(status, host):
    assert status.ask("/healthz", by="tcp", headers={"Host": host}).status == 200


def test_the_socket_is_for_its_owner_and_group(status):
    mode = status.path.stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660


# The document

NULL = type(None)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
COUNTS = dict
SERVICE = {
    "name": str,
    "state": str,
    "listen": [str],
    "address": [str],
    "certificate": (str, NULL),
    "ca": str,
    "endpoints": [str],
    "dns": {"age_seconds": (float, NULL), "failure": (str, NULL)},
    "connections": {"active": int, "opened": int, "limit": int, "ended": COUNTS},
    "bytes": {"sent": int, "received": int},
    "handshakes": {"full": int, "resumed": int, "failed": COUNTS},
    "warm": {
        "ready": int,
        "used": int,
        "aged": int,
        "closed": int,
        "failed": int,
        "dropped": int,
    },
    "attempts_failed": COUNTS,
    "last_success": (TIME, NULL),
    "last_failure": (dict, NULL),
    "days_left": {"own": (int, NULL), "ca": (int, NULL), "backend": (int, NULL)},
    "backend_not_after": (TIME, NULL),
    "held": (str, NULL),
}
DOCUMENT = {
    "version": str,
    "pid": int,
    "state": str,
    "ready": bool,
    "started": TIME,
    "uptime_seconds": float,
    "workers": int,
    "configuration": {
        "file": str,
        "generation": int,
        "changed": TIME,
        "last_reload": {"time": (TIME, NULL), "result": str, "faults": [str]},
    },
    "log": {"dropped": int},
    "process": {
        "resident_bytes": int,
        "cpu_seconds": float,
        "open_descriptors": int,
        "max_descriptors": int,
    },
    "certificates": [
        {
            "name": str,
            "file": str,
            "subject": str,
            "issuer": str,
            "not_before": TIME,
            "not_after": TIME,
            "days_left": int,
            "problem": (str, NULL),
        }
    ],
    "cas": [
        {
            "file": str,
            "certificates": [{"subject": str, "not_after": TIME, "days_left": int}],
            "crls": [{"source": str, "issuer": str, "next_update": (TIME, NULL)}],
            "problem": (str, NULL),
        }
    ],
    "services": [SERVICE],
}
FAILURE = {
    "time": TIME,
    "age_seconds": float,
    "reason": str,
    "side": str,
    "detail": str,
    "advice": str,
}


def check_schema(value, schema, where="document"):
    if isinstance(schema, dict):
        assert list(value) == list(schema), where
        for key, inner in schema.items():
            check_schema(value[key], inner, f"{where}.{key}")
    elif isinstance(schema, list):
        assert isinstance(value, list), where
        for one in value:
            check_schema(one, schema[0], f"{where}[]")
    elif isinstance(schema, tuple):
        if value is not None:
            check_schema(value, schema[0], where)
    elif schema is TIME:
        assert TIME.fullmatch(value), where
    else:
        assert isinstance(value, schema) and isinstance(value, bool) == (schema is bool), where


def test_the_document_has_every_key(status):
    exchange(status.listens["backend"])
    document = status.document()
    check_schema(document, DOCUMENT)
    assert document["pid"] == status.agent.pid
    assert (document["state"], document["ready"], document["workers"]) == ("running", True, 1)
    assert document["configuration"]["file"] == str(status.agent.config)


def test_every_key_is_in_the_manual(status):
    def keys(schema):
        if isinstance(schema, dict):
            for key, inner in schema.items():
                yield key
                yield from keys(inner)
        elif isinstance(schema, list):
            yield from keys(schema[0])

    described = MANUAL[MANUAL.index(".Sh THE DOCUMENT") :]
    for key in {*keys(DOCUMENT), *FAILURE}:
        assert re.search(rf"^\.(It )?Li .*\b{key}\b", described, re.M), key


def test_a_service_that_works(launch, backend, ca):
    port = free_port()
    status = launch(service("backend", port, backend.port, ca, prewarm=0))  # it counts handshakes
    assert status.service()["state"] == "unused"
    with connect(port) as sock:
        sock.sendall(b"hello")
        assert recv_exact(sock, 5) == b"hello"
        during = status.service()
        assert (during["state"], during["connections"]["active"]) == ("ok", 1)
    status.agent.ended(reason="ok")
    wait_for(lambda: status.service()["connections"]["active"] == 0)
    after = status.service()
    assert after["connections"]["opened"] == 1
    assert after["connections"]["ended"] == {"ok": 1}
    assert after["bytes"] == {"sent": 5, "received": 5}
    assert (after["handshakes"]["full"], after["handshakes"]["failed"]) == (1, {})
    assert after["last_success"] and after["last_failure"] is None
    assert after["backend_not_after"] and after["days_left"]["backend"] > 0
    assert status.metric("mtls_agent_handshakes_total", service="backend", kind="full") == 1
    assert status.metric("mtls_agent_connect_duration_seconds_count", service="backend") == 1
    assert status.metric("mtls_agent_handshake_duration_seconds_count", service="backend") == 1
    assert status.metric("mtls_agent_received_bytes_total", service="backend") == 5


def test_a_service_that_fails(status):
    with connect(status.listens["nobody"]) as sock:
        expect_reset(sock)
    failing = wait_for(lambda: (one := status.service("nobody"))["last_failure"] and one)
    assert failing["state"] == "failing"
    check_schema(failing["last_failure"], FAILURE)
    assert failing["last_failure"]["reason"] == "connect_refused"
    assert failing["last_failure"]["side"] == "network"
    assert failing["attempts_failed"] == {"connect_refused": 1}
    labels = {"service": "nobody", "reason": "connect_refused", "side": "network"}
    assert status.metric("mtls_agent_attempts_failed_total", **labels) == 1
    assert status.metric("mtls_agent_service_state", service="nobody", state="failing") == 1
    assert "connect_refused" in status.ask("/").text


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_a_client_certificate_that_is_refused(launch, leaf, other_ca, ca, tls):
    """Though in TLS 1.3 the refusal comes when the handshake is done for this side."""
    labels = {"service": "backend"}
    why = {"reason": "client_cert_untrusted"}
    with TlsBackend(echo, leaf, other_ca, tls=tls) as strict:
        port = free_port()
        status = launch(service("backend", port, strict.port, ca, prewarm=0))  # it counts failures
        with connect(port) as sock:
            expect_reset(sock)
        status.agent.ended(**why)
        failing = wait_for(lambda: (one := status.service())["last_failure"] and one)
    assert failing["state"] == "failing" and failing["last_success"] is None
    assert failing["last_failure"]["reason"] == why["reason"]
    assert failing["handshakes"]["full"] == failing["handshakes"]["resumed"] == 0
    assert failing["handshakes"]["failed"] == {why["reason"]: 1}
    assert status.metric("mtls_agent_handshakes_total", kind="full", **labels) == 0
    assert status.metric("mtls_agent_handshakes_failed_total", **labels, **why) == 1


def test_the_share_that_is_resumed(launch, backend, ca):
    port = free_port()
    status = launch(service("backend", port, backend.port, ca, prewarm=0))
    for n in (1, 2, 3):
        exchange(port)
        status.agent.wait_logs(n, msg="connection ended", reason="ok")
    assert status.service()["handshakes"] == {"full": 1, "resumed": 2, "failed": {}}
    assert status.metric("mtls_agent_handshakes_total", kind="resumed", service="backend") == 2
    assert "67% of handshakes resumed" in status.ask("/").text


def test_warm_sessions(launch, backend, ca):
    """They are told of, with what became of them, where there are any."""
    port = free_port()
    status = launch(
        service("backend", port, backend.port, ca, prewarm=2),
        service("cold", free_port(), backend.port, ca, prewarm=0),
    )
    wait_for(lambda: status.service()["warm"]["ready"] == 2)
    exchange(port)
    wait_for(lambda: status.service()["warm"]["ready"] == 2)
    expected = {"ready": 2, "used": 1, "aged": 0, "closed": 0, "failed": 0, "dropped": 0}
    assert status.service()["warm"] == expected
    assert status.metric("mtls_agent_warm_sessions", service="backend") == expected.pop("ready")
    for result, count in expected.items():
        labels = {"service": "backend", "result": result}
        assert status.metric("mtls_agent_warm_sessions_ended_total", **labels) == count
    assert "2 warm sessions ready, 1 used" in status.ask("/").text
    assert set(status.service("cold")["warm"].values()) == {0}
    assert status.metric("mtls_agent_warm_sessions", service="cold") is None
    assert status.metric("mtls_agent_warm_sessions_ended_total", service="cold") is None


# Metrics


@needs_promtool
def test_prometheus_likes_the_metrics(status):
    def call(i):
        return lambda: exchange(status.listens["backend"], b"x" * (i + 1))

    def load():
        in_parallel([call(i) for i in range(20)])

    def look():
        text = status.ask("/metrics", by="tcp").text
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), text
        check_histograms(text)

    with connect(status.listens["nobody"]) as sock:
        expect_reset(sock)
    in_parallel([load, load, look, look, look])
    look()


def check_histograms(text):
    """Buckets do not fall, and the last one is the count."""
    buckets = {}
    for name, labels, count in re.findall(r"^(\w+)_bucket\{(.*),le=.*\} (\d+)$", text, re.M):
        buckets.setdefault((name, labels), []).append(int(count))
    assert len(buckets) == 4
    for (name, labels), counts in buckets.items():
        assert counts == sorted(counts)
        assert f"\n{name}_count{{{labels}}} {counts[-1]}\n" in text


def test_every_metric_is_in_the_manual(status):
    families = re.findall(r"^# TYPE (\S+) (\S+)$", status.ask("/metrics").text, re.M)
    assert len(families) > 35
    for name, _ in families:
        assert re.search(rf"^\.It Li .*\b{name}\b", MANUAL, re.M), name


@needs_promtool
def test_the_alerts():
    subprocess.run(["promtool", "check", "rules", ALERTS], check=True)
    subprocess.run(["promtool", "test", "rules", TREE / "tests/integration/alerts.yml"], check=True)


def test_every_metric_of_an_alert_exists(status):
    there = status.ask("/metrics").text
    expressions = re.sub(r"annotations:.*?(?=\n\n|\Z)", "", ALERTS.read_text(), flags=re.S)
    for name in set(re.findall(r"\bmtls_agent_\w+", expressions)):
        assert f"# TYPE {name} " in there, name


# Readiness


@needs_dns
def test_readiness_waits_for_addresses(launch, tmp_path, backend, ca):
    with DnsServer() as dns:
        etc = PrivateResolver(tmp_path / "etc", [dns])
        running = launch(
            service("backend", free_port(), f"backend.test:{backend.port}", ca),
            preexec=etc.enter,
        )
        wait_for(lambda: running.service()["state"] == "no_address")
        answer = running.ask("/readyz")
        assert answer.status == 503
        assert re.fullmatch(r"backend: no address: .+\n", answer.text)
        assert running.document()["ready"] is False
        assert running.ask("/healthz").status == 200
        dns.set("backend.test", "127.0.0.1")
        wait_for(lambda: running.ask("/readyz").status == 200)
        assert running.service()["endpoints"] == [f"127.0.0.1:{backend.port}"]


def test_who_drains_is_not_ready(launch, backend, ca):
    port = free_port()
    running = launch(service("backend", port, backend.port, ca), agent={"shutdown_timeout": "30s"})
    with connect(port) as sock:
        sock.sendall(b"hello")
        assert recv_exact(sock, 5) == b"hello"
        running.agent.signal(signal.SIGTERM)
        answer = wait_for(lambda: (one := running.ask("/readyz")).status == 503 and one)
        assert "drains" in answer.text
        assert running.ask("/healthz").status == 200
        document = running.document()
        assert (document["state"], document["ready"]) == ("draining", False)
        assert running.ask("/reload", method="POST").status == 503
    assert running.agent.wait() == 0


# Troublemakers


def test_slow_clients_keep_nobody_out(status):
    with contextlib.ExitStack() as slow:
        for i in range(100):
            sock = slow.enter_context(connect(status.port))
            sock.sendall((b"", b"G", b"GET /metrics HTTP/1.1\r\nX: ")[i % 3])
        began = time.monotonic()
        assert status.ask("/metrics", by="tcp").status == 200
        assert status.ask("/metrics", by="unix").status == 200
        assert time.monotonic() - began < 5
        before = status.agent.cpu_seconds()
        exchange(status.listens["backend"])
        assert status.agent.cpu_seconds() - before < 1


def test_requests_are_bounded(status):
    assert status.ask("/" + "a" * 20000).status == 414
    assert status.ask("/", headers={"X-Long": "a" * 20000}).status == 431
    with connect(status.path) as sock:
        sock.sendall(b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n")
        assert recv_all(sock).startswith(b"HTTP/1.1 413 ")
    assert status.ask("/healthz").status == 200


@pytest.mark.parametrize(
    "nonsense",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 4000, b"\r\n" * 2000, b"GET\r\n\r\n"],
    ids=["tls", "zeros", "newlines", "bare"],
)
def test_nonsense(status, nonsense):
    with connect(status.port) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(nonsense)
        sock.shutdown(socket.SHUT_WR)
        answer = sock.recv(65536)
        assert answer == b"" or answer.startswith(b"HTTP/1.")
    assert status.ask("/healthz").status == 200


def test_descriptors_are_given_back(launch, backend, ca):
    # Those of warm sessions would be counted with them.
    status = launch(service("backend", free_port(), backend.port, ca, prewarm=0))
    status.ask("/metrics")
    before = status.agent.fds()
    in_parallel([lambda: status.ask("/metrics", by="tcp")] * 100)
    wait_for(lambda: status.agent.fds() <= before)


# The page


@pytest.fixture
def browse(tmp_path):
    """browse(URL, option…) runs a fresh browser; returns what it prints."""

    def run(url, *options):
        command = [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'browser'}",
            *options,
            url,
        ]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@needs_chromium
def test_the_page_in_a_browser(status, browse):
    exchange(status.listens["backend"])
    dom = browse(f"http://127.0.0.1:{status.port}/", "--dump-dom")
    assert re.search("<title>mtls-agent on .*: ready</title>", dom)
    for text in "backend", "nobody", "Days left", "CN=Test CA", "CN=gateway":
        assert text in dom
    assert not re.search(r"<script|\bon\w+=|javascript:|src=|href=|url\(|@import", dom)


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_by_day_and_by_night(status, browse, tmp_path, width):
    pictures = []
    for scheme in "light", "dark":
        picture = tmp_path / f"{scheme}.png"
        options = [f"--window-size={width},900", "--hide-scrollbars", f"--screenshot={picture}"]
        if scheme == "dark":
            options += ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]
        browse(f"http://127.0.0.1:{status.port}/", *options)
        pictures.append(picture.read_bytes())
    for picture in pictures:
        assert picture.startswith(b"\x89PNG") and len(picture) > 10000
    assert pictures[0] != pictures[1]


def test_the_page_keeps_to_itself(status):
    policy = status.ask("/").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert "frame-ancestors 'none'" in policy and "form-action 'none'" in policy
    assert status.ask("/").headers["Referrer-Policy"] == "no-referrer"
