"""ALB console: the client's identity is a .pfx with its password in a .txt, issued by an
intermediate CA; the listener trusts the root alone; the name is a CNAME of the ALB instance."""

import contextlib
import http.client
import re
from pathlib import Path

import pytest
from harness.net import HANG, free_port, wait_for
from harness.seeds import SeedNginx, run

HERE = Path(__file__).parent
ONE, TWO = (f"alb-{n}.cn-hangzhou.alb.aliyuncs.com" for n in ("one", "two"))
NAME = "www.example.com"
PASSWORD = "Wq3-x.Zp8_k"


@pytest.fixture(scope="module")
def root(pki):
    return pki.authority("Private Root CA")


@pytest.fixture
def alb(tmp_path, pki, root, dns):
    """The listener, for two ALB instances: 127.0.0.1 and 127.0.0.2."""
    public = pki.authority("A Public CA")
    leaf = public.issue(NAME, dns=[NAME])
    files = {"server.crt": leaf.cert, "server.key": leaf.key, "root-ca.crt": root.cert}
    port = free_port()
    changes = {
        "alb-one:443": f"127.0.0.1:{port}",
        "alb-two:443": f"127.0.0.2:{port}",
        "ecs01:80": f"127.0.0.1:{free_port()}",
        "ecs02:80": f"127.0.0.1:{free_port()}",
    }
    dns.set(NAME, cname=ONE, ttl=1)
    dns.set(ONE, "127.0.0.1", ttl=1)
    dns.set(TWO, "127.0.0.2", ttl=1)
    with SeedNginx(tmp_path, HERE / "nginx.conf", [files], port, changes) as server:
        server.ca = public.cert
        yield server


@pytest.fixture
def download(tmp_path, root):
    """download(key, options) is what the console's Download gives, the format being PFX: the client
    certificate and the intermediate CA's, and the password. The document's certificate has the
    domain name of the ALB instance as its common name."""
    middle = root.intermediate("Private Client CA")

    def make(key="p256", *options, chain=(middle,), newline=""):
        leaf = middle.issue(ONE, purpose="client", key=key, chain=chain)
        pfx, txt = tmp_path / "client.pfx", tmp_path / "client.txt"
        run("openssl", "pkcs12", "-export", "-in", leaf.cert, "-inkey", leaf.key, "-out", pfx,
            "-passout", f"pass:{PASSWORD}", *options)
        txt.write_text(PASSWORD + newline)
        txt.chmod(0o600)
        return {"client.pfx": pfx, "client.txt": txt}

    return make


@pytest.fixture
def gate(host, alb):
    """gate(FILES) is the gateway host with the example, not yet running."""

    def make(files):
        changes = {f"{NAME}:443": f"{NAME}:{alb.port}"}
        host.copy("alb-console", files, {"server-ca.crt": alb.ca}, changes=changes)
        return host

    return make


@pytest.mark.parametrize("options", [(), ("-legacy",)], ids=["modern", "legacy"])
@pytest.mark.parametrize("key", ["p256", "rsa2048"])
def test_the_downloaded_certificate_is_presented_with_its_chain(gate, alb, download, key, options):
    """The listener, which knows the root alone, accepts it. -legacy (RC2 and SHA-1) is what many
    consoles still make, and what old Windows takes."""
    host = gate(download(key, *options)).run()
    assert host.curl("alb-console", "/").status == 200
    assert f" client=CN={ONE} " in wait_for(alb.accesses)[0]
    assert host.agent.ended(service="alb-console")["reason"] == "ok"


def test_probe_finds_the_link_good_and_follows_the_cname(gate, download):
    found = gate(download()).probe()["alb-console"]
    assert found["verdict"] == "ok"
    assert ONE in str(found["dns"])


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_password_file_may_end_in_a_newline(gate, download, newline):
    assert gate(download(newline=newline)).run().curl("alb-console", "/").status == 200


def test_without_the_intermediate_the_listener_does_not_accept_it(gate, download):
    answer = gate(download(chain=())).run().curl("alb-console", "/")
    assert answer.status == 400 and "The SSL certificate error" in answer.text


def test_a_wrong_password_is_told_by_check(gate, download):
    files = download()
    files["client.txt"].write_text("something else")
    done = gate(files).command("check")
    assert done.returncode == 2
    assert "client.pfx" in done.stderr and "password" in done.stderr
    assert PASSWORD not in done.stderr and "something else" not in done.stderr


def test_requests_are_distributed(gate, download):
    """"If you refresh the page, requests are distributed between ECS01 and ECS02." """
    host = gate(download()).run()
    answers = [host.curl("alb-console", "/").text for _ in range(4)]
    assert sorted(answers) == ["ECS01\n", "ECS01\n", "ECS02\n", "ECS02\n"]


def instance(connection):
    """The address of the ALB instance that answers on this connection."""
    connection.request("GET", "/", headers={"Host": NAME})
    answer = connection.getresponse()
    assert re.fullmatch(rb"ECS0[12]\n", answer.read())
    return answer.headers["X-Instance"]


def test_new_connections_follow_the_cname(gate, dns, download):
    """While one that is open stays where it is."""
    host = gate(download()).run()

    def connect():
        port = host.ports["alb-console"]
        return http.client.HTTPConnection("127.0.0.1", port, timeout=HANG)

    def is_elsewhere():
        with contextlib.closing(connect()) as new:
            return instance(new) == "127.0.0.2"

    with contextlib.closing(connect()) as old:
        assert instance(old) == "127.0.0.1"
        dns.set(NAME, cname=TWO, ttl=1)
        host.agent.wait_log(msg="addresses changed", host=NAME, addresses="127.0.0.2")
        wait_for(is_elsewhere, what="the workers to know")
        assert instance(old) == "127.0.0.1"
