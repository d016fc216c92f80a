"""What a quick look takes for good, or blames on the wrong side: each of these once misled
`probe`."""

import os
import resource
import shutil
import socket
import subprocess
import threading

import pytest
from harness import servers
from harness.agent import config, program, service
from harness.backends import TlsBackend, swallow
from harness.net import Blackhole, free_port
from harness.probe import HttpsOrigin, Probe, diagnose

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
def ask(tmp_path, ca, gateway):
    """ask(BACKEND, OPTION…, key=value…) diagnoses it."""

    def run(backend, *options, **keys):
        return diagnose(tmp_path, backend, ca, *options, certificate=gateway, **keys)

    return run


def answer(*words, end="close_notify"):
    """A handler that answers each connection's request by the next of these texts, the last one for
    ever, and then ends its stream so."""
    left = list(words)
    lock = threading.Lock()

    def handler(connection):
        connection.read()
        with lock:
            text = left.pop(0) if len(left) > 1 else left[0]
        if text:
            connection.write(text)
        getattr(connection, end)()
        if end != "reset":
            connection.wait_closed()

    return handler


# Several addresses


def test_a_session_does_not_idle_while_another_address_is_dead(ask, ca, leaf):
    """A backend that drops silent clients was called truncated, for want of the other address."""

    def impatient(connection):
        connection.sock.settimeout(1)
        try:
            answer(WHOLE)(connection)
        except TimeoutError:
            connection.fin()

    with TlsBackend(impatient, leaf, ca) as backend, Blackhole(host="127.0.0.2") as hole:
        found = ask(
            [f"127.0.0.1:{backend.port}", f"127.0.0.2:{hole.port}"], connect_timeout="2500ms"
        )
    found.expect("ok")
    found.warns("1 of 2 addresses does not work")


def test_the_evidence_is_that_of_the_address_that_decides(tmp_path, ca, other_ca, leaf, gateway):
    """It was the other one's, which works."""
    with servers.Haproxy(tmp_path, leaf, other_ca) as bad, TlsBackend(swallow, leaf, ca) as good:
        found = diagnose(tmp_path, [bad.port, good.port], ca, "--no-http", certificate=gateway)
    found.expect("client_cert_untrusted", "they_refused")
    assert found.line("accepts") == "certificates issued by CN=Another CA"


# Answers that are none


@pytest.mark.parametrize(
    "text, end, verdict",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le", "reset", "upstream_reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", "reset", "upstream_reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", "fin", "upstream_truncated"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", "close_notify", "upstream_reset"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", "fin", "upstream_truncated"),
        (b"", "fin", "upstream_truncated"),
    ],
)
def test_half_an_answer(ask, ca, leaf, text, end, verdict):
    with TlsBackend(answer(text, end=end), leaf, ca) as backend:
        found = ask(backend, "--method", "GET")
    found.expect(verdict, "network")
    assert text or "truncation" not in found["advice"]  # of a mute backend it would make a success
    is_begun = b"Length: 100" in text
    assert ("200, but the answer did not come to its end" in found.line("http")) >= is_begun


def test_an_answer_that_ends_with_the_connection(ask, ca, leaf):
    with TlsBackend(answer(b"HTTP/1.0 200 OK\r\n\r\nhello"), leaf, ca) as backend:
        ask(backend, "--method", "GET").expect("ok", None, "200, HTTP/1.0")


@pytest.mark.parametrize("end", ["fin", "reset"])
def test_a_server_that_closes_on_head(ask, ca, leaf, end):
    """GET is what counts."""
    backend = TlsBackend(lambda connection: first(connection), leaf, ca)
    seen = []

    def first(connection):
        is_head = connection.read().startswith(b"HEAD")
        seen.append(is_head)
        if is_head:
            getattr(connection, end)()
        else:
            connection.write(WHOLE)
            connection.close_notify()

    with backend:
        found = ask(backend).expect("ok")
    assert seen[0] and not seen[1] and found["http"]["method"] == "GET"


def test_the_second_request_is_judged(ask, ca, leaf):
    """HEAD was answered with an error, and GET not at all: the first status does not count."""
    refused = b"HTTP/1.1 405 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with TlsBackend(answer(refused, b""), leaf, ca) as backend:
        found = ask(backend).expect("upstream_reset", "network")
    assert found["http"]["method"] == "GET" and found["http"]["status"] is None
    assert found["http"]["server"] is None and found["http"]["failure"]


def test_a_backend_that_is_mute_is_not_to_be_believed(relay, ca, leaf):
    """`truncation = eof` would make a success of it: no advice for that, neither in the log."""
    with TlsBackend(swallow_and_leave, leaf, ca) as backend:
        link = relay(backend)
        with link.call() as sock:
            sock.sendall(b"question")
            assert_reset(sock)
        line = link.ended(reason="upstream_truncated")
    assert "eof" not in line["advice"] and "see its log" in line["advice"]


def swallow_and_leave(connection):
    connection.read()
    connection.fin()
    connection.wait_closed()


def assert_reset(sock):
    with pytest.raises(ConnectionResetError):
        assert sock.recv(1) == b"never"


# nginx


@pytest.mark.parametrize("options", [("--no-http",), ("--method", "HEAD")])
def test_a_ticket_of_nginx_is_no_acceptance(tmp_path, ca, other_ca, leaf, options):
    stranger = other_ca.issue("gateway", purpose="client")
    with servers.Nginx(tmp_path, leaf, ca) as backend:
        found = diagnose(tmp_path, backend, ca, *options, certificate=stranger)
    assert "accepted our certificate" not in found.text and "took that" not in found.text
    assert found.endpoint["confirmed"] is False
    if found.verdict == "ok":
        found.warns("it accepts certificates issued by CN=Test CA; ours is issued by CN=Another CA")


def test_a_page_of_the_operators_own(tmp_path, ca, other_ca, leaf):
    """403 and a list of CAs that ours is not in: that is a refusal, whatever the page says."""
    stranger = other_ca.issue("gateway", purpose="client")
    with HttpsOrigin(leaf, None, {"HEAD": 403, "GET": 403}) as backend:
        diagnose(tmp_path, backend, ca, certificate=stranger).expect("ok")  # it never asked
    with Nginx403(tmp_path, leaf, ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=stranger)
    found.expect("client_cert_untrusted", "they_refused", "it answers HTTP 403; it accepts")


class Nginx403(servers.Nginx):
    """With a page of its own for what it does not accept."""

    def command(self):
        command = super().command()
        path = self.directory / "nginx.conf"
        text = path.read_text()
        assert "location / {" in text
        page = "error_page 495 496 =403 /no; location = /no { internal; return 403 sorry; }"
        path.write_text(text.replace("location / {", f"{page} location / {{", 1))
        return command


# Chains and names


def test_what_else_was_sent_does_not_name_the_issuer(tmp_path, pki, ca, gateway):
    """The leaf's own issuer is what is missing, not the CA that somebody added behind it."""
    inner = pki.authority("Real Root").intermediate("Real Issuer")
    leaf = inner.issue("localhost", dns=["localhost"])
    stray = pki.authority("Stray CA")
    text = open(leaf.cert).read().split("-----END CERTIFICATE-----")[0]
    path = tmp_path / "chain.crt"
    path.write_text(text + "-----END CERTIFICATE-----\n" + open(stray.cert).read())
    leaf.cert = str(path)
    with servers.OpensslServer(tmp_path, leaf, ca) as backend:
        found = diagnose(tmp_path, backend, ca, "--no-http", certificate=gateway)
    found.expect("cert_untrusted", "we_refused", "CN=Real Issuer; we trust CN=Test CA")


def test_two_spiffe_ids(ask, ca):
    leaf = ca.issue("mesh", uris=["spiffe://x/y", "spiffe://x/z"])
    with TlsBackend(swallow, leaf, ca) as backend:
        found = ask(backend, "--no-http", verify_name="uri:spiffe://x/y")
    found.expect("cert_name_mismatch", "we_refused", "SPIFFE allows one URI only")


def test_a_common_name_is_of_no_use_for_a_uri(ask, ca):
    with TlsBackend(swallow, ca.issue("mesh"), ca) as backend:
        found = ask(backend, "--no-http", verify_name="uri:spiffe://x/y")
    found.expect("cert_name_mismatch", "we_refused", "no subjectAltName")
    assert "allow_common_name" not in found.text


# This host


def test_an_agent_that_does_not_accept(tmp_path, ca, gateway, leaf):
    """The connection to it is still under way when the time is up, and nothing of it may stay."""
    with TlsBackend(answer(WHOLE), leaf, ca) as backend, Blackhole(host="127.0.0.2") as hole:
        text = config(
            service("backend", hole.port, backend.port, ca).replace("127.0.0.1:", "127.0.0.2:", 1),
            certificate=gateway,
        )
        done = Probe(tmp_path, text).run("--via-agent", "--method", "GET")
    assert done.returncode == 1 and "through the agent at 127.0.0.2" in done.stdout


def test_few_descriptors(tmp_path, ca, gateway, leaf):
    """The soft limit is raised, as the agent does."""

    def poor():
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, hard))

    with TlsBackend(answer(WHOLE), leaf, ca) as backend:
        parts = [service(f"s{i:02d}", free_port(), backend.port, ca) for i in range(30)]
        text = config("".join(parts), certificate=gateway)
        done = Probe(tmp_path, text, preexec=poor).run("--no-http")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("host", ["a:b:c", "x:99999", "[::1", "a b", "", "a/b", "a@b", "::1"])
def test_a_host_that_is_none(tmp_path, ca, gateway, host):
    text = config(service("backend", free_port(), free_port(), ca), certificate=gateway)
    done = Probe(tmp_path, text).run("--host", host)
    assert done.returncode == 2 and "--host" in done.stderr and not done.stdout


def test_a_full_disk_is_told(tmp_path, ca, gateway):
    text = config(service("backend", free_port(), free_port(), ca), certificate=gateway)
    probe = Probe(tmp_path, text)
    for options in ([], ["--json"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                probe.command(*options), stdout=full, stderr=subprocess.PIPE, text=True
            )
        assert done.returncode == 1 and "cannot be written" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_a_socket_that_is_not_for_us(short_path, ca, gateway, leaf):
    """The agent may well be running."""
    copies = {"ca": ca.cert, "cert": gateway.cert, "key": gateway.key, "mtls-agent": program()}
    for name, path in copies.items():
        shutil.copyfile(path, short_path / name)
        (short_path / name).chmod(0o755)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(short_path / "sock"))
    (short_path / "sock").chmod(0o000)
    listener.listen()

    def become_nobody():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    with TlsBackend(answer(WHOLE), leaf, ca) as backend, listener:
        conf = short_path / "mtls-agent.conf"
        conf.write_text(
            f"[certificate gateway]\ncert = {short_path}/cert\nkey = {short_path}/key\n"
            f"[service backend]\nlisten = unix:{short_path}/sock\ncertificate = gateway\n"
            f"address = localhost:{backend.port}\nca = {short_path}/ca\n"
        )
        conf.chmod(0o644)
        done = subprocess.run(
            [short_path / "mtls-agent", "probe", "-c", conf, "--via-agent"],
            capture_output=True,
            text=True,
            preexec_fn=become_nobody,
        )
    assert done.returncode == 1, done
    assert "socket_mode" in done.stdout and "is the agent running" not in done.stdout, done.stdout
