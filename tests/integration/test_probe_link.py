"""`probe` on links that work: what it tells of names, addresses, the session, resumption and the
days that are left."""

import re
from datetime import timedelta

import pytest
from harness import servers
from harness.backends import Backend, TlsBackend, TlsConnection, echo, server_context
from harness.dns import DnsServer, PrivateResolver, why_not
from harness.net import Blackhole, free_port
from harness.probe import diagnose

WHY_NOT = why_not()
DAY = timedelta(days=1)
LONG = {"not_after": 400.5 * DAY}
REAL = ("nginx", "haproxy", "caddy", "stunnel", "s_server", "gnutls-serv")


@pytest.fixture(scope="module")
def gateway(ca):
    return ca.issue("gateway", purpose="client", **LONG)


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.issue("localhost", dns=["localhost", "api.test"], **LONG)


def serve_http(connection):
    """Answers one request."""
    connection.read()
    connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.close_notify()
    connection.wait_closed()


# All that there is to tell


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("server", REAL)
def test_a_link_that_works(tmp_path, ca, gateway, leaf, server, tls):
    with servers.ALL[server](tmp_path, leaf, ca, tls) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway).expect("ok")
    endpoint = found.endpoint
    assert (endpoint["reason"], endpoint["side"], endpoint["detail"]) == ("ok", None, None)
    assert endpoint["established"] and endpoint["confirmed"] and endpoint["alert"] is None
    assert endpoint["client_certificate"] == {
        "asked": True,
        "sent": True,
        "issuer_matched": True,
        "accepted_issuers": "CN=Test CA",
    }
    check_session(found, tls)
    check_certificates(found)
    assert endpoint["resumption"] == "works" and found.line("resumption") == "works"
    is_http = server in ("nginx", "haproxy", "caddy")
    assert (found["http"]["status"] == 200) == is_http, str(found)
    assert len(found["warnings"]) == (0 if is_http else 1), str(found)


def check_session(found, tls):
    """Version, cipher, group and how long it took, in words and in figures."""
    session, line = found.endpoint["tls"], found.line("address")
    assert session["version"] == tls and session["alpn"] is None
    assert re.match(r"AES-\d+-GCM|CHACHA20-POLY1305", session["cipher"]), session
    assert re.match(r"X25519|SECP\d+R1", session["group"]), session
    assert f"accepted our certificate; TLS {tls}, {session['cipher']}, {session['group']};" in line
    assert re.search(r"; TCP \d+\.\d ms, handshake \d+\.\d ms$", line), line
    assert 0 < found.endpoint["connect_seconds"] < 5 > found.endpoint["handshake_seconds"] > 0


def check_certificates(found):
    """Both chains, with the days that are left."""
    theirs = found.lines["backend"][0]
    assert theirs.startswith("CN=localhost; for dns:localhost, dns:api.test; "), theirs
    assert "400 days left, until 2" in theirs and "(!)" not in found.text
    ours = found.line("ours")
    assert ours.startswith("CN=gateway; issued by CN=Test CA; 400 days left, until 2"), ours
    first, own = found.endpoint["chain"][0], found["certificate"][0]
    for certificate in (first, own):
        assert certificate["days_left"] == 400 and not certificate["soon"]
        assert certificate["issuer"] == "CN=Test CA"
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", certificate["not_after"])
    assert first["names"] == "dns:localhost, dns:api.test" and own["names"] is None


def test_a_chain_is_told_in_full(tmp_path, ca, gateway):
    inner = ca.intermediate("Outer CA", **LONG).intermediate("Inner CA", **LONG)
    with servers.Nginx(tmp_path, inner.issue("api", dns=["localhost"], **LONG), ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway).expect("ok")
    assert [row["subject"] for row in found.endpoint["chain"]] == [
        "CN=api", "CN=Inner CA", "CN=Outer CA"
    ]
    first, second, third = found.lines["backend"]
    assert "for dns:localhost" in first and "issued by" not in first + second
    assert third.startswith("CN=Outer CA; issued by CN=Test CA; 400 days left")


@pytest.mark.parametrize("key", ["rsa2048", "p384", "ed25519"])
def test_keys_of_any_kind(tmp_path, ca, key):
    leaf = ca.issue("localhost", dns=["localhost"], key=key, **LONG)
    ours = ca.issue("gateway", purpose="client", key=key, **LONG)
    with servers.Nginx(tmp_path, leaf, ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=ours).expect("ok")
    assert found.endpoint["pin"] == leaf.pin


def test_alpn(tmp_path, ca, gateway, leaf):
    with TlsBackend(serve_http, leaf, ca, alpn=["http/1.1"]) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway, alpn=["h2", "http/1.1"])
    found.expect("ok", None, "ALPN http/1.1")
    assert found.endpoint["tls"]["alpn"] == "http/1.1" and found["http"]["version"] == "1.1"


# Days left


def test_certificates_with_few_days_left(tmp_path, ca):
    leaf = ca.issue("api", dns=["localhost"], not_after=12.5 * DAY)
    ours = ca.issue("gateway", purpose="client", not_after=1.5 * DAY)
    with servers.Haproxy(tmp_path, leaf, ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=ours).expect("ok")
    assert re.search(r"12 days left, until \S+ \(!\)$", found.line("backend")), str(found)
    assert re.search(r"1 day left, until \S+ \(!\)$", found.line("ours")), str(found)
    assert found.endpoint["chain"][0]["soon"] and found["certificate"][0]["soon"]


@pytest.mark.parametrize("days, is_soon", [(29.5, True), (30.5, False)])
def test_few_is_less_than_thirty(tmp_path, ca, gateway, days, is_soon):
    leaf = ca.issue("api", dns=["localhost"], not_after=days * DAY)
    with servers.Nginx(tmp_path, leaf, ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway).expect("ok")
    assert found.endpoint["chain"][0]["soon"] == is_soon == ("(!)" in found.line("backend"))


def test_a_ca_of_ours_with_few_days_left(tmp_path, pki, ca, gateway):
    old = pki.authority("Old CA", not_after=20.5 * DAY)
    with servers.Nginx(tmp_path, old.issue("api", dns=["localhost"], **LONG), ca) as backend:
        found = diagnose(tmp_path, backend, old, certificate=gateway).expect("ok")
    found.warns("the CA CN=Old CA expires in 20 days")


def test_an_intermediate_with_few_days_left(tmp_path, ca, gateway):
    tired = ca.intermediate("Tired CA", not_after=3.5 * DAY)
    with servers.Nginx(tmp_path, tired.issue("api", dns=["localhost"], **LONG), ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway).expect("ok")
    assert "3 days left" in found.lines["backend"][1]
    assert "(!)" in found.lines["backend"][1] and "(!)" not in found.lines["backend"][0]


# Resumption


class NginxOf(servers.Nginx):
    """With more of ssl_session_…"""

    sessions = ""

    def command(self):
        command = super().command()
        path = self.directory / "nginx.conf"
        path.write_text(path.read_text().replace("ssl_protocols", f"{self.sessions} ssl_protocols"))
        return command


@pytest.mark.parametrize(
    "tls, sessions, expected",
    [
        ("1.2", "ssl_session_tickets off; ssl_session_cache off;", "no_ticket"),
        ("1.2", "ssl_session_tickets off; ssl_session_cache shared:a:1m;", "works"),
        ("1.2", "ssl_session_tickets on;", "works"),
        ("1.3", "ssl_session_tickets on;", "works"),
    ],
)
def test_resumption(tmp_path, ca, gateway, leaf, tls, sessions, expected):
    server = NginxOf(tmp_path, leaf, ca, tls)
    server.sessions = sessions
    with server:
        found = diagnose(tmp_path, server, ca, certificate=gateway).expect("ok")
    assert found.endpoint["resumption"] == expected
    assert found.line("resumption") == {
        "works": "works", "no_ticket": "no: no ticket came"
    }[expected]
    assert found["warnings"] == [], str(found)


def test_no_tickets_in_tls_13(tmp_path, ca, gateway, leaf):
    with TlsBackend(serve_http, leaf, ca, session_tickets=0) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway).expect("ok")
    assert found.endpoint["resumption"] == "no_ticket"


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_tickets_that_are_not_taken_back(tmp_path, ca, gateway, leaf, tls):
    """As of backends behind a balancer that do not share their keys."""

    class Forgetful(Backend):
        def handle(self, session):
            connection = TlsConnection(session, server_context(leaf, ca, tls=tls))
            connection.handshake()
            serve_http(connection)

    with Forgetful(None) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway).expect("ok")
    assert found.endpoint["resumption"] == "declined"
    assert found.line("resumption") == "no: the backend does not take its own ticket back"


# Addresses


def test_two_addresses(tmp_path, ca, gateway, leaf):
    port = free_port()
    with TlsBackend(serve_http, leaf, ca, port) as four:
        with TlsBackend(serve_http, leaf, ca, port, "::1") as six:
            where = [f"127.0.0.1:{port}", f"[::1]:{port}"]
            found = diagnose(tmp_path, where, ca, certificate=gateway).expect("ok")
            assert four.sessions and six.sessions
    assert [row["address"] for row in found["endpoints"]] == where
    assert len(found.lines["address"]) == 2 and found["warnings"] == []
    for address, line in zip(where, found.lines["address"]):
        assert re.match(re.escape(address) + r": accepted .* handshake \d+\.\d ms$", line), line
    tried = [row["resumption"] is not None for row in found["endpoints"]]
    assert sorted(tried) == [False, True]  # at one alone, the first that worked


@pytest.mark.parametrize("kind", ["closed", "hole"])
@pytest.mark.parametrize("order", [1, -1])
def test_one_of_two_addresses_is_dead(tmp_path, ca, gateway, leaf, kind, order):
    with TlsBackend(serve_http, leaf, ca) as backend, Blackhole(host="127.0.0.2") as hole:
        dead = f"127.0.0.2:{hole.port}" if kind == "hole" else f"127.0.0.1:{free_port()}"
        where = [dead, f"127.0.0.1:{backend.port}"][::order]
        found = diagnose(
            tmp_path, where, ca, certificate=gateway, connect_timeout="500ms"
        ).expect("ok")
    reason = "connect_timeout" if kind == "hole" else "connect_refused"
    found.warns("1 of 2 addresses does not work")
    assert any(line.startswith(f"{dead}: {reason} (network)") for line in found.lines["address"])
    assert {row["address"]: row["reason"] for row in found["endpoints"]}[dead] == reason
    assert found["http"]["status"] == 200


# Names


@pytest.fixture
def dns():
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    with DnsServer() as server:
        yield server


def test_cnames_and_ttls(tmp_path, dns, ca, gateway, leaf):
    dns.set("api.test", cname="shop.balancer.test", ttl=300)
    dns.set("shop.balancer.test", cname="node-7.balancer.test", ttl=55)
    dns.set("node-7.balancer.test", "127.0.0.1", "::1", ttl=200)
    port = free_port()
    etc = PrivateResolver(tmp_path / "etc", [dns])
    with TlsBackend(serve_http, leaf, ca, port), TlsBackend(serve_http, leaf, ca, port, "::1"):
        found = diagnose(
            tmp_path, f"api.test:{port}", ca,
            certificate=gateway, preexec=etc.enter, sni="api.test",
        ).expect("ok")
    (host,) = found["dns"]
    assert host["aliases"] == ["shop.balancer.test", "node-7.balancer.test"]
    assert sorted(row["address"] for row in host["addresses"]) == ["127.0.0.1", "::1"]
    assert {row["ttl"] for row in host["addresses"]} == {200} and host["failure"] is None
    assert host["ttl"] == 55  # by which the agent goes
    assert host["seconds"] < 5 and (host["host"], host["port"]) == ("api.test", port)
    line = found.line("dns")
    assert line.startswith("api.test: ") and "127.0.0.1" in line and "::1" in line
    assert "; TTL 200 s (55 s by way of the CNAME); " in line
    assert "; CNAME shop.balancer.test, node-7.balancer.test" in line
    assert {row["host"] for row in found["endpoints"]} == {"api.test"}


def test_a_name_in_etc_hosts(tmp_path, dns, ca, gateway, leaf):
    etc = PrivateResolver(tmp_path / "etc", [dns], hosts="127.0.0.1 api.test\n")
    with TlsBackend(serve_http, leaf, ca) as backend:
        found = diagnose(
            tmp_path, f"api.test:{backend.port}", ca,
            certificate=gateway, preexec=etc.enter, sni="api.test",
        ).expect("ok")
    assert "127.0.0.1; from /etc/hosts" in found.line("dns")
    assert found["dns"][0]["addresses"] == [{"address": "127.0.0.1", "ttl": None}]


def test_names_that_lead_to_one_address(tmp_path, dns, ca, gateway, leaf):
    """Each name is told, and which one led where."""
    dns.set("a.test", "127.0.0.1", ttl=5)
    dns.set("b.test", "127.0.0.2", ttl=900)
    etc = PrivateResolver(tmp_path / "etc", [dns])
    port = free_port()
    with TlsBackend(serve_http, leaf, ca, port), TlsBackend(
        serve_http, leaf, ca, port, "127.0.0.2"
    ):
        found = diagnose(
            tmp_path, [f"a.test:{port}", f"b.test:{port}"], ca,
            certificate=gateway, preexec=etc.enter, sni="api.test",
        ).expect("ok", None, f"127.0.0.1:{port} (a.test)", f"127.0.0.2:{port} (b.test)")
    assert ["TTL 5 s" in found.lines["dns"][0], "TTL 900 s" in found.lines["dns"][1]] == [True] * 2


def test_no_request_when_told_so(tmp_path, ca, gateway, leaf):
    with TlsBackend(echo, leaf, ca) as backend:
        found = diagnose(tmp_path, backend, ca, "--no-http", certificate=gateway).expect("ok")
        assert all(session.received == 0 for session in backend.wait_over(4))
    assert found["http"] is None and "http" not in found.lines and found["warnings"] == []
