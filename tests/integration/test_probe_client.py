"""`probe` on our own certificate: whose certificates the backend accepts, that it does not ask for
one, and what is wrong with ours even where nobody has refused it."""

from datetime import timedelta
from pathlib import Path

import pytest
from harness import servers
from harness.agent import config, section, service
from harness.backends import TlsBackend, echo, send
from harness.net import free_port
from harness.probe import Probe, diagnose

DAY = timedelta(days=1)
LONG = {"not_after": 400 * DAY}
REAL = ("nginx", "haproxy", "caddy", "stunnel", "s_server", "gnutls-serv")


@pytest.fixture
def backend_of(tmp_path, ca):
    """backend_of(NAME, CLIENT_CA): a server with a certificate that lasts, not yet started."""

    def make(name, client_ca=None, tls="1.3"):
        leaf = ca.issue("localhost", dns=["localhost"], **LONG)
        return servers.ALL[name](tmp_path, leaf, client_ca, tls)

    return make


@pytest.fixture
def bundle(tmp_path):
    """bundle(AUTHORITY…): a file with all of them."""

    def make(*authorities):
        path = tmp_path / "clients.crt"
        path.write_text("".join(Path(authority.cert).read_text() for authority in authorities))
        return str(path)

    return make


# Whose certificates the backend accepts


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("server", REAL)
def test_two_accepted_cas(tmp_path, pki, ca, other_ca, backend_of, bundle, server, tls):
    both = (pki.authority("Partners CA"), pki.authority("Suppliers CA"))
    accepted = bundle(*both)
    if server == "caddy":  # takes one certificate of a file
        accepted = "\ntrusted_ca_cert_file ".join(authority.cert for authority in both)
    ours = other_ca.issue("gateway", purpose="client", **LONG)
    with backend_of(server, accepted, tls) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=ours)
    found.expect("client_cert_untrusted", "they_refused")
    either = [
        f"it accepts certificates issued by {first} or {second}; ours is issued by CN=Another CA"
        for first, second in (
            ("CN=Partners CA", "CN=Suppliers CA"), ("CN=Suppliers CA", "CN=Partners CA")
        )
    ]
    assert any(text in found.line("why") for text in either), str(found)
    assert any(found.line("accepts") in text.replace("it accepts ", "") for text in either)


def test_many_accepted_cas(tmp_path, pki, ca, other_ca, backend_of, bundle):
    accepted = bundle(*(pki.authority(f"Partner {number} CA") for number in range(40)))
    ours = other_ca.issue("gateway", purpose="client", **LONG)
    with backend_of("nginx", accepted) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=ours)
    found.expect("client_cert_untrusted", "they_refused", "CN=Partner 0 CA", "CN=Partner 1 CA")
    assert " more; ours is issued by CN=Another CA" in found.line("why")
    told = found.line("why").count("CN=Partner ")
    assert f"or {40 - told} more;" in found.line("why"), str(found)


def test_long_names_of_accepted_cas(tmp_path, pki, ca, other_ca, backend_of, bundle):
    """What ours is issued by must not get lost behind them."""
    accepted = bundle(*(pki.authority(f"{number} {'Certification ' * 4}CA") for number in range(9)))
    ours = other_ca.issue("gateway", purpose="client", **LONG)
    with backend_of("haproxy", accepted) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=ours)
    found.expect("client_cert_untrusted", "they_refused", " more; ours is issued by CN=Another CA")


def test_every_issuer_of_our_chain_is_named(tmp_path, ca, other_ca, backend_of):
    ours = other_ca.intermediate("Gateways CA").issue("gateway", purpose="client", **LONG)
    with backend_of("nginx", ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=ours)
    found.expect("client_cert_untrusted", "they_refused")
    found.says("ours is issued by CN=Gateways CA, and that by CN=Another CA")
    assert len(found.lines["ours"]) == 2


def test_an_intermediate_of_ours_is_among_them(tmp_path, ca, other_ca, backend_of, bundle):
    """The backend knows our intermediate only: that suffices for the list."""
    inter = other_ca.intermediate("Gateways CA")
    ours = inter.issue("gateway", purpose="client", **LONG)
    with backend_of("gnutls-serv", bundle(inter)) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=ours)
    assert found.endpoint["client_certificate"]["issuer_matched"], str(found)
    assert "or" not in found.endpoint["client_certificate"]["accepted_issuers"].split()


class Lenient(servers.OpensslServer):
    """Asks for a certificate and takes any."""

    def command(self):
        return [*super().command(), "-verify", "3", "-CAfile", self.accepts]


def test_a_list_that_does_not_hold_ours_and_acceptance_all_the_same(
    tmp_path, ca, other_ca, gateway, leaf
):
    server = Lenient(tmp_path, leaf, None)
    server.accepts = other_ca.cert
    with server:
        found = diagnose(tmp_path, server, ca, certificate=gateway).expect("ok")
    found.warns("it accepts certificates issued by CN=Another CA; ours is issued by CN=Test CA")


def test_no_list_at_all(tmp_path, ca, other_ca, gateway, leaf):
    """An empty list (RFC 8446 section 4.2.4) accepts any issuer, as far as it tells."""
    with TlsBackend(echo, leaf, other_ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway)
    found.expect("client_cert_untrusted", "they_refused")
    assert found.endpoint["client_certificate"]["accepted_issuers"] is None
    assert "did not name the issuers" in found.line("accepts")
    assert "it accepts" not in found.line("why")


# A backend that does not ask


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("server", REAL)
def test_not_asked(tmp_path, ca, gateway, backend_of, server, tls):
    with backend_of(server, None, tls) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway).expect("ok")
    found.warns("never asked for a certificate", "not mutual")
    assert "asked for no certificate" in found.line("address")
    assert found.endpoint["client_certificate"] == {
        "asked": False,
        "sent": False,
        "issuer_matched": found.endpoint["client_certificate"]["issuer_matched"],
        "accepted_issuers": None,
    }


def test_not_asked_and_none_presented(tmp_path, ca, backend_of):
    with backend_of("nginx") as backend:
        found = diagnose(tmp_path, backend, ca).expect("ok")
    assert found["warnings"] == [] and found["certificate"] is None


def test_asked_and_none_presented_and_none_needed(tmp_path, ca, leaf):
    server = Lenient(tmp_path, leaf, None)
    server.accepts = ca.cert
    with server:
        found = diagnose(tmp_path, server, ca).expect("ok")
    found.warns("asks for a certificate, and none is presented (tls_mode = tls)")


def test_not_said_yet(tmp_path, ca, gateway, leaf):
    """Without a ticket and without a byte nobody knows in TLS 1.3."""
    with TlsBackend(echo, leaf, ca, session_tickets=0) as backend:
        found = diagnose(tmp_path, backend, ca, "--no-http", certificate=gateway).expect("ok")
    found.warns("has not said yet")
    assert not found.endpoint["confirmed"]
    assert "said nothing against our certificate" in found.line("address")


def test_said_by_an_answer(tmp_path, ca, gateway, leaf):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def serve(connection):
        connection.read()
        send(answer)(connection)

    with TlsBackend(serve, leaf, ca, session_tickets=0) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway).expect("ok", None, ": 200")
    assert found["warnings"] == [], str(found)


# Ours is bad, and nobody minds


def test_ours_has_expired(tmp_path, ca, backend_of):
    old = ca.issue("gateway", purpose="client", not_before=-9 * DAY, not_after=-3.5 * DAY)
    with backend_of("nginx") as backend:
        found = diagnose(tmp_path, backend, ca, certificate=old)
    found.expect("own_cert_expired", "config", "CN=gateway expired 3 days ago", "renew it")
    assert found.endpoint["reason"] == "ok" and found["http"]["status"] == 200
    assert "(!)" in found.line("ours")
    found.says("the backend has never asked for it")


@pytest.mark.parametrize("days, is_clock", [(3.5, False), (3650.5, True)])
def test_ours_is_not_yet_valid(tmp_path, ca, backend_of, days, is_clock):
    early = ca.issue("gateway", purpose="client", not_before=days * DAY, not_after=5000 * DAY)
    with backend_of("nginx") as backend:
        found = diagnose(tmp_path, backend, ca, certificate=early)
    found.expect("own_cert_not_yet_valid", "config", f"{int(days)} days ahead")
    assert ("clock of this host" in found.line("why")) == is_clock
    assert "valid only from" in found.line("ours") and "(!)" in found.line("ours")


def test_an_intermediate_of_ours_has_expired(tmp_path, ca, backend_of):
    tired = ca.intermediate("Tired CA", not_before=-9 * DAY, not_after=-2.5 * DAY)
    ours = tired.issue("gateway", purpose="client", **LONG)
    with backend_of("caddy") as backend:
        found = diagnose(tmp_path, backend, ca, certificate=ours)
    found.expect("own_cert_expired", "config", "CN=Tired CA expired 2 days ago")


def test_ours_is_not_for_clients(tmp_path, ca, backend_of):
    wrong = ca.issue("gateway", purpose="server", **LONG)
    with backend_of("gnutls-serv", ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=wrong).expect("ok")
    found.warns("our certificate is not for TLS clients (no clientAuth)")


def test_ours_is_for_any_purpose(tmp_path, ca, backend_of):
    """That is not good enough for OpenSSL."""
    ours = ca.issue("gateway", purpose="any", **LONG)
    with backend_of("nginx", ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=ours)
    found.expect("client_cert_unsupported", "they_refused", "clientAuth")


@pytest.mark.parametrize("purpose", [None, "both"])
def test_ours_has_another_purpose_that_will_do(tmp_path, ca, backend_of, purpose):
    ours = ca.issue("gateway", purpose=purpose, **LONG)
    with backend_of("nginx", ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=ours).expect("ok")
    assert found["warnings"] == [], str(found)


def test_ours_cannot_sign(tmp_path, ca):
    """Refused when it is read, before anything is opened."""
    ours = ca.issue("gateway", purpose="client", key_usage=("key_encipherment",))
    text = config(service("backend", free_port(), 9, ca), certificate=ours)
    probe = Probe(tmp_path, text)
    done = probe.run()
    assert (done.returncode, done.stdout) == (2, "")
    line = text[: text.index("cert =")].count("\n") + 1
    assert done.stderr.startswith(f"{probe.config}:{line}: ") and "digitalSignature" in done.stderr


def test_two_identities(tmp_path, ca, other_ca, backend_of):
    """Each service's verdict is on its own certificate."""
    mine, theirs = (issuer.issue("gateway", purpose="client", **LONG) for issuer in (ca, other_ca))
    with backend_of("haproxy", ca) as backend:
        text = config(
            service("good", free_port(), backend.port, ca, certificate="mine"),
            service("bad", free_port(), backend.port, ca, certificate="theirs"),
            section("certificate mine", cert=mine.cert, key=mine.key),
            section("certificate theirs", cert=theirs.cert, key=theirs.key),
        )
        found = Probe(tmp_path, text).diagnose_all()
    found["good"].expect("ok")
    found["bad"].expect("client_cert_untrusted", "they_refused", "ours is issued by CN=Another CA")
