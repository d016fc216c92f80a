"""ALB Ingress: HAProxy as the balancer, which has a certificate of its own and one of the service,
and routes by Host."""

from pathlib import Path

import pytest
from harness.net import free_port
from harness.seeds import SeedHaproxy, make_once, run

HERE = Path(__file__).parent
BALANCER, SERVICE = "alb-example.alb.aliyuncs.com", "demo.alb.ingress.top"
HOST = ("-H", f"HOST:{SERVICE}")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_once(tmp_path_factory, HERE)


@pytest.fixture
def bought(pki, tmp_path):
    """The server certificates that the document has bought from another CA, each with its key, as
    files by name."""
    authority = pki.authority("A Public CA")
    files = {"server-ca.crt": authority.cert}
    for file, name in ("balancer.pem", BALANCER), ("demo.pem", SERVICE):
        leaf = authority.issue(name, dns=[name])
        files[file] = tmp_path / file
        files[file].write_text(Path(leaf.cert).read_text() + Path(leaf.key).read_text())
    return files


@pytest.fixture
def balance(tmp_path, made, bought):
    """balance(FILES…, ca_enabled=BOOL) is the balancer, not yet started."""

    def make(*files, ca_enabled=True):
        port = free_port()
        changes = {"bind :443": f"bind 127.0.0.1:{port}"}
        if not ca_enabled:
            changes["verify required ca-file ca.crt"] = ""
        return SeedHaproxy(tmp_path, HERE / "haproxy.cfg", (made, bought, *files), port, changes)

    return make


@pytest.fixture
def gate(host, dns, made, bought):
    """gate(SERVER, key=value…) runs the gateway host with the example."""
    dns.set(BALANCER, "127.0.0.1")

    def make(server, **keys):
        changes = {f"{BALANCER}:443": f"{BALANCER}:{server.port}"}
        host.copy("alb-ingress", made, bought, changes=changes, **keys)
        return host.run()

    return make


def test_the_certificates_are_as_the_document_makes_them(made):
    """RSA-4096, and a CA that is one only for being self-signed and trusted (version 1)."""
    for name in "ca.crt", "client.crt":
        text = run("openssl", "x509", "-in", made / name, "-noout", "-text")
        assert "(4096 bit)" in text and "Basic Constraints" not in text
    text = run("openssl", "x509", "-in", made / "ca.crt", "-noout", "-text")
    assert "Version: 1 " in text


@pytest.mark.parametrize("ca_enabled", [True, False])
def test_old(gate, balance, ca_enabled):
    """curl -H HOST:demo.alb.ingress.top -k https://alb-….alb.aliyuncs.com --cert … --key …

    But for -k: the agent verifies."""
    with balance(ca_enabled=ca_enabled) as server:
        host = gate(server)
        answer = host.curl("alb-ingress", "/", *HOST)
        assert (answer.status, answer.text) == (200, "old")
        assert host.agent.ended(service="alb-ingress")["reason"] == "ok"


def test_probe_finds_the_link_good(gate, balance):
    with balance() as server:
        found = gate(server).probe()["alb-ingress"]
    assert (found["verdict"], found["http"]["status"]) == ("ok", 200)


def test_without_ca_enabled_no_certificate_is_needed(gate, balance):
    with balance(ca_enabled=False) as server:
        assert gate(server, tls_mode="tls").curl("alb-ingress", "/", *HOST).text == "old"


def test_without_ca_enabled_probe_warns_that_the_link_is_not_mutual(gate, balance):
    with balance(ca_enabled=False) as server:
        found = gate(server).probe()["alb-ingress"]
    assert found["verdict"] == "ok"
    assert any("mutual" in warning for warning in found["warnings"]), found


def test_with_ca_enabled_one_is_needed(gate, balance):
    with balance() as server:
        line = gate(server, tls_mode="tls").refused("alb-ingress", "client_cert_required")
        assert line["side"] == "they_refused"


def test_with_ca_enabled_it_must_be_of_that_ca(gate, balance, other_ca):
    with balance({"ca.crt": other_ca.cert}) as server:
        line = gate(server).refused("alb-ingress", "client_cert_untrusted")
        assert line["side"] == "they_refused"


def test_the_host_passes_unchanged(gate, balance):
    """The balancer knows no service by the name that the caller connects to."""
    with balance() as server:
        assert gate(server).curl("alb-ingress", "/").status == 404


def test_by_the_name_of_the_balancer_comes_the_balancers_certificate(gate, balance):
    """As the document's curl has it, with the balancer's name in SNI: what -k had ignored."""
    with balance() as server:
        line = gate(server, sni=BALANCER).refused("alb-ingress", "cert_name_mismatch")
        assert f"wanted dns:{SERVICE}" in line["detail"] and BALANCER in line["detail"]


def test_a_default_certificate_for_the_service_needs_only_verify_name(gate, balance, bought):
    with balance({"balancer.pem": bought["demo.pem"]}) as server:
        host = gate(server, sni=BALANCER)
        assert host.curl("alb-ingress", "/", *HOST).text == "old"


def test_the_ca_of_ca_enabled_is_not_the_servers(gate, host, balance):
    """It issued the client's certificate; which CA issued the server's is another question."""
    with balance() as server:
        ca = host.directory / "pki/alb-ingress/ca.crt"
        line = gate(server, ca=ca).refused("alb-ingress", "cert_untrusted")
        assert "A Public CA" in line["detail"]
