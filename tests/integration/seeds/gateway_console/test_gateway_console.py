"""Gateway console: nginx with the server block of the document in front of a service, and
order-service on the gateway."""

from pathlib import Path

import pytest
from harness.backends import Origin
from harness.net import free_port, wait_for
from harness.seeds import SeedNginx, make_once, run

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_once(tmp_path_factory, HERE)


@pytest.fixture
def twin_ca(tmp_path):
    """What comes of running the appendix's commands for the root again: another key, one name."""
    run("openssl", "genrsa", "-out", tmp_path / "twin.key", "2048")
    run("openssl", "req", "-new", "-x509", "-key", tmp_path / "twin.key", "-days", "3650",
        "-out", tmp_path / "twin.crt", "-subj", "/C=CN/O=Test/CN=RootCA")
    return tmp_path / "twin.crt"


@pytest.fixture
def serve(tmp_path):
    """serve(FILES…) is nginx as the document sets it up, not yet started."""
    with Origin() as origin:

        def make(*files):
            port = free_port()
            changes = {
                "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
                "/etc/nginx/ssl/": f"{tmp_path}/nginx/",
                "http://localhost:8080": f"http://127.0.0.1:{origin.port}",
            }
            return SeedNginx(tmp_path, HERE / "nginx.conf", files, port, changes)

        yield make


@pytest.fixture
def nginx(serve, made):
    with serve(made) as server:
        yield server


@pytest.fixture
def gate(host, dns, made):
    """gate(SERVER, more files…, key=value…): the gateway host with the example, not yet running."""
    dns.set("api.example.com", "127.0.0.1")

    def make(server, *files, **keys):
        address = {"api.example.com:443": f"api.example.com:{server.port}"}
        host.copy("gateway-console", made, *files, changes=address, **keys)
        return host

    return make


def test_the_certificates_are_as_bare_as_the_document_makes_them(made):
    """The server's name is in its CN alone, so that the example needs allow_common_name."""
    text = run("openssl", "x509", "-in", made / "server.crt", "-noout", "-text")
    assert "api.example.com" in text
    assert "Subject Alternative Name" not in text and "Basic Constraints" not in text


def test_a_request_passes(gate, nginx):
    """curl --cert client.crt --key client.key https://api.example.com/test, and the access log."""
    host = gate(nginx).run()
    answer = host.curl("order-service", "/test")
    assert (answer.status, answer.text) == (200, "hello\n")
    (access,) = wait_for(nginx.accesses)
    assert access.startswith('"GET /test HTTP/1.1" 200 client=CN=Gateway,O=Test,C=CN ')
    assert access.endswith(" sni=api.example.com")
    assert host.agent.ended(service="order-service")["reason"] == "ok"


def test_without_the_client_certificate_nginx_answers_400(gate, nginx):
    host = gate(nginx, tls_mode="tls").run()
    answer = host.curl("order-service", "/test")
    assert answer.status == 400
    assert "No required SSL certificate was sent" in answer.text


def test_probe_says_why_nginx_answers_400(gate, nginx):
    found = gate(nginx, tls_mode="tls").probe()["order-service"]
    assert (found["verdict"], found["side"]) == ("client_cert_required", "they_refused")


def test_probe_finds_the_link_good(gate, nginx):
    assert gate(nginx).probe()["order-service"]["verdict"] == "ok"


def test_a_client_of_another_root_gets_400(gate, serve, made, twin_ca):
    """"Verify that the backend's CA certificate matches the gateway's client certificate." """
    with serve(made, {"ca.crt": twin_ca}) as nginx:
        host = gate(nginx).run()
        answer = host.curl("order-service", "/test")
        assert answer.status == 400
        assert "The SSL certificate error" in answer.text
        assert host.probe()["order-service"]["verdict"] == "client_cert_untrusted"


def test_a_backend_of_another_root_is_refused(gate, nginx, twin_ca):
    host = gate(nginx, {"ca.crt": twin_ca}).run()
    line = host.refused("order-service", "cert_untrusted", "/test")
    assert line["side"] == "we_refused"
    assert nginx.accesses() == []


def test_without_allow_common_name_the_backend_is_refused(gate, nginx):
    host = gate(nginx, allow_common_name=None).run()
    line = host.refused("order-service", "cert_no_san", "/test")
    assert line["side"] == "we_refused" and "allow_common_name = yes" in line["advice"]
    assert "api.example.com" in line["detail"]


def test_the_common_name_must_be_the_one_wanted(gate, nginx):
    host = gate(nginx, sni="orders.example.com").run()
    line = host.refused("order-service", "cert_name_mismatch", "/test")
    assert "orders.example.com" in line["detail"] and "api.example.com" in line["detail"]
