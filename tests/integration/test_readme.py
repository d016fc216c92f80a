"""What the README shows under "When it does not work" is what `mtls-agent probe` prints: each of its
failures is made with real servers, and the words are compared. Only figures may differ."""

import contextlib
import re
import subprocess
from datetime import timedelta

import pytest
from harness import dns, servers
from harness.agent import TREE, program
from harness.backends import Origin
from harness.net import free_port
from harness.pki import Pki

pytestmark = pytest.mark.skipif(dns.why_not() is not None, reason=str(dns.why_not()))

HOST = "api.example.com"
PAST = {"not_before": timedelta(days=-93), "not_after": timedelta(days=-3, hours=-1)}


def shown():
    """The blocks of the section: (verdict line, items), an item being a label and its words."""
    readme = (TREE / "README.md").read_text()
    section = readme.partition("\n## When it does not work\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^    (order-service: .*)\n((?:        .*\n)+)", section, re.M)
    return [(head, items(text)) for head, text in blocks]


def items(text):
    """An item begins with its label; what is broken to fit stands below its words."""
    joined = re.sub(r"\n {20}", " ", text.rstrip())
    return [" ".join(line.split()) for line in joined.splitlines()]


def plain(text):
    """The text without figures, and without what is another machine's."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", " ".join(text.split()))
    text = re.sub(r"server [^;]+|HEAD|GET", "X", re.sub(r"AES-\d+", "AES", text))
    return re.sub(r"\d+(\.\d+)*", "#", text)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A PKI, and a resolver that knows one name."""
    directory = tmp_path_factory.mktemp("readme")
    with dns.DnsServer() as server:
        server.set(HOST, "127.0.0.1", ttl=60)
        pki = Pki(directory)
        yield World(directory, pki, dns.PrivateResolver(directory / "resolver", [server]))


class World:
    def __init__(self, directory, pki, resolver):
        self.directory, self.resolver = directory, resolver
        self.orders, self.office = pki.authority("Orders CA"), pki.authority("Office CA")
        self.gateway = pki.authority("Gateway CA")

    def leaf(self, **options):
        return self.orders.issue(
            HOST, **{"dns": [HOST], "purpose": "server", "not_after": timedelta(days=90), **options}
        )

    def client(self, ca=None, **options):
        return (ca or self.orders).issue(
            "gateway", **{"purpose": "client", "not_after": timedelta(days=90), **options}
        )

    def probe(self, port, host=HOST, ca=None, client=None, mode="mtls"):
        client = client or self.client()
        path = self.directory / f"{free_port()}.conf"
        path.write_text(
            f"[certificate gateway]\ncert = {client.cert}\nkey = {client.key}\n"
            f"[service order-service]\nlisten = 127.0.0.1:9001\naddress = {host}:{port}\n"
            f"ca = {(ca or self.orders).cert}\ntls_mode = {mode}\n"
            + ("certificate = gateway\n" if mode == "mtls" else "")
        )
        done = subprocess.run(
            [program(), "probe", "-c", path],
            capture_output=True,
            text=True,
            preexec_fn=self.resolver.enter,
        )
        return done.returncode, done.stdout

    @contextlib.contextmanager
    def backend(self, server=servers.Haproxy, leaf=None):
        directory = self.directory / str(free_port())
        with server(directory, leaf or self.leaf(), self.orders) as running:
            yield running.port


def good(world):
    with world.backend(servers.Haproxy) as port:
        return world.probe(port)


def dns_failed(world):
    return world.probe(443, host="api.example.org")


def connect_refused(world):
    return world.probe(free_port())


def not_tls(world):
    with Origin() as origin:
        return world.probe(origin.port)


def cert_untrusted(world):
    with world.backend() as port:
        return world.probe(port, ca=world.office)


def cert_name_mismatch(world):
    leaf = world.leaf(dns=["orders.example.com", "www.example.com"])
    with world.backend(leaf=leaf) as port:
        return world.probe(port)


def cert_no_san(world):
    with world.backend(leaf=world.leaf(dns=[])) as port:
        return world.probe(port)


def cert_expired(world):
    with world.backend(leaf=world.leaf(**PAST)) as port:
        return world.probe(port)


def client_cert_required(world):
    with world.backend(servers.Nginx) as port:
        return world.probe(port, mode="tls")


def client_cert_untrusted(world):
    with world.backend() as port:
        return world.probe(port, client=world.client(world.gateway))


def client_cert_expired(world):
    with world.backend() as port:
        return world.probe(port, client=world.client(**PAST))


MADE = (
    good,
    dns_failed,
    connect_refused,
    not_tls,
    cert_untrusted,
    cert_name_mismatch,
    cert_no_san,
    cert_expired,
    client_cert_required,
    client_cert_untrusted,
    client_cert_expired,
)


def test_ten_failures_are_shown():
    verdicts = [head.split()[1] for head, _ in shown()]
    assert verdicts == ["ok", *(make.__name__ for make in MADE[1:])]


@pytest.mark.parametrize("index", range(len(MADE)), ids=[make.__name__ for make in MADE])
def test_what_the_readme_shows_is_what_is_printed(world, index):
    head, wanted = shown()[index]
    status, output = MADE[index](world)
    assert status == (0 if index == 0 else 1)
    printed = [plain(item) for item in [output.splitlines()[0], *items(output.partition("\n")[2])]]
    for item in [head, *wanted]:
        item = item.replace("api.example.com: no such", "api.example.org: no such")
        assert plain(item) in printed, (item, output)
