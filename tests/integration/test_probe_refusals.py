"""`probe` on backends that refuse our certificate: what each real server says of it, in TLS 1.2 and
in TLS 1.3, where that comes after the handshake; and what we know ourselves where it says little.
"""

import contextlib
import ctypes
import ssl
from ctypes import CFUNCTYPE, c_int, c_void_p
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from harness import servers
from harness.backends import TlsBackend, TlsConnection, echo
from harness.gnutls import GnutlsBackend, GnutlsConnection, library
from harness.probe import diagnose

DAY = timedelta(days=1)
LONG = {"not_after": 400 * DAY}
TLS = ("1.2", "1.3")
ALERTING = ("haproxy", "haproxy-tcp", "caddy", "stunnel", "s_server", "gnutls-serv")
REAL = ("nginx", *ALERTING)

NOT_SENT = 'it answers HTTP 400 "No required SSL certificate was sent"'
NOT_GOOD = 'it answers HTTP 400 "The SSL certificate error"'


@pytest.fixture
def ask(tmp_path, ca, leaf):
    """ask(NAME, TLS, OURS, …) shows a real server that demands a certificate ours, or none."""

    def run(server, tls, certificate, *arguments, client_ca=ca, **keys):
        with servers.ALL[server](tmp_path, leaf, client_ca, tls) as backend:
            return diagnose(tmp_path, backend, ca, *arguments, certificate=certificate, **keys)

    return run


def refused(found, server, tls, verdict, *evidence):
    """The backend refused us, and the refusal came when and how this server's does."""
    found.expect(verdict, "they_refused", *evidence)
    after_handshake = server == "nginx" or tls == "1.3"
    endpoint = found.endpoint
    assert endpoint["established"] == after_handshake, str(found)
    assert endpoint["client_certificate"]["asked"], str(found)
    if server == "nginx":
        assert (endpoint["reason"], endpoint["alert"]) == ("ok", None), str(found)
        assert found["http"]["status"] == 400 and ": 400" in found.line("http"), str(found)
        complaint = NOT_SENT if verdict == "client_cert_required" else NOT_GOOD
        found.says("the handshake was good", complaint)
    else:
        assert endpoint["reason"] == verdict and endpoint["detail"] == found.detail
        assert f"alert {endpoint['alert']} (" in found.line("why")
        assert found["http"] is None, str(found)
        assert ("after the handshake" in found.line("address")) == after_handshake, str(found)
    return found


def numbers(server, tls, number_12, number_13=None):
    """The alerts of which one must come. nginx has none; Go's older TLS has one for everything."""
    number = number_13 if number_13 and tls == "1.3" else number_12
    return {"nginx": {None}, "caddy": {42, number}}.get(server, {number})


# The matrix


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("server", REAL)
def test_no_certificate(ask, server, tls):
    found = refused(
        ask(server, tls, None), server, tls, "client_cert_required", "tls_mode", "certificate"
    )
    first = 50 if server == "gnutls-serv" else 40
    assert found.endpoint["alert"] in numbers(server, tls, first, 116)
    assert not found.endpoint["client_certificate"]["sent"]
    assert found["certificate"] is None
    assert "none: tls_mode = tls presents no certificate" in found.line("ours")
    found.says(NOT_SENT if server == "nginx" else "no certificate was presented")


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("server", REAL)
def test_an_unknown_ca(ask, other_ca, server, tls):
    found = refused(
        ask(server, tls, other_ca.issue("gateway", purpose="client", **LONG)),
        server, tls, "client_cert_untrusted",
        "it accepts certificates issued by CN=Test CA; ours is issued by CN=Another CA",
    )
    assert found.endpoint["alert"] in numbers(server, tls, 49 if server == "gnutls-serv" else 48)
    assert found.endpoint["client_certificate"] == {
        "asked": True,
        "sent": True,
        "issuer_matched": False,
        "accepted_issuers": "CN=Test CA",
    }
    assert "CN=gateway; issued by CN=Another CA" in found.line("ours")
    assert "certificates issued by CN=Test CA" in found.line("accepts")


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("server", REAL)
def test_an_expired_certificate(ask, ca, server, tls):
    old = ca.issue("gateway", purpose="client", not_before=-9 * DAY, not_after=-3.5 * DAY)
    found = refused(
        ask(server, tls, old), server, tls, "client_cert_expired", "ours expired 3 days ago"
    )
    assert found.endpoint["alert"] in numbers(server, tls, 49 if server == "gnutls-serv" else 45)
    assert "expired 3 days ago" in found.line("ours") and "(!)" in found.line("ours")
    assert found["certificate"][0]["days_left"] == -4 and found["certificate"][0]["soon"]


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("server", REAL)
def test_a_certificate_that_is_not_for_clients(ask, ca, server, tls):
    wrong = ca.issue("gateway", purpose="server", **LONG)
    found = ask(server, tls, wrong)
    if server == "gnutls-serv":  # does not look at the purpose
        found.expect("ok").warns("our certificate is not for TLS clients (no clientAuth)")
        assert found.endpoint["client_certificate"]["sent"]
        return
    refused(found, server, tls, "client_cert_unsupported", "not for TLS clients (no clientAuth)")
    assert found.endpoint["alert"] in numbers(server, tls, 43)


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("server", REAL)
def test_a_certificate_that_is_not_yet_valid(ask, ca, server, tls):
    """No server has an alert for this, and the advice must not lead to somebody's list of CAs."""
    early = ca.issue("gateway", purpose="client", not_before=3.5 * DAY, not_after=9 * DAY)
    found = ask(server, tls, early)
    found.expect("own_cert_not_yet_valid", "config", "3 days ahead", "clock")
    assert "clock" in found.line("to do"), str(found)
    number = {"gnutls-serv": 49, "caddy": 45}.get(server, 42)
    assert found.endpoint["alert"] in numbers(server, tls, number)


# What is wrong with our chain


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("server", ["nginx", "haproxy", "caddy", "gnutls-serv"])
def test_an_intermediate_of_ours_that_is_not_sent(ask, ca, server, tls):
    lost = ca.intermediate("Lost CA").issue("gateway", purpose="client", chain=(), **LONG)
    refused(
        ask(server, tls, lost), server, tls, "client_cert_untrusted",
        "it accepts certificates issued by CN=Test CA; ours is issued by CN=Lost CA",
    )


@pytest.mark.parametrize("server", ["nginx", "stunnel", "caddy"])
def test_an_intermediate_of_ours_that_has_expired(ask, ca, server):
    tired = ca.intermediate("Tired CA", not_before=-9 * DAY, not_after=-2.5 * DAY)
    found = ask(server, "1.3", tired.issue("gateway", purpose="client", **LONG))
    refused(found, server, "1.3", "client_cert_expired", "2 days ago", "intermediate of ours")
    assert len(found.lines["ours"]) == 2 and "expired" in found.lines["ours"][1]


@pytest.mark.parametrize("server", ["nginx", "haproxy", "gnutls-serv"])
def test_a_ca_of_the_same_name(ask, pki, server):
    """Its name is in the list of the backend: here only the alert tells."""
    namesake = pki.authority("Test CA").issue("gateway", purpose="client", **LONG)
    found = ask(server, "1.3", namesake)
    verdict = "client_cert_denied" if server == "gnutls-serv" else "client_cert_untrusted"
    refused(found, server, "1.3", verdict)
    assert found.endpoint["client_certificate"]["issuer_matched"]


class RsaOnly(servers.OpensslServer):
    """Accepts client certificates with RSA keys only."""

    def command(self):
        return [*super().command(), "-client_sigalgs", "rsa_pss_rsae_sha256:rsa_pkcs1_sha256"]


@pytest.mark.parametrize("tls", TLS)
def test_a_key_of_a_kind_that_the_server_does_not_take(tmp_path, ca, leaf, gateway, tls):
    with RsaOnly(tmp_path, leaf, ca, tls) as server:
        found = diagnose(tmp_path, server, ca, certificate=gateway)
    found.expect("client_cert_unsupported", "they_refused", "key's type")
    assert not found.endpoint["client_certificate"]["sent"]


class Revoking(servers.OpensslServer):
    """Has a list of revoked client certificates."""

    revoked = None

    def command(self):
        path = self.directory / "clients.crl"
        path.write_bytes(self.revoked)
        return [*super().command(), "-crl_check", "-CRL", str(path)]


def revocation_list(ca, certificate):
    """A CRL (RFC 5280 section 5) with one certificate in it, as PEM."""
    now = datetime.utcnow()
    issuer = x509.load_der_x509_certificate(ca.der).subject
    serial = x509.load_der_x509_certificate(certificate.der).serial_number
    crl = x509.CertificateRevocationListBuilder(issuer, now, now + DAY)
    crl = crl.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, now).build())
    return crl.sign(ca.private_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("tls", TLS)
def test_a_revoked_certificate(tmp_path, ca, leaf, gateway, tls):
    server = Revoking(tmp_path, leaf, ca, tls)
    server.revoked = revocation_list(ca, gateway)
    with server:
        found = diagnose(tmp_path, server, ca, certificate=gateway)
    refused(found, "s_server", tls, "client_cert_revoked", "alert 44")


# Alerts that no server here sends


_REFUSED = -43  # GNUTLS_E_CERTIFICATE_ERROR


class Refusing(GnutlsBackend):
    """Ends each handshake with an alert of choice, where it judges the client's certificate."""

    def __init__(self, alert, leaf, client_ca, tls):
        super().__init__(None, leaf, client_ca, tls)
        self._alert = alert
        self._verify = CFUNCTYPE(c_int, c_void_p)(lambda session: _REFUSED)
        set_function = library().gnutls_certificate_set_verify_function
        set_function.argtypes, set_function.restype = [c_void_p, c_void_p], None
        set_function(self._credentials, ctypes.cast(self._verify, c_void_p))

    def handle(self, session):
        connection = GnutlsConnection(session, self)
        try:
            assert library().gnutls_handshake(connection.tls) == _REFUSED
            connection.alert(self._alert)
        finally:
            library().gnutls_deinit(connection.tls)


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize(
    "alert, verdict",
    [
        (40, "client_cert_denied"),
        (42, "client_cert_untrusted"),
        (43, "client_cert_unsupported"),
        (44, "client_cert_revoked"),
        (45, "client_cert_expired"),
        (46, "client_cert_denied"),
        (48, "client_cert_untrusted"),
        (49, "client_cert_denied"),
        (116, "client_cert_required"),
    ],
)
def test_an_alert(tmp_path, ca, leaf, gateway, alert, verdict, tls):
    with Refusing(alert, leaf, ca, tls) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway)
    refused(found, "raw", tls, verdict, f"alert {alert} (")
    assert found.endpoint["alert"] == alert


@pytest.mark.parametrize("alert", [42, 45, 46, 49])
def test_an_alert_on_a_certificate_that_is_not_yet_valid(tmp_path, ca, leaf, alert):
    """Some call that expired, as Go does."""
    early = ca.issue("gateway", purpose="client", not_before=3.5 * DAY, not_after=9 * DAY)
    with Refusing(alert, leaf, ca, "1.3") as backend:
        found = diagnose(tmp_path, backend, ca, certificate=early)
    found.expect("own_cert_not_yet_valid", "config", f"alert {alert} (", "3 days ahead")


@pytest.mark.parametrize("tls", TLS)
def test_an_alert_that_is_not_about_certificates(tmp_path, ca, leaf, gateway, tls):
    with Refusing(80, leaf, ca, tls) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway)
    refused(found, "raw", tls, "tls_alert", "alert 80 (")


class Late(TlsBackend):
    """Reads what ends our handshake together with the request, longer than anyone waits for it."""

    def handle(self, session):
        connection = TlsConnection(session, self.context)
        self._step(connection)
        connection._feed()
        self._step(connection)
        flight = connection.sock.recv(1 << 16)
        connection._in.write(flight + connection.sock.recv(1 << 16))
        connection.handshake()

    @staticmethod
    def _step(connection):
        with contextlib.suppress(ssl.SSLWantReadError):
            connection.tls.do_handshake()
        connection._flush()


def test_a_refusal_that_comes_with_the_request(tmp_path, ca, other_ca, leaf, gateway):
    with Late(echo, leaf, other_ca, tls="1.3") as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway)
    found.expect("client_cert_untrusted", "they_refused", "alert 48 (", "no answer")
    assert found.endpoint["alert"] == 48 and not found.endpoint["confirmed"]


def test_a_backend_that_hangs_up_instead(tmp_path, ca, leaf, gateway):
    """Some say nothing at all. That ours was not accepted yet is then the evidence."""

    def hang_up(connection):
        connection.fin()
        connection.wait_closed()

    with TlsBackend(hang_up, leaf, ca, session_tickets=0) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway)
    assert found.verdict in ("upstream_reset", "upstream_truncated") and found.side == "network"
    assert not found.endpoint["confirmed"]
    found.says("certificate")


# nginx


class NginxHttp2(servers.Nginx):
    """Speaks HTTP/2 where ALPN says so."""

    def command(self):
        command = super().command()
        path = self.directory / "nginx.conf"
        path.write_text(path.read_text().replace(" ssl;", " ssl http2;"))
        return command


@pytest.mark.parametrize("of", ["nobody", "another CA"])
def test_nginx_over_http2(tmp_path, ca, other_ca, leaf, of):
    ours = other_ca.issue("gateway", purpose="client", **LONG) if of == "another CA" else None
    with NginxHttp2(tmp_path, leaf, ca) as server:
        found = diagnose(tmp_path, server, ca, certificate=ours, alpn="h2")
    verdict = "client_cert_untrusted" if ours else "client_cert_required"
    refused(found, "nginx", "1.3", verdict)
    assert found["http"]["version"] == "2"


def test_nginx_without_a_request(ask, other_ca):
    """Only HTTP tells, so that without it the link is good as far as can be seen: with a warning,
    where the issuer does not fit."""
    stranger = other_ca.issue("gateway", purpose="client", **LONG)
    found = ask("nginx", "1.3", stranger, "--no-http").expect("ok")
    found.warns("CN=Test CA", "ours is issued by CN=Another CA")


def test_an_answer_of_400_that_is_about_something_else(ask, gateway):
    found = ask("nginx", "1.3", gateway, "--path", "/%").expect("ok", None, ": 400")
    assert found["http"]["status"] == 400


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nginx_with_a_method(ask, method):
    found = ask("nginx", "1.3", None, "--method", method)
    refused(found, "nginx", "1.3", "client_cert_required")
    assert found["http"]["method"] == method


# What the refusal of one address says of the service


def test_one_address_refuses_behind_another_that_accepts(tmp_path, ca, other_ca, leaf, gateway):
    with TlsBackend(echo, leaf, other_ca) as bad, TlsBackend(echo, leaf, ca) as good:
        found = diagnose(
            tmp_path, [good.port, bad.port], ca, "--no-http", certificate=gateway
        ).expect("ok")
    found.warns("1 of 2 addresses does not work")
    line = found.lines["address"][1]
    assert f":{bad.port}: client_cert_untrusted (the backend refused us) after the hand" in line
    assert "alert 48" in line
    assert [row["reason"] for row in found["endpoints"]] == ["ok", "client_cert_untrusted"]


def test_one_address_refuses_before_another_that_accepts(tmp_path, ca, other_ca, leaf, gateway):
    """In TLS 1.3 the agent knows too late to move on: each of its callers is reset."""
    with TlsBackend(echo, leaf, other_ca) as bad, TlsBackend(echo, leaf, ca) as good:
        found = diagnose(tmp_path, [bad.port, good.port], ca, "--no-http", certificate=gateway)
    found.expect("client_cert_untrusted", "they_refused", "alert 48")
    assert [row["reason"] for row in found["endpoints"]] == ["client_cert_untrusted", "ok"]
