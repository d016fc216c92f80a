"""ASM ingress gateway: Caddy as the gateway, with the mesh's authorization policy, and HTTP/2 from
the caller on."""

from pathlib import Path

import pytest
from harness.net import free_port, in_parallel
from harness.seeds import Answer, SeedCaddy, make_once, run

HERE = Path(__file__).parent
PRIOR_KNOWLEDGE = ("--http2-prior-knowledge", "-H", "host:test.com")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_once(tmp_path_factory, HERE)


@pytest.fixture
def ingress(tmp_path, made):
    """ingress(FILES…) is the gateway, not yet started."""

    def make(*files):
        port = free_port()
        changes = {"test.com:443 {": f"test.com:{port} {{\n\tbind 127.0.0.1"}
        return SeedCaddy(tmp_path, HERE / "Caddyfile", (made, *files), port, changes)

    return make


@pytest.fixture
def gateway_of_test_com(ingress):
    with ingress() as server:
        yield server


@pytest.fixture
def gate(host, made):
    """gate(SERVER, key=value…) is the gateway host with the example, not yet running."""

    def make(server, **keys):
        changes = {"192.0.2.10:443": f"127.0.0.1:{server.port}"}
        host.copy("asm-ingress", made, changes=changes, **keys)
        return host

    return make


@pytest.fixture
def both(gate, host, gateway_of_test_com, made):
    """The gateway host with two copies of the example, the second for the holder of the server's
    certificate: in the document's last step that one is the other client."""
    changes = {
        "192.0.2.10:443": f"127.0.0.1:{gateway_of_test_com.port}",
        "test-client": "test-server",
        "clientcert.pem": "servercert.pem",
        "client.key.pem": "serverkey.pem",
        "[service httpbin]": "[service httpbin-server]",
    }
    gate(gateway_of_test_com)
    host.copy("asm-ingress", made, changes=changes, name="asm-ingress-server")
    return host.run()


def test_the_certificates_are_as_the_document_makes_them(made):
    client, server = (
        run("openssl", "x509", "-in", made / name, "-noout", "-text")
        for name in ("clientcert.pem", "servercert.pem")
    )
    assert "URI:spiffe://test.client\n" in client and "DNS:" not in client
    assert "DNS:test.com\n" in server and "URI:" not in server


def test_the_client_certificate_is_accepted(both):
    """curl https://test.com/status/200 -I … answers "HTTP/2 200"."""
    answer = both.curl("httpbin", "/status/200", *PRIOR_KNOWLEDGE, "-I")
    assert answer.text.startswith("HTTP/2 200")
    assert both.agent.ended(service="httpbin")["reason"] == "ok"


def test_probe_finds_the_links_good(both):
    found = both.probe()
    assert [found[name]["verdict"] for name in ("httpbin", "httpbin-server")] == ["ok", "ok"]
    assert found["httpbin"]["http"]["version"] == "2"


def test_the_policy_denies_one_path_to_one_identity(both):
    def get(service, path):
        answer = both.curl(service, path, *PRIOR_KNOWLEDGE)
        assert answer.version == "2"
        return answer.status, answer.text

    assert get("httpbin", "/status/200") == (200, "")
    assert get("httpbin", "/status/418") == (403, "RBAC: access denied")
    assert get("httpbin-server", "/status/200") == (200, "")
    assert get("httpbin-server", "/status/418") == (418, "-=[ teapot ]=-")


def test_a_gateway_brings_many_requests_over_one_connection(both, tmp_path):
    """All at once, as the streams of one HTTP/2 connection from gateway to backend."""
    port, url = free_port(), f"127.0.0.1:{both.ports['httpbin']}"
    changes = {"127.0.0.1:8080": f"127.0.0.1:{port}", "127.0.0.1:9006": url}
    with SeedCaddy(tmp_path / "front", HERE / "front.Caddyfile", [], port, changes):

        def ask():
            answer = Answer(f"http://127.0.0.1:{port}/status/418")
            return answer.status, answer.text

        assert set(in_parallel([ask] * 20)) == {(403, "RBAC: access denied")}
    both.agent.ended(service="httpbin")
    assert len(both.agent.all_log(msg="connection ended", service="httpbin")) == 1


def test_a_caller_of_http_1_needs_a_service_without_alpn(gate, gateway_of_test_com):
    host = gate(gateway_of_test_com, alpn=None).run()
    answer = host.curl("httpbin", "/status/418", "-H", "host:test.com")
    assert (answer.status, answer.version) == (403, "1.1")


def test_without_the_client_certificate(gate, gateway_of_test_com):
    """tls.mode is MUTUAL."""
    host = gate(gateway_of_test_com, tls_mode="tls").run()
    assert host.refused("httpbin", "client_cert_required")["side"] == "they_refused"


def test_the_backend_must_have_the_name(gate, gateway_of_test_com):
    host = gate(gateway_of_test_com, verify_name="dns:other.com").run()
    line = host.refused("httpbin", "cert_name_mismatch")
    assert "wanted dns:other.com" in line["detail"] and "dns:test.com" in line["detail"]


@pytest.fixture
def meshed(ingress, made):
    """A gateway whose certificate has spiffe://test.gateway besides test.com."""
    files = {"servercert.pem": made / "meshcert.pem", "serverkey.pem": made / "meshkey.pem"}
    with ingress(files) as server:
        yield server


def test_a_backend_with_a_uri(gate, meshed):
    host = gate(meshed, verify_name="uri:spiffe://test.gateway").run()
    assert host.curl("httpbin", "/status/200", *PRIOR_KNOWLEDGE).status == 200


@pytest.mark.parametrize("uri", ["spiffe://test.client", "spiffe://test.gateway/", "spiffe://test"])
def test_a_backend_with_another_uri(gate, meshed, uri):
    """That its DNS name is the one in SNI does not count."""
    line = gate(meshed, verify_name=f"uri:{uri}").run().refused("httpbin", "cert_name_mismatch")
    assert f"wanted uri:{uri}" in line["detail"] and "uri:spiffe://test.gateway" in line["detail"]


def test_a_backend_without_a_uri(gate, gateway_of_test_com):
    host = gate(gateway_of_test_com, verify_name="uri:spiffe://test.com").run()
    assert "dns:test.com" in host.refused("httpbin", "cert_name_mismatch")["detail"]
