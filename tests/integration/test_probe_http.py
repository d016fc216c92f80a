"""`probe` and HTTP: what is asked, and what is made of the answer."""

import re
from datetime import timedelta

import pytest
from harness import servers
from harness.agent import config, service
from harness.backends import TlsBackend
from harness.net import free_port
from harness.probe import HttpsOrigin, Probe, diagnose

LONG = {"not_after": timedelta(days=400)}


@pytest.fixture(scope="module")
def gateway(ca):
    return ca.issue("gateway", purpose="client", **LONG)


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.issue("localhost", dns=["localhost", "api.test", "*.api.test"], **LONG)


@pytest.fixture
def origin(leaf, ca):
    with HttpsOrigin(leaf, ca) as server:
        yield server


@pytest.fixture
def ask(tmp_path, ca, gateway):
    """ask(BACKEND, OPTION…, key=value…) diagnoses it."""

    def run(backend, *options, **keys):
        return diagnose(tmp_path, backend, ca, *options, certificate=gateway, **keys)

    return run


# What is asked


def test_head_of_the_root(ask, origin):
    found = ask(origin).expect("ok", None, "HTTP/1.1", "server orders/1.0")
    url = f"https://localhost:{origin.port}/"
    assert found.line("http").startswith(f"HEAD {url}: 200, HTTP/1.1, server orders/1.0; ")
    assert re.search(r"; \d+\.\d ms$", found.line("http")) and found["http"].pop("seconds") > 0
    assert found["http"] == {
        "method": "HEAD",
        "url": url,
        "via_agent": False,
        "address": f"127.0.0.1:{origin.port}",
        "status": 200,
        "version": "1.1",
        "server": "orders/1.0",
        "failure": None,
    }
    for command, path, headers in origin.requests:
        assert (command, path, headers["Host"]) == ("HEAD", "/", f"localhost:{origin.port}")
        assert headers["User-Agent"].startswith("mtls-agent/")
    assert len(origin.requests) == 2  # one in each of two runs


@pytest.mark.parametrize("status", [403, 404, 401, 302, 204, 429])
def test_a_path_with_any_status(ask, origin, status):
    """The link works, whatever the application thinks of the request; redirects are not followed.
    """
    found = ask(origin, "--path", f"/{status}").expect("ok", None, f"/{status}: {status}, HTTP/1.1")
    assert found["http"]["status"] == status and found["warnings"] == []
    assert {path for _, path, _ in origin.requests} == {f"/{status}"}


@pytest.mark.parametrize("status", [500, 502, 503, 421])
def test_a_status_that_is_worth_a_warning(ask, origin, status):
    ask(origin, "--path", f"/{status}").expect("ok").warns(f"HTTP {status}")


@pytest.mark.parametrize("path", ["/a/../b?c=d&e=%20", "/%2e%2e/x", "/a//b", "/*"])
def test_a_path_goes_as_it_is(ask, origin, path):
    ask(origin, "--path", path).expect("ok")
    assert {asked for _, asked, _ in origin.requests} == {path}


@pytest.mark.parametrize("host", ["shop.test", "shop.test:8443", "[2001:db8::1]:443"])
def test_a_host(ask, origin, host):
    found = ask(origin, "--host", host).expect("ok", None, f"https://{host}/")
    assert {headers["Host"] for *_, headers in origin.requests} == {host}
    assert found["http"]["address"] == f"127.0.0.1:{origin.port}"


def test_the_host_is_the_sni(ask, origin):
    ask(origin, sni="api.test").expect("ok")
    assert {headers["Host"] for *_, headers in origin.requests} == {f"api.test:{origin.port}"}


def test_the_host_without_sni(ask, ca, tmp_path):
    leaf = ca.issue("api", ips=["127.0.0.1"], **LONG)
    with HttpsOrigin(leaf, ca) as origin:
        ask(origin, sni="off").expect("ok")
        assert {headers["Host"] for *_, headers in origin.requests} == {f"127.0.0.1:{origin.port}"}


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "PURGE", "POST"])
def test_a_method(ask, origin, method):
    found = ask(origin, "--method", method).expect("ok", None, f"{method} https://")
    assert [command for command, *_ in origin.requests] == [method] * 2
    assert found["http"]["method"] == method and found["http"]["status"] == 200


def test_a_method_of_ones_own_is_not_followed_by_another(ask, leaf, ca):
    with HttpsOrigin(leaf, ca, {"HEAD": 405}) as origin:
        found = ask(origin, "--method", "HEAD").expect("ok", None, ": 405")
        assert [command for command, *_ in origin.requests] == ["HEAD"] * 2
    assert found["http"]["status"] == 405


def test_head_and_then_get(ask, leaf, ca):
    with HttpsOrigin(leaf, ca, {"HEAD": 405}) as origin:
        found = ask(origin).expect("ok", None, "GET https://", ": 200")
        assert [command for command, *_ in origin.requests] == ["HEAD", "GET"] * 2
    assert (found["http"]["method"], found["http"]["status"]) == ("GET", 200)


def test_a_backend_that_closes_on_head(ask, leaf, ca):
    def serve(connection):
        if connection.read().startswith(b"GET "):
            connection.write(b"HTTP/1.0 200 OK\r\nServer: tiny\r\n\r\n")
        connection.close_notify()
        connection.wait_closed()

    with TlsBackend(serve, leaf, ca) as backend:
        found = ask(backend).expect("ok", None, "GET ", "HTTP/1.0", "server tiny")
    assert found["http"]["version"] == "1.0"


# HTTP/2


class NginxHttp2(servers.Nginx):
    """Speaks HTTP/2 where ALPN says so."""

    def command(self):
        command = super().command()
        path = self.directory / "nginx.conf"
        path.write_text(path.read_text().replace(" ssl;", " ssl http2;"))
        return command


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("server", [NginxHttp2, servers.Caddy])
def test_http2(tmp_path, ask, ca, leaf, server, tls):
    with server(tmp_path, leaf, ca, tls) as backend:
        found = ask(backend, alpn="h2").expect("ok", None, "ALPN h2", ": 200, HTTP/2, server ")
    assert found["http"]["version"] == "2" and found.endpoint["tls"]["alpn"] == "h2"
    assert found["warnings"] == [] and found.endpoint["resumption"] == "works"


def test_http2_is_offered_and_not_taken(tmp_path, ask, ca, leaf):
    with servers.Nginx(tmp_path, leaf, ca) as backend:
        found = ask(backend, alpn=["h2", "http/1.1"]).expect("ok")
    assert found["http"]["version"] == "1.1"


# What is no HTTP


@pytest.mark.parametrize("server", ["stunnel", "haproxy-tcp", "s_server", "gnutls-serv"])
def test_an_echo(tmp_path, ask, ca, leaf, server):
    with servers.ALL[server](tmp_path, leaf, ca) as backend:
        found = ask(backend).expect("ok", None, "no answer: what came back is not HTTP")
    found.warns("does not speak HTTP", "--no-http")
    assert found["http"]["status"] is None and "not HTTP" in found["http"]["failure"]


@pytest.mark.parametrize(
    "banner", [b"220 mail.test ESMTP ready\r\n", b"* OK IMAP4rev1\r\n", b"\0\1\2\3"]
)
def test_a_backend_that_speaks_first(ask, leaf, ca, banner):
    def speak(connection):
        connection.write(banner)
        connection.read_all()
        connection.close_notify()

    with TlsBackend(speak, leaf, ca, session_tickets=0) as backend:
        found = ask(backend).expect("ok")
        assert all(session.received == 0 for session in backend.sessions)
    found.warns("speaks first", "no request was sent")
    assert found["http"] is None and "it speaks first" in found.line("address")


def test_a_backend_that_speaks_late(tmp_path, leaf, ca, gateway):
    """Behind its tickets: it may have been asked by then. The verdict is the same."""

    def speak(connection):
        connection.write(b"220 mail.test ESMTP ready\r\n")
        connection.read_all()
        connection.close_notify()

    with TlsBackend(speak, leaf, ca) as backend:
        text = config(service("backend", free_port(), backend.port, ca), certificate=gateway)
        (found,) = Probe(tmp_path, text).json()["services"]
    assert found["verdict"] == "ok" and len(found["warnings"]) == 1, found
    assert re.search(r"speaks first|does not speak HTTP", found["warnings"][0])


def test_a_backend_that_swallows_requests(tmp_path, leaf, ca, gateway):
    """Once: this takes as long as an answer is waited for."""

    def swallow(connection):
        connection.read_all()

    with TlsBackend(swallow, leaf, ca) as backend:
        text = config(service("backend", free_port(), backend.port, ca), certificate=gateway)
        done = Probe(tmp_path, text).run("--method", "GET")
    assert done.returncode == 1
    assert done.stdout.startswith("backend: idle_timeout (network)\n"), done.stdout
    assert "no answer within" in done.stdout and "GET https://localhost" in done.stdout


def test_a_backend_that_resets_requests(ask, leaf, ca):
    def slam(connection):
        connection.read()
        connection.reset()

    with TlsBackend(slam, leaf, ca) as backend:
        found = ask(backend).expect("upstream_reset", "network")
    assert found["http"]["failure"] and found.endpoint["established"]


def test_an_endless_answer(ask, leaf, ca):
    def pour(connection):
        connection.read()
        connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        while True:
            connection.write(bytes(1 << 16))

    with TlsBackend(pour, leaf, ca) as backend:
        found = ask(backend, "--method", "GET").expect("ok", None, ": 200")
    assert found["http"]["status"] == 200


def test_an_answer_for_terminals(ask, leaf, ca):
    """Server fields may be anyone's."""
    evil = b"HTTP/1.1 200 OK\r\nServer: \x1b]0;owned\x07\x1b[31m \xff\xfe\r\n\r\n"

    def serve(connection):
        connection.read()
        connection.write(evil)
        connection.close_notify()

    with TlsBackend(serve, leaf, ca) as backend:
        found = ask(backend).expect("ok", None, "owned")
    assert found.text.replace("\n", "").isprintable() and "\x1b" not in found.text
    assert "owned" in found["http"]["server"]
