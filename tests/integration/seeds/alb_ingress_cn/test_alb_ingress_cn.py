"""ALB Ingress, the Chinese edition: nginx as a balancer with listeners on two ports, a default
server certificate, a list of client CAs, and routes by path. The gateway finds it by /etc/hosts."""

from pathlib import Path

import pytest
from harness.dns import PrivateResolver, why_not
from harness.net import free_port, wait_for
from harness.seeds import SeedNginx, make_once

HERE = Path(__file__).parent
NAME = "alb.ingress.alibaba.com"

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_once(tmp_path_factory, HERE)


@pytest.fixture
def balancer(tmp_path, made, other_ca):
    """With two CAs in its list: the seed's and another."""
    ca_list = tmp_path / "ca-list.crt"
    ca_list.write_text(Path(other_ca.cert).read_text() + (made / "ca.crt").read_text())
    first, second = free_port(), free_port()
    changes = {
        "listen 443": f"listen 127.0.0.1:{first}",
        "listen 8443": f"listen 127.0.0.1:{second}",
    }
    files = (made, {"ca-list.crt": ca_list})
    with SeedNginx(tmp_path, HERE / "nginx.conf", files, first, changes) as server:
        server.ports = {f"{NAME}:443": f"{NAME}:{first}", f"{NAME}:8443": f"{NAME}:{second}"}
        yield server


@pytest.fixture
def gate(tmp_path, host, made, balancer):
    """gate(more files…, key=value…) runs the gateway host with the example."""
    # "Map the elastic IP address to the domain name by adding an entry to your hosts file."
    host.see(PrivateResolver(tmp_path / "etc", [], hosts=f"127.0.0.1 {NAME}\n"))

    def make(*files, **keys):
        host.copy("alb-ingress-cn", made, *files, changes=balancer.ports, **keys)
        return host.run()

    return make


def get(host, service, path):
    """The status and the page's title."""
    answer = host.curl(service, path, "-H", f"Host: {NAME}")
    return answer.status, answer.text.partition("<title>")[2].partition("<")[0]


def test_the_answer_is_an_html_page(gate, balancer):
    """curl https://alb.ingress.alibaba.com/ --cert client.crt --key client.key"""
    host = gate()
    answer = host.curl("coffee", "/", "-H", f"Host: {NAME}", "-i")
    assert answer.status == 200
    assert "Content-Type: text/html\n" in answer.text and "<!DOCTYPE html>" in answer.text
    (access,) = wait_for(balancer.accesses)
    assert "CN=client" in access and access.endswith(f" sni={NAME}")
    assert host.agent.ended(service="coffee")["reason"] == "ok"


def test_paths_and_ports_lead_to_services(gate):
    host = gate()
    assert get(host, "coffee", "/") == (200, "coffee-svc")
    assert get(host, "coffee", "/anything") == (200, "coffee-svc")
    assert get(host, "coffee", "/tea") == (200, "tea-svc")
    assert get(host, "coffee", "/tea/green") == (200, "tea-svc")
    assert get(host, "water", "/tea") == (200, "water-svc")


def test_probe_finds_the_links_good(gate):
    found = gate().probe()
    assert {name: found[name]["verdict"] for name in found} == {"coffee": "ok", "water": "ok"}


@pytest.mark.parametrize("sni", ["off", "unheard.of.example.com"])
def test_the_default_certificate_is_for_every_name(gate, sni):
    """It must be for the service's name all the same."""
    host = gate(sni=sni, verify_name=f"dns:{NAME}")
    assert get(host, "water", "/") == (200, "water-svc")


def client(authority, **options):
    leaf = authority.issue("client", purpose="client", **options)
    return {"client.crt": leaf.cert, "client.key": leaf.key}


def test_a_client_of_the_other_ca_in_the_list(gate, other_ca):
    assert get(gate(client(other_ca)), "coffee", "/") == (200, "coffee-svc")


def test_a_client_of_no_ca_in_the_list(gate, ca):
    host = gate(client(ca))
    for service in "coffee", "water":
        answer = host.curl(service, "/", "-H", f"Host: {NAME}")
        assert answer.status == 400 and "The SSL certificate error" in answer.text
