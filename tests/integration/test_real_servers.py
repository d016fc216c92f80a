"""One and the same suite of exchanges through each real server that demands a client certificate,
and what comes of it when the certificate is not to its liking."""

import re
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from harness import servers
from harness.net import digest, expect_no_service, in_parallel, payload

MIB = 1 << 20
KEYS = ("rsa2048", "rsa4096", "p256", "p384", "ed25519")
TLS = ("1.2", "1.3")

# Every server and version with one kind of key, and every kind of key through two unlike servers.
CASES = [(name, tls, "p256") for name in servers.ALL for tls in TLS] + [
    (name, tls, key)
    for name in ("nginx", "gnutls-serv")
    for tls in TLS
    for key in KEYS
    if key != "p256"
]


@pytest.fixture
def serve(tmp_path):
    """serve(NAME, leaf, client_ca, tls) makes a server of the harness, not yet started."""

    def make(name, *args, **options):
        server = servers.ALL[name]
        if not servers.is_installed(server):
            pytest.skip(f"{name} is not installed")
        return server(tmp_path, *args, **options)

    return make


class Exchanges:
    """The suite: what callers do, through the agent, whatever stands behind it."""

    def __init__(self, relay, server):
        self.relay, self.server = relay, server
        # A server of lines answers each by itself, so that size costs time there.
        self.large = MIB // 8 if server.dialect is servers.Lines else 4 * MIB

    def talk(self, exchange):
        """One connection of its own for an exchange."""
        with self.relay.call() as sock:
            return exchange(self.server.dialect(sock))

    def request_and_answer(self):
        assert self.talk(lambda speak: speak.ask(b"hello")) == b"hello"

    def large_answer(self):
        answer = self.talk(lambda speak: speak.fetch(self.large))
        assert digest(answer) == digest(payload(self.large))

    def upload(self):
        data = payload(self.large, seed="upload")
        assert self.talk(lambda speak: speak.upload(data)) == digest(data)

    def one_after_the_other(self):
        for i in range(20):
            data = payload(100 + i)
            assert self.talk(lambda speak, data=data: speak.ask(data)) == data

    def several_at_once(self):
        def exchange(seed):
            data = payload(20_000, seed)
            assert self.talk(lambda speak: speak.ask(data)) == data

        in_parallel([lambda seed=seed: exchange(seed) for seed in range(8)])

    def many_on_one_connection(self):
        def exchange(speak):
            for i in range(50):
                data = payload(1 + 37 * i)
                assert speak.ask(data) == data

        self.talk(exchange)


@pytest.mark.parametrize("name, tls, key", CASES)
def test_the_same_exchanges(serve, relay, ca, name, tls, key):
    leaf = ca.issue("localhost", dns=["localhost"], key=key)
    client = ca.issue("gateway", purpose="client", key=key)
    with serve(name, leaf, ca, tls) as server:
        suite = Exchanges(relay(server, certificate=client), server)
        suite.request_and_answer()
        suite.large_answer()
        suite.upload()
        suite.one_after_the_other()
        suite.several_at_once()
        suite.many_on_one_connection()
        lines = suite.relay.agent.wait_logs(32, msg="connection ended")
    for line in lines:
        # Also through nginx, which answers our close_notify with a bare end of its stream.
        assert line["reason"] == "ok", line
        assert line["tls"] == tls, line
        assert re.match(r"AES-\d+-GCM|CHACHA20-POLY1305", line["cipher"]), line
        assert line["upstream"] == f"127.0.0.1:{server.port}", line
    assert "yes" in {line["resumed"] for line in lines}


# A chain with an intermediate on either side, which only one server need show.
@pytest.mark.parametrize("tls", TLS)
def test_intermediates_on_both_sides(serve, relay, ca, tls):
    leaf = ca.intermediate("Server CA").issue("localhost", dns=["localhost"])
    client = ca.intermediate("Client CA").issue("gateway", purpose="client")
    with serve("nginx", leaf, ca, tls) as server:
        Exchanges(relay(server, certificate=client), server).request_and_answer()


def expect_refusal(relay, server, *reasons):
    """A caller of a server that does not want us is reset, and the log says why."""
    expect_no_service(relay.port, b"GET /bytes/1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    line = relay.ended()
    assert line["reason"] in reasons, f"{line}\n{server.output()[-2000:]}"
    assert line["side"] == "they_refused", line
    assert line["detail"], line


DEMANDING = [name for name in servers.ALL if name != "nginx"]


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("name", DEMANDING)
def test_without_a_certificate(serve, relay, ca, leaf, name, tls):
    with serve(name, leaf, ca, tls) as server:
        expect_refusal(relay(server, tls_mode="tls"), server, "client_cert_required")


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("name", DEMANDING)
def test_with_a_certificate_of_another_ca(serve, relay, ca, other_ca, leaf, name, tls):
    stranger = other_ca.issue("gateway", purpose="client")
    # gnutls-serv says access_denied, which does not tell the CA from the name; its list of CAs does.
    with serve(name, leaf, ca, tls) as server:
        expect_refusal(relay(server, certificate=stranger), server, "client_cert_untrusted")


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("name", ["haproxy", "stunnel", "s_server"])
def test_with_a_certificate_for_servers(serve, relay, ca, leaf, name, tls):
    wrong = ca.issue("gateway", purpose="server")
    with serve(name, leaf, ca, tls) as server:
        expect_refusal(relay(server, certificate=wrong), server, "client_cert_unsupported")


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("name", ["haproxy", "stunnel", "s_server"])
def test_with_a_certificate_that_has_run_out(serve, relay, ca, leaf, name, tls):
    old = ca.issue(
        "gateway",
        purpose="client",
        not_before=timedelta(days=-30),
        not_after=timedelta(days=-1),
    )
    with serve(name, leaf, ca, tls) as server:
        expect_refusal(relay(server, certificate=old), server, "client_cert_expired")


class Revoking(servers.OpensslServer):
    """Has a list of revoked client certificates, with this one in it."""

    def __init__(self, directory, leaf, client_ca, tls, revoked):
        super().__init__(directory, leaf, client_ca, tls)
        self.crl = self.directory / "clients.crl"
        self.crl.write_bytes(revocation_list(client_ca, revoked))

    def command(self):
        return [*super().command(), "-crl_check", "-CRL", str(self.crl)]


def revocation_list(ca, *certificates):
    """A CRL (RFC 5280 section 5) as PEM."""
    now = datetime.utcnow()
    crl = x509.CertificateRevocationListBuilder(
        x509.load_der_x509_certificate(ca.der).subject, now, now + timedelta(days=1)
    )
    for certificate in certificates:
        number = x509.load_der_x509_certificate(certificate.der).serial_number
        entry = x509.RevokedCertificateBuilder(number, now)
        crl = crl.add_revoked_certificate(entry.build())
    return crl.sign(ca.private_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("tls", TLS)
def test_with_a_certificate_that_was_revoked(tmp_path, relay, ca, leaf, gateway, tls):
    with Revoking(tmp_path, leaf, ca, tls, revoked=gateway) as server:
        expect_refusal(relay(server, certificate=gateway), server, "client_cert_revoked")


class RsaOnly(servers.OpensslServer):
    """Accepts client certificates with RSA keys only."""

    def command(self):
        return [*super().command(), "-client_sigalgs", "rsa_pss_rsae_sha256:rsa_pkcs1_sha256"]


def test_with_a_key_of_a_kind_that_the_server_does_not_take(tmp_path, relay, ca, leaf, gateway):
    """The certificate is not sent at all then, but that one was not configured is not the reason.
    (In TLS 1.2 GnuTLS gives up by itself.)"""
    with RsaOnly(tmp_path, leaf, ca, "1.3") as server:
        link = relay(server, certificate=gateway)
        expect_refusal(link, server, "client_cert_unsupported")
        assert "key's type" in link.ended()["detail"]


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("of", ["nobody", "another CA"])
def test_nginx_answers_400(serve, relay, ca, other_ca, gateway, leaf, of, tls):
    """nginx refuses in HTTP, after a handshake that succeeds: to the agent that is an answer."""
    stranger = other_ca.issue("gateway", purpose="client")
    with serve("nginx", leaf, ca, tls) as server:
        if of == "nobody":
            link = relay(server, tls_mode="tls")
        else:
            link = relay(server, certificate=stranger)
        with link.call() as sock:
            assert server.dialect(sock).status() == 400


@pytest.mark.parametrize("name", servers.ALL)
def test_a_server_that_wants_no_certificate(serve, relay, leaf, name):
    """tls_mode = mtls offers a certificate; a server that does not ask for one is served all the
    same."""
    with serve(name, leaf, None, "1.3") as server:
        Exchanges(relay(server), server).request_and_answer()
