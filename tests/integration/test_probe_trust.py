"""`probe` on backends that we refuse: the reason, and the evidence for it, in words and in JSON."""

import re
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from harness import servers
from harness.backends import TlsBackend, echo
from harness.probe import diagnose

DAY = timedelta(days=1)
REAL = ("nginx", "haproxy", "caddy", "stunnel", "s_server", "gnutls-serv")


@pytest.fixture
def judge(tmp_path, ca, gateway):
    """judge(CERTIFICATE, NAME, key=value…) probes a real server with this certificate."""

    def run(leaf, server="gnutls-serv", **keys):
        trusted = keys.pop("ca", ca)
        with servers.ALL[server](tmp_path, leaf, ca) as backend:
            return diagnose(tmp_path, backend, trusted, certificate=gateway, **keys)

    return run


def refused(found, verdict, *evidence):
    """We refused the backend: in the handshake, before any request."""
    found.expect(verdict, "we_refused", *evidence)
    assert found.endpoint["reason"] == verdict and found.endpoint["detail"] == found.detail
    assert not found.endpoint["established"] and found["http"] is None, str(found)
    assert found.endpoint["chain"], str(found)
    return found


# The chain


@pytest.mark.parametrize("server", REAL)
def test_a_ca_that_we_do_not_hold(judge, other_ca, ca, server):
    found = judge(other_ca.issue("localhost", dns=["localhost"]), server)
    refused(found, "cert_untrusted", "issued by CN=Another CA", "we trust CN=Test CA")
    assert "CN=Another CA" in found.line("backend") and "CN=Test CA" in found.line("we trust")
    assert [row["subject"] for row in found["ca"]] == ["CN=Test CA"]


def test_the_issuer_of_the_top_certificate_is_named(judge, other_ca):
    leaf = other_ca.intermediate("Their Issuing CA").issue("localhost", dns=["localhost"])
    found = refused(judge(leaf, "nginx"), "cert_untrusted", "issued by CN=Another CA")
    assert len(found.lines["backend"]) == 2
    assert "CN=Their Issuing CA; issued by CN=Another CA" in found.lines["backend"][1]


def test_an_intermediate_that_is_not_sent(judge, ca):
    leaf = ca.intermediate("Lost Issuing CA").issue("localhost", dns=["localhost"], chain=())
    refused(judge(leaf), "cert_untrusted", "issued by CN=Lost Issuing CA", "CN=Test CA")


def test_the_cas_that_we_hold_are_named(judge, pki, ca, tmp_path):
    held = [pki.authority(f"Held CA {number}") for number in range(12)]
    bundle = tmp_path / "bundle.crt"
    bundle.write_text("".join(open(authority.cert).read() for authority in held))
    found = judge(ca.issue("localhost", dns=["localhost"]), ca=bundle)
    refused(found, "cert_untrusted", "issued by CN=Test CA", "CN=Held CA 0", "and 9 more")
    assert "CN=Held CA 7" in found.lines["we trust"][7]
    assert found.lines["we trust"][8] == "and 4 more"
    assert len(found["ca"]) == 12


def test_the_cas_of_the_system(judge, ca):
    found = judge(ca.issue("localhost", dns=["localhost"]), ca="system")
    refused(found, "cert_untrusted", "issued by CN=Test CA", "we trust the system's CAs")
    assert found["ca"] is None


def test_a_certificate_that_signed_itself(judge, pki):
    leaf = pki.self_signed("localhost", dns=["localhost"])
    refused(judge(leaf), "cert_untrusted", "CN=localhost", "we trust CN=Test CA", "self-signed")


def test_a_ca_of_the_same_name(judge, pki):
    leaf = pki.authority("Test CA").issue("localhost", dns=["localhost"])
    refused(judge(leaf), "cert_untrusted", "of the same name", "did not sign")


# Names


@pytest.mark.parametrize("server", REAL)
def test_other_names(judge, ca, server):
    leaf = ca.issue("shop", dns=["shop.test", "www.shop.test"], ips=["192.0.2.7"])
    found = judge(leaf, server, verify_name="dns:api.test")
    refused(found, "cert_name_mismatch", "api.test", "dns:shop.test, dns:www.shop.test")
    assert "wanted dns:api.test" in found.line("why") and "ip:192.0.2.7" in found.line("why")
    assert found.endpoint["chain"][0]["names"] == "dns:shop.test, dns:www.shop.test, ip:192.0.2.7"


@pytest.mark.parametrize(
    "wanted", ["uri:spiffe://mesh.test/orders", "ip:192.0.2.9", "dns:other.test"]
)
def test_a_name_of_any_kind(judge, ca, wanted):
    leaf = ca.issue(dns=["localhost"], uris=["spiffe://mesh.test/billing"])
    found = judge(leaf, verify_name=wanted)
    refused(found, "cert_name_mismatch", wanted, "uri:spiffe://mesh.test/billing")


def test_many_names(judge, ca):
    leaf = ca.issue(dns=[f"host-{number:03}.a-rather-long-name.test" for number in range(100)])
    found = refused(judge(leaf), "cert_name_mismatch", "localhost", "host-000", " more")
    assert re.search(r"and \d+ more", found.line("why")), str(found)


def test_no_alternative_names(judge, ca):
    leaf = ca.issue("localhost")
    found = refused(judge(leaf), "cert_no_san", "allow_common_name", "subjectAltName", "localhost")
    assert found.endpoint["chain"][0]["names"] is None


def test_no_alternative_names_and_what_helps(judge, ca):
    judge(ca.issue("localhost"), "nginx", allow_common_name="yes").expect("ok")


def test_no_alternative_names_and_another_common_name(judge, ca):
    found = judge(ca.issue("shop.test"), allow_common_name="yes", sni="api.test")
    refused(found, "cert_name_mismatch", "api.test", "shop.test")


# Dates


@pytest.mark.parametrize("server", REAL)
def test_expired(judge, ca, server):
    leaf = ca.issue("orders", dns=["localhost"], not_before=-9 * DAY, not_after=-3.5 * DAY)
    found = refused(judge(leaf, server), "cert_expired", "CN=orders", "3 days ago", "(!)")
    assert found.endpoint["chain"][0]["soon"] and found.endpoint["chain"][0]["days_left"] == -4


@pytest.mark.parametrize(
    "ago, text", [(timedelta(hours=5.5), "5 hours ago"), (timedelta(minutes=90), "1 hour ago")]
)
def test_expired_not_long_ago(judge, ca, ago, text):
    leaf = ca.issue("orders", dns=["localhost"], not_before=-9 * DAY, not_after=-ago)
    refused(judge(leaf), "cert_expired", text)


def test_an_expired_intermediate_is_named(judge, ca):
    tired = ca.intermediate("Tired CA", not_before=-9 * DAY, not_after=-2.5 * DAY)
    leaf = tired.issue("orders", dns=["localhost"])
    refused(judge(leaf), "cert_expired", "CN=Tired CA is valid until", "2 days ago")


def test_not_yet_valid(judge, ca):
    leaf = ca.issue("orders", dns=["localhost"], not_before=3.5 * DAY, not_after=9 * DAY)
    found = refused(judge(leaf), "cert_not_yet_valid", "CN=orders", "3 days ahead", "(!)")
    assert "is the clock wrong?" not in found.text and "clock" in found.line("to do")


def test_not_yet_valid_for_years(judge, ca):
    leaf = ca.issue("orders", dns=["localhost"], not_before=3650.5 * DAY, not_after=3999 * DAY)
    found = refused(judge(leaf), "cert_not_yet_valid", "3650 days ahead", "is the clock wrong?")
    now = f"{datetime.utcnow():%Y-%m-%dT}"
    assert f"this host's clock says {now}" in found.line("why")


# Purpose and strength


@pytest.mark.parametrize(
    "purpose, word", [("client", "clientAuth"), ("code", "codeSigning")]
)
@pytest.mark.parametrize("server", ["nginx", "gnutls-serv"])
def test_a_certificate_that_is_not_for_servers(judge, ca, server, purpose, word):
    """libcurl on GnuTLS would accept it."""
    leaf = ca.issue("orders", dns=["localhost"], purpose=purpose)
    refused(judge(leaf, server), "cert_purpose", word, "CN=orders", "not for serverAuth")


def test_a_weak_key(judge, ca):
    leaf = ca.issue("orders", dns=["localhost"], key="rsa1024")
    refused(judge(leaf), "cert_weak", "CN=orders", "1024 bits (RSA)")


def test_a_weak_hash(judge, ca):
    leaf = ca.issue("orders", dns=["localhost"], hash="sha1")
    refused(judge(leaf), "cert_weak", "CN=orders", "SHA1")


def test_a_weak_intermediate_is_named(judge, ca):
    leaf = ca.intermediate("Feeble CA", key="rsa1024").issue("orders", dns=["localhost"])
    refused(judge(leaf), "cert_weak", "CN=Feeble CA", "1024 bits (RSA)")


# Revocation


class Stapling(servers.OpensslServer):
    """Staples a file's OCSP answer (RFC 6066 section 8)."""

    staple = None

    def command(self):
        path = self.directory / "staple.der"
        path.write_bytes(self.staple)
        return [*super().command(), "-status_file", str(path)]


def ocsp_answer(leaf, status):
    """What the leaf's own CA says of it, as of now and for a day."""
    now = datetime.utcnow()
    issuer = x509.load_der_x509_certificate(leaf.issuer.der)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=x509.load_der_x509_certificate(leaf.der),
        issuer=issuer,
        algorithm=hashes.SHA1(),
        cert_status=status,
        this_update=now - timedelta(minutes=1),
        next_update=now + DAY,
        revocation_time=now - DAY if status is ocsp.OCSPCertStatus.REVOKED else None,
        revocation_reason=None,
    ).responder_id(ocsp.OCSPResponderEncoding.NAME, issuer)
    response = builder.sign(leaf.issuer.private_key, hashes.SHA256())
    return response.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_a_revoked_certificate(tmp_path, ca, leaf, gateway, tls):
    server = Stapling(tmp_path, leaf, ca, tls)
    server.staple = ocsp_answer(leaf, ocsp.OCSPCertStatus.REVOKED)
    with server:
        found = diagnose(tmp_path, server, ca, certificate=gateway)
    refused(found, "cert_revoked", "revoked", "CN=localhost")


def test_a_promised_staple_that_does_not_come(judge, ca):
    leaf = ca.issue("orders", dns=["localhost"], must_staple=True)
    refused(judge(leaf), "cert_status_missing", "OCSP")


# Pins


@pytest.mark.parametrize("server", REAL)
def test_the_pin_that_it_has_can_be_pasted(judge, leaf, gateway, server, tmp_path):
    found = judge(leaf, server, pin=gateway.pin)
    refused(found, "pin_mismatch", leaf.pin)
    assert found.endpoint["pin"] == leaf.pin
    key, _, value = found.line("its pin").partition(" = ")
    assert (key, value) == ("pin", leaf.pin)
    again = judge_again(tmp_path, leaf, server, gateway, **{key: value})
    again.expect("ok")


def judge_again(tmp_path, leaf, server, gateway, **keys):
    (tmp_path / "again").mkdir()
    with servers.ALL[server](tmp_path / "again", leaf, leaf.issuer) as backend:
        return diagnose(tmp_path, backend, leaf.issuer, certificate=gateway, **keys)


def test_a_backend_that_we_refuse_never_sees_our_certificate(tmp_path, ca, other_ca, gateway):
    leaf = other_ca.issue("localhost", dns=["localhost"])
    with TlsBackend(echo, leaf, ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway)
        assert all(session.error for session in backend.wait_over(2))
    refused(found, "cert_untrusted")
    assert found.endpoint["client_certificate"]["asked"]
    assert not found.endpoint["client_certificate"]["sent"]
