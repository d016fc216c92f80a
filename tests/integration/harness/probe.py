"""`mtls-agent probe` as data. A diagnosis is made twice, with --json and without, and the two must
tell the same."""

import http.server
import json
import os
import re
import subprocess
import tempfile
import threading
from pathlib import Path

from .agent import config, program, service
from .backends import server_context
from .net import HANG, free_port

KEYS = "version time good services"
SERVICE_KEYS = """service good verdict side detail advice warnings dns endpoints certificate ca
    http"""
DNS_KEYS = "host port addresses aliases ttl failure seconds"
ENDPOINT_KEYS = """address host reason side detail connect_seconds handshake_seconds established
    confirmed tls client_certificate alert resumption chain pin"""
TLS_KEYS = "version cipher group alpn"
CLIENT_CERTIFICATE_KEYS = "asked sent issuer_matched accepted_issuers"
CERTIFICATE_KEYS = "subject issuer names not_before not_after days_left soon"
HTTP_KEYS = "method url via_agent address status version server failure seconds"

# Who decided, in the text, for each side.
WHO = {
    "local": "local",
    "network": "network",
    "we_refused": "we refused the backend",
    "they_refused": "the backend refused us",
    "config": "our configuration",
}

_LINE = re.compile(r" {4}(\S[^\n]{10}| {11}) (.*)")
_FLEETING = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|[\d.]+ ms|\d+ (seconds?|minutes?)"
)
_SANITIZER = re.compile(r"Sanitizer|runtime error:")


class Probe:
    """The command on one configuration; `env` is added to the environment."""

    def __init__(self, directory, text, preexec=None, env=None):
        self.config = Path(tempfile.mkdtemp(prefix="probe-", dir=directory)) / "mtls-agent.conf"
        self.config.write_text(text)
        self._preexec, self.env = preexec, {**os.environ, **_quiet_sanitizers(), **(env or {})}

    def command(self, *arguments):
        return [program(), "probe", "-c", str(self.config), *arguments]

    def run(self, *arguments, timeout=2 * HANG):
        """One run: `returncode`, `stdout`, `stderr`."""
        done = subprocess.run(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.env,
            preexec_fn=self._preexec,
        )
        assert done.returncode in (0, 1, 2) and not _SANITIZER.search(done.stderr), done.stderr
        return done

    def json(self, *arguments):
        """The document of one run that is known to be whole, as are its exit status and `good`."""
        done = self.run("--json", *arguments)
        assert done.returncode in (0, 1), done
        assert done.stdout.isascii() and done.stdout.endswith("}\n"), done.stdout
        document = json.loads(done.stdout)
        check_document(document)
        assert document["good"] == (done.returncode == 0), document
        return document

    def diagnose_all(self, *arguments):
        """The Diagnosis of each service, by its name, in the order of the configuration."""
        document, done = self.json(*arguments), self.run(*arguments)
        assert done.returncode == (0 if document["good"] else 1), done
        names = [data["service"] for data in document["services"]]
        texts = split_text(done.stdout)
        assert list(texts) == names, done.stdout
        return {
            data["service"]: Diagnosis(data, texts[data["service"]], done.stderr)
            for data in document["services"]
        }

    def diagnose(self, *arguments):
        """The same, where there is but one service."""
        (diagnosis,) = self.diagnose_all(*arguments).values()
        return diagnosis


def _quiet_sanitizers():
    """An exit status of their own, which no good run has."""
    return {
        "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:exitcode=99",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    }


def diagnose(directory, backend, ca, *arguments, certificate=None, preexec=None, **keys):
    """Probes one service that leads to `backend`: a server of the harness, a port of 127.0.0.1, an
    address in text form, or a list of these two."""
    if certificate is None:
        keys.setdefault("tls_mode", "tls")
    address = getattr(backend, "port", backend)
    text = config(service("backend", free_port(), address, ca, **keys), certificate=certificate)
    return Probe(directory, text, preexec).diagnose(*arguments)


class Diagnosis:
    """What a probe found of one service: `data` of the JSON, and `text` of the other run."""

    def __init__(self, data, text, stderr):
        self.data, self.text, self.stderr = data, text, stderr
        first, *rest = text.splitlines()
        self.lines = _by_label(rest)
        self.verdict, self.side, self.detail = data["verdict"], data["side"], data["detail"]
        self._check_agreement(first)

    def _check_agreement(self, first):
        who = f" ({WHO[self.side]})" if self.side else ""
        assert first == f"{self.data['service']}: {self.verdict}{who}", self.text
        assert self.lines.get("to do", [None]) == [self.data["advice"]], self.text
        for label, told in (("why", [self.detail]), ("warning", self.data["warnings"])):
            assert _lasting(self.lines.get(label, [])) == _lasting(told), str(self)

    def __getitem__(self, key):
        return self.data[key]

    def __str__(self):
        return f"{self.text}\n{json.dumps(self.data)}"

    @property
    def endpoint(self):
        """The only address."""
        (endpoint,) = self.data["endpoints"]
        return endpoint

    def line(self, label):
        """The text behind a label that has one line."""
        assert len(self.lines.get(label, [])) == 1, f"one {label!r} expected:\n{self}"
        return self.lines[label][0]

    def expect(self, verdict, side=None, *evidence):
        """Fails unless this is the verdict, and all the evidence is in the text."""
        assert (self.verdict, self.side) == (verdict, side), str(self)
        self.says(*evidence)
        return self

    def says(self, *evidence):
        for part in evidence:
            assert part in self.text, f"{part!r} is missing in:\n{self}"

    def warns(self, *words):
        """The one warning that has all these words."""
        found = [text for text in self["warnings"] if all(word in text for word in words)]
        assert len(found) == 1, f"one warning of {words} expected:\n{self}"
        return found[0]


def _lasting(texts):
    """Without what differs from run to run, and as it is shown on a terminal."""
    shown = [re.sub(r"[\x00-\x1f\x7f]", "?", text) for text in texts if text]
    return [_FLEETING.sub("#", text) for text in shown]


def split_text(text):
    """The output for people, by service, without the line that sums up."""
    parts = {}
    for part in text.split("\n\n"):
        lines = part.rstrip("\n").splitlines()
        kept = lines[:1] + [line for line in lines[1:] if line.startswith("    ")]
        parts[lines[0].partition(":")[0]] = "\n".join(kept)
    return parts


def _by_label(lines):
    """The texts behind each label; a line without one continues that above."""
    found, label = {}, None
    for line in lines:
        match = _LINE.fullmatch(line)
        assert match, f"a line without its label: {line!r}"
        label = match.group(1).strip() or label
        found.setdefault(label, []).append(match.group(2))
    return found


def check_document(document):
    """Fails unless every key that the man page lists is there, in its order, and no other."""
    _check_keys(document, KEYS)
    assert document["version"] == 1
    for data in document["services"]:
        _check_keys(data, SERVICE_KEYS)
        assert data["good"] == (data["verdict"] == "ok")
        assert (data["side"] is None) == (data["advice"] is None) == data["good"]
        for host in data["dns"]:
            _check_keys(host, DNS_KEYS)
        for endpoint in data["endpoints"]:
            _check_endpoint(endpoint)
        for certificate in [*(data["certificate"] or []), *(data["ca"] or [])]:
            _check_keys(certificate, CERTIFICATE_KEYS)
        if data["http"]:
            _check_keys(data["http"], HTTP_KEYS)


def _check_endpoint(endpoint):
    _check_keys(endpoint, ENDPOINT_KEYS)
    _check_keys(endpoint["client_certificate"], CLIENT_CERTIFICATE_KEYS)
    if endpoint["tls"]:
        _check_keys(endpoint["tls"], TLS_KEYS)
    for certificate in endpoint["chain"]:
        _check_keys(certificate, CERTIFICATE_KEYS)


def _check_keys(data, keys):
    assert list(data) == keys.split(), f"{list(data)} are not {keys.split()}"


class HttpsOrigin(http.server.ThreadingHTTPServer):
    """An HTTPS service that demands our certificate, notes requests and answers by path: /404 has
    that status."""

    daemon_threads = True

    def __init__(self, leaf, client_ca, statuses=None):
        self.port = free_port()
        super().__init__(("127.0.0.1", self.port), _OriginRequest)
        self.socket = server_context(leaf, client_ca).wrap_socket(self.socket, server_side=True)
        self.requests, self.statuses = [], statuses or {}

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A handshake that fails is not this test's subject."""


class _OriginRequest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.server.requests.append((self.command, self.path, self.headers))
        number = re.match(r"/(\d{3})$", self.path)
        status = int(number.group(1)) if number else self.server.statuses.get(self.command, 200)
        body = b"" if self.command == "HEAD" else b"hello\n"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "https://elsewhere.test/")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_OPTIONS = do_PURGE = answer

    def version_string(self):
        return "orders/1.0"

    def log_message(self, *_):
        pass
