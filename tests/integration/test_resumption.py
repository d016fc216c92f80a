"""Resumption: sessions are resumed where that is wanted, with tickets of which each is used once,
and only where it came from, and the trust decision is made all the same."""

import contextlib
import socket
import ssl
import struct
import time
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from harness import crl, servers
from harness.agent import config, section, service
from harness.backends import TlsBackend, server_context, stay_silent
from harness.dns import DnsServer, PrivateResolver, why_not
from harness.gnutls import GnutlsBackend
from harness.live import Live
from harness.net import (
    connect, expect_no_service, expect_reset, free_port, in_parallel, recv_exact, reset, wait_for,
)
from harness.rotation import Pair, Rig, replace
from test_staple import GOOD, StapledBackend, answer

VERSIONS = ("1.2", "1.3")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SESSION_TICKET, PRE_SHARED_KEY = 35, 41  # extensions: RFC 5077, RFC 8446 section 4.2
BLOCK = b"x" * 100


@pytest.fixture(params=VERSIONS)
def version(request):
    return request.param


# Backends


def offers(hello):
    """The tickets that a ClientHello (RFC 8446 section 4.1.2) offers."""
    at = 9 + 2 + 32  # headers of record and message, version, random
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2], "big")  # cipher suites
    at += 1 + hello[at]  # compression methods
    end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 2
    found = []
    while at < end:
        kind, size = struct.unpack_from("!HH", hello, at)
        body = hello[at + 4 : at + 4 + size]
        if kind == SESSION_TICKET and body:
            found.append(body)
        elif kind == PRE_SHARED_KEY:
            found.extend(identities(body))
        at += 4 + size
    return found


def identities(body):
    """Those of a pre_shared_key extension (RFC 8446 section 4.2.11), without their ages."""
    at, end = 2, 2 + int.from_bytes(body[:2], "big")
    while at < end:
        size = int.from_bytes(body[at : at + 2], "big")
        yield body[at + 2 : at + 2 + size]
        at += 2 + size + 4


def peek_hello(sock):
    """The ClientHello that lies in the socket, whole, and stays there."""

    def whole():
        data = sock.recv(1 << 16, socket.MSG_PEEK)
        assert data, "the stream ended before the ClientHello"
        return data if len(data) >= 5 + int.from_bytes(data[3:5], "big") else None

    return wait_for(whole, what="the ClientHello")


class Recorder(TlsBackend):
    """Notes which tickets each connection offers, and which connections were resumed; echoes."""

    def __init__(self, leaf, client_ca=None, tls="1.3", **options):
        super().__init__(self._echo, leaf, client_ca, tls=tls, **options)
        self.offered, self.resumed = [], []

    def handle(self, session):
        self.offered.append(offers(peek_hello(session.sock)))
        super().handle(session)

    def _echo(self, connection):
        self.resumed.append(connection.tls.session_reused)
        while data := connection.read():
            connection.write(data)
        connection.close_notify()

    def restart(self, leaf, client_ca=None, tls="1.3", **options):
        """From now on it is another process: another certificate perhaps, and other ticket keys."""
        self.context = server_context(leaf, client_ca, tls=tls, **options)


class Touchy(Recorder):
    """Takes offered tickets amiss."""

    how = None  # an alert's number, "reset", "close" or "silent"

    def handle(self, session):
        offered = offers(peek_hello(session.sock))
        if not offered or self.how is None:
            super().handle(session)
            return
        self.offered.append(offered)
        if self.how == "reset":
            reset(session.sock)
        elif self.how == "silent":
            stay_silent(session.sock)
        elif self.how != "close":
            session.sock.sendall(bytes([21, 3, 3, 0, 2, 2, self.how]))
            while session.sock.recv(1 << 16):
                pass


@pytest.fixture
def serve(ca, leaf):
    """serve(LEAF, kind=CLASS…) starts a backend that the end of the test stops."""
    with contextlib.ExitStack() as running:

        def run(shown=leaf, kind=Recorder, **options):
            return running.enter_context(kind(shown, ca, **options))

        yield run


# The agent


class Hop(Live):
    """An agent whose services lead to one backend each, without warm sessions."""

    metric = Rig.metric

    def __init__(self, agent, socket, ports):
        super().__init__(agent, socket)
        self.ports = ports

    def talk(self, name="backend", text=BLOCK):
        """One exchange on a connection of its own; its line in the log."""
        count = len(self.agent.all_log(msg="connection ended", service=name))
        with connect(self.ports[name]) as sock:
            sock.sendall(text)
            assert recv_exact(sock, len(text)) == text
        return self.agent.wait_logs(count + 1, msg="connection ended", service=name)[-1]

    def resumes(self, name="backend"):
        """Whether a new connection resumes an earlier session."""
        line = self.talk(name)
        assert line["reason"] == "ok", line
        return line["resumed"] == "yes"

    def forgets(self):
        """Waits until a new connection does not resume an earlier session, as all would do that
        follow each other."""
        wait_for(lambda: not self.resumes(), what="the tickets to be forgotten")

    def refuses(self, reason):
        """Waits until new connections are refused, for this reason."""

        def is_refused():
            with contextlib.suppress(OSError):
                self.talk()
            return self.agent.find_log(msg="connection ended", reason=reason)

        wait_for(is_refused, what=reason)

    def refused(self, reason, name="backend"):
        """A new connection is refused, for this reason."""
        expect_no_service(self.ports[name], b"secret")
        self.agent.ended(service=name, reason=reason)


def leads_to(backend, port, ca, name="backend", **keys):
    """A service without warm sessions."""
    return service(name, port, getattr(backend, "port", backend), ca, **{"prewarm": 0, **keys})


@pytest.fixture
def hop(start, tmp_path, ca, gateway):
    """hop({NAME: (BACKEND, keys)}, …) or hop(BACKEND, key=value…) starts a Hop."""

    def run(backends, certificate=gateway, sections=(), agent=None, env=None, preexec=None, **keys):
        many = backends if isinstance(backends, dict) else {"backend": (backends, keys)}
        ports = {name: free_port() for name in many}
        path = tmp_path / "status.sock"
        text = config(
            *sections,
            *(
                leads_to(backend, ports[name], keys.get("ca", ca), name, **without_ca(keys))
                for name, (backend, keys) in many.items()
            ),
            certificate=certificate,
            agent={"status": f"unix:{path}", **(agent or {})},
        )
        return Hop(start(text, env=env, preexec=preexec), path, ports)

    return run


def without_ca(keys):
    return {key: value for key, value in keys.items() if key != "ca"}


# It works


REAL = ("nginx", "haproxy", "haproxy-tcp", "s_server", "gnutls-serv")


@pytest.mark.parametrize("name", REAL)
def test_real_servers(tmp_path, hop, ca, leaf, name, version):
    kind = servers.ALL[name]
    if not servers.is_installed(kind):
        pytest.skip(f"{name} is not installed")
    with kind(tmp_path, leaf, ca, version) as server:
        link = hop(server)
        for i in range(3):
            with connect(link.ports["backend"]) as sock:
                assert server.dialect(sock).ask(b"hello") == b"hello"
            line = link.agent.wait_logs(i + 1, msg="connection ended")[-1]
            assert (line["resumed"], line["tls"]) == ("yes" if i else "no", version), line


def test_the_status_counts_it(hop, serve, version):
    link = hop(serve(tls=version))
    assert [link.resumes() for _ in range(4)] == [False, True, True, True]
    handshakes = link.service("backend")["handshakes"]
    assert (handshakes["full"], handshakes["resumed"]) == (1, 3)
    for kind, count in (("full", 1), ("resumed", 3)):
        assert link.metric("mtls_agent_handshakes_total", service="backend", kind=kind) == count


def test_session_identifiers(hop, serve):
    """TLS 1.2 without tickets (RFC 5246 section 7.3)."""
    backend = serve(tls="1.2")
    backend.context.options |= ssl.OP_NO_TICKET
    link = hop(backend)
    assert [link.resumes() for _ in range(3)] == [False, True, True]
    assert backend.offered == [[], [], []]


def test_backends_that_ask_for_no_certificate(hop, ca, leaf, version):
    with Recorder(leaf, tls=version) as backend:
        link = hop(backend)
        assert [link.resumes() for _ in range(3)] == [False, True, True]


def test_backends_of_another_group(hop, serve):
    """They ask for another ClientHello (RFC 8446 section 4.1.4), in which the ticket is again."""
    backend = serve()
    backend.context.set_ecdh_curve("secp384r1")
    link = hop(backend)
    assert [link.resumes() for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize("key", ["rsa2048", "p384", "ed25519"])
def test_kinds_of_keys(hop, serve, ca, key, version):
    leaf = ca.issue("localhost", dns=["localhost"], key=key)
    link = hop(serve(leaf, tls=version), certificate=ca.issue("gw", purpose="client", key=key))
    assert [link.resumes() for _ in range(3)] == [False, True, True]


def test_chains_with_an_intermediate(hop, serve, ca, version):
    leaf = ca.intermediate("Server CA").issue("localhost", dns=["localhost"])
    client = ca.intermediate("Client CA").issue("gateway", purpose="client")
    link = hop(serve(leaf, tls=version), certificate=client)
    assert [link.resumes() for _ in range(3)] == [False, True, True]


def test_it_can_be_turned_off(hop, serve, version):
    backend = serve(tls=version)
    link = hop(backend, session_reuse="no")
    assert [link.resumes() for _ in range(3)] == [False] * 3
    assert backend.offered == [[], [], []]


# Each ticket once


def test_all_tickets_are_used_and_each_once(hop, serve):
    """Also when callers come at the same time (RFC 8446 appendix C.4)."""
    backend = serve(session_tickets=6)
    link = hop(backend)
    assert not link.resumes()
    with contextlib.ExitStack() as callers:
        socks = [callers.enter_context(connect(link.ports["backend"])) for _ in range(6)]
        in_parallel([lambda sock=sock: say(sock) for sock in socks])
    for _ in range(6):
        assert link.resumes()
    assert backend.resumed == [False] + [True] * 12
    used = [ticket for offered in backend.offered for ticket in offered]
    assert len(used) == len(set(used)) == 12


def say(sock, text=BLOCK):
    sock.sendall(text)
    assert recv_exact(sock, len(text)) == text


def test_a_backend_that_gives_none(hop, serve):
    backend = serve(session_tickets=0)
    link = hop(backend)
    assert [link.resumes() for _ in range(3)] == [False] * 3


def test_each_worker_has_its_own(hop, serve):
    backend = serve()
    link = hop(backend, agent={"workers": 2})
    full = 0
    for _ in range(40):
        full += not link.resumes()
    assert full == 2


# Only where it came from


ELSEWHERE = {
    "another service": {},
    "another sni": {"sni": "other.example", "verify_name": "localhost"},
    "no sni": {"sni": "none", "verify_name": "localhost"},
    "another name": {"verify_name": "127.0.0.1"},
    "more CAs": {"ca": "both"},
    "another certificate": {"certificate": "other"},
    "no certificate": {"tls_mode": "tls"},
    "a pin": {"pin": "own"},
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_a_ticket_never_crosses_services(tmp_path, hop, serve, ca, other_ca, leaf, kind, version):
    """Though the same backend would take it."""
    keys = dict(ELSEWHERE[kind])
    both = tmp_path / "both.crt"
    both.write_bytes(b"".join(open(one.cert, "rb").read() for one in (ca, other_ca)))
    keys.update({"ca": both} if "ca" in keys else {"pin": leaf.pin} if "pin" in keys else {})
    other = ca.issue("gateway", purpose="client")
    backend = serve(tls=version)
    if kind == "no certificate":
        backend.context.verify_mode = ssl.CERT_OPTIONAL
    sections = [section("certificate other", cert=other.cert, key=other.key)]
    link = hop({"one": (backend, {}), "two": (backend, keys)}, sections=sections)
    for name in ("one", "two"):
        assert not link.resumes(name), name
    for name in ("two", "one"):
        assert link.resumes(name), name
    assert [len(offered) for offered in backend.offered] == [0, 0, 1, 1]


def test_a_ticket_never_crosses_addresses(hop, serve, version):
    """Though both backends share their keys, as machines behind one name do."""
    one, two = serve(tls=version), serve(tls=version)
    two.context = one.context
    link = hop([f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}"])
    assert [link.resumes() for _ in range(2)] == [False, True]
    one.__exit__()
    assert [link.resumes() for _ in range(2)] == [False, True]
    assert two.offered[0] == [] and two.resumed == [False, True]


# Until something changes


def test_a_reload_forgets(hop, serve, version):
    """Even one that changes nothing."""
    backend = serve(tls=version)
    link = hop(backend)
    assert [link.resumes() for _ in range(2)] == [False, True]
    link.post()
    assert [link.resumes() for _ in range(2)] == [False, True]
    link.hang_up()
    assert [link.resumes() for _ in range(2)] == [False, True]
    assert [len(offered) for offered in backend.offered] == [0, 1, 0, 1, 0, 1]


def test_what_comes_after_a_reload_of_a_session_before_it(hop, ca, leaf):
    """A connection that outlives a reload leaves nothing to those behind it."""

    def late(connection):
        while data := connection.read():
            if data == b"tickets":
                connection.send_tickets(2)
            connection.write(data)
        connection.close_notify()

    with GnutlsBackend(late, leaf, ca) as backend:
        link = hop(backend)
        with connect(link.ports["backend"]) as old:
            say(old)
            link.post()
            say(old, b"tickets")
            assert not link.resumes()
            assert link.resumes()


def test_a_refused_reload_forgets_nothing(hop, serve):
    link = hop(serve())
    assert not link.resumes()
    text = link.agent.config.read_text()
    link.refuse(text + "[service backend]\n")
    link.write(text)
    assert link.resumes()


def test_another_certificate_of_ours(tmp_path, hop, serve, ca, gateway, version):
    """One that replaces the old one in its files: the backend is to see it at once."""
    backend = serve(tls=version)
    files = Pair(tmp_path / "pair", gateway)
    link = hop(backend, certificate=files)
    assert [link.resumes() for _ in range(2)] == [False, True]
    assert link.resumes()
    files.put(ca.issue("gateway", purpose="client"))
    link.forgets()
    assert link.resumes()


def test_other_cas(tmp_path, hop, serve, ca, other_ca, version):
    backend = serve(tls=version)
    file = tmp_path / "ca.crt"
    replace(file, open(ca.cert, "rb").read())
    link = hop({"backend": (backend, {"ca": file, "canary": "no"})})
    assert [link.resumes() for _ in range(2)] == [False, True]
    replace(file, open(ca.cert, "rb").read() + open(other_ca.cert, "rb").read())
    link.forgets()
    assert link.resumes()
    replace(file, open(other_ca.cert, "rb").read())
    link.refuses("cert_untrusted")


def test_another_crl(tmp_path, hop, serve, ca, leaf, version):
    backend = serve(tls=version)
    file = crl.write(tmp_path / "ca.crl", crl.make(ca))
    link = hop(backend, crl=file)
    assert [link.resumes() for _ in range(2)] == [False, True]
    crl.write(file, crl.make(ca, made=-HOUR / 2))
    link.forgets()
    assert link.resumes()
    crl.write(file, crl.make(ca, leaf))
    link.refuses("cert_revoked")


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_another_address(tmp_path, hop, serve):
    """A name that leads elsewhere, and back: what was known of the first address is forgotten."""
    port = free_port()
    one, two = serve(port=port), serve(port=port, host="127.0.0.2")
    two.context = one.context
    with DnsServer() as dns:
        dns.set("api.test", "127.0.0.1", ttl=1)
        etc = PrivateResolver(tmp_path / "etc", [dns])
        link = hop(f"api.test:{port}", verify_name="localhost", preexec=etc.enter)
        assert [link.resumes() for _ in range(2)] == [False, True]
        for host in ("127.0.0.2", "127.0.0.1"):
            dns.set("api.test", host, ttl=1)

            def first():
                line = link.talk()
                return line if line["upstream"] == f"{host}:{port}" else None

            assert wait_for(first, what=f"a connection to {host}")["resumed"] == "no"
            assert link.resumes()


# Backends that change


UNFIT = {
    "another CA": ("cert_untrusted", lambda ca, other: other.issue(dns=["localhost"])),
    "another name": ("cert_name_mismatch", lambda ca, other: ca.issue(dns=["other.example"])),
    "expired": (
        "cert_expired",
        lambda ca, other: ca.issue(dns=["localhost"], not_before=-9 * DAY, not_after=-DAY),
    ),
    "for clients": ("cert_purpose", lambda ca, other: ca.issue(
        dns=["localhost"], purpose="client")),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_replaced_certificate_is_refused(hop, serve, ca, other_ca, kind, version):
    """Though a ticket of the old one is there; and what is right again is served."""
    reason, make = UNFIT[kind]
    good = ca.issue(dns=["localhost"])
    backend = serve(good, tls=version)
    link = hop(backend)
    assert [link.resumes() for _ in range(2)] == [False, True]
    backend.restart(make(ca, other_ca), ca, version)
    link.refused(reason)
    assert [len(offered) for offered in backend.offered] == [0, 1, 1], "a ticket was there"
    assert len(backend.used) == 2, "not a byte to the wrong one"
    backend.restart(good, ca, version)
    assert [link.resumes() for _ in range(2)] == [False, True]


def test_other_ticket_keys(hop, serve, ca, leaf, version):
    """A full handshake on the same connection, and the tickets are as good as new."""
    backend = serve(tls=version)
    link = hop(backend)
    for _ in range(3):
        assert [link.resumes() for _ in range(3)] == [False, True, True]
        backend.restart(leaf, ca, version)
    assert len(backend.sessions) == 9
    assert link.service("backend")["attempts_failed"] == {}


@pytest.mark.parametrize("before, after", [("1.2", "1.3"), ("1.3", "1.2")])
def test_another_version(hop, serve, ca, leaf, before, after):
    backend = serve(tls=before)
    link = hop(backend)
    assert [link.resumes() for _ in range(2)] == [False, True]
    backend.restart(leaf, ca, after)
    assert [link.resumes() for _ in range(3)] == [False, True, True]
    assert link.agent.all_log(msg="connection ended")[-1]["tls"] == after


# Alerts: unexpected_message, bad_record_mac, handshake_failure, illegal_parameter, decode_error,
# decrypt_error, protocol_version, internal_error, unknown_psk_identity.
ALERTS = (10, 20, 40, 47, 50, 51, 70, 80, 115)


def test_a_backend_that_aborts_when_it_is_offered_a_ticket(hop, serve, version):
    """It is tried again without, and the caller sees nothing of it; those who follow are not
    offered to it either, until a reload."""
    backend = serve(kind=Touchy, tls=version)
    link = hop(backend)
    for how in (*ALERTS, "reset", "close"):
        backend.how, backend.offered = None, []
        while not link.resumes():
            pass
        backend.how, backend.offered = how, []
        assert [link.resumes() for _ in range(2)] == [False, False], how
        assert [len(offered) for offered in backend.offered] == [1, 0, 0], how
        assert link.agent.wait_log(msg="resumption refused")
        link.reload()
    ended = link.service("backend")["connections"]["ended"]
    assert list(ended) == ["ok"], ended


@pytest.mark.parametrize(
    "how, reason", [("silent", "handshake_timeout"), ("reset", "upstream_reset")]
)
def test_a_backend_that_stumbles_slowly(hop, serve, how, reason):
    """There is no time to try again, but the callers who follow do not pay for it, too."""

    class Slow(Touchy):
        def handle(self, session):
            if self.how and offers(peek_hello(session.sock)):
                time.sleep(0.4)  # longer than an address is given
            super().handle(session)

    backend = serve(kind=Slow)
    link = hop(backend, connect_timeout="250ms", handshake_timeout="1s")
    while not link.resumes():
        pass
    backend.how, backend.offered = how, []
    link.refused(reason)
    assert [link.resumes() for _ in range(4)] == [False] * 4
    assert [len(offered) for offered in backend.offered] == [1, 0, 0, 0, 0]


def test_a_backend_that_aborts_in_any_case_is_asked_twice(hop, serve, ca, leaf):
    backend = serve(kind=Touchy)
    link = hop(backend)
    assert not link.resumes()
    backend.how = 40
    backend.restart(leaf, ca, "1.2", ciphers="AES128-SHA")
    with connect(link.ports["backend"]) as sock:
        expect_reset(sock)
    assert link.agent.ended(side="they_refused")
    assert [len(offered) for offered in backend.offered] == [0, 1, 0]


# Time


@pytest.mark.parametrize("by", ["+2h", "-2h"])
def test_the_clock_jumps(hop, serve, ca, clock, by, version):
    """A ticket is of use for an hour at most, and no clock that was set makes that longer."""
    leaf = ca.issue(dns=["localhost"], not_before=-DAY)
    backend = serve(leaf, tls=version)
    own = ca.issue("gateway", purpose="client", not_before=-DAY)
    link = hop(backend, certificate=own, env=clock.environment())
    assert [link.resumes() for _ in range(2)] == [False, True]
    clock.set(by)
    assert [link.resumes() for _ in range(2)] == [False, True]
    assert backend.offered[2] == []


ENDING = {
    "the backend's certificate": lambda pki, ca, days: ca.issue(dns=["localhost"], not_after=days),
    "its intermediate": lambda pki, ca, days: ca.intermediate(
        "Middle", not_after=days).issue(dns=["localhost"]),
    "its CA": lambda pki, ca, days: pki.authority("Old", not_after=days).issue(dns=["localhost"]),
}


@pytest.mark.parametrize("kind", ENDING)
def test_a_certificate_that_has_run_out_ends_it(hop, pki, ca, clock, gateway, kind, version):
    """The backend would still resume, and is not even asked."""
    shown = ENDING[kind](pki, ca, timedelta(minutes=30))
    root = shown.issuer if kind == "its CA" else ca
    with Recorder(shown, tls=version) as backend:
        link = hop({"backend": (backend, {"ca": root.cert})}, env=clock.environment())
        assert [link.resumes() for _ in range(2)] == [False, True]
        clock.set("+35m")
        link.refused("cert_expired")
        assert [len(offered) for offered in backend.offered] == [0, 1, 0]


def test_a_crl_that_has_run_out_ends_it(tmp_path, hop, serve, ca, clock, version):
    backend = serve(tls=version)
    file = crl.write(tmp_path / "ca.crl", crl.make(ca, until=timedelta(minutes=30)))
    link = hop(backend, crl=file, env=clock.environment())
    assert [link.resumes() for _ in range(2)] == [False, True]
    clock.set("+35m")
    link.refused("crl_unusable")
    assert [len(offered) for offered in backend.offered] == [0, 1, 0]


# Stapled statuses


def staple(leaf, signer, minutes):
    """A good status that is good for so long."""
    now = datetime.utcnow()
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=x509.load_der_x509_certificate(leaf.der),
        issuer=x509.load_der_x509_certificate(leaf.issuer.der),
        algorithm=hashes.SHA1(),
        cert_status=GOOD,
        this_update=now - timedelta(minutes=1),
        next_update=now + timedelta(minutes=minutes),
        revocation_time=None,
        revocation_reason=None,
    )
    responder = x509.load_der_x509_certificate(signer.der)
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, responder)
    signed = builder.sign(signer.private_key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("must", [False, True], ids=["may-staple", "must-staple"])
def test_a_resumed_session_rests_on_the_status_of_the_first(hop, ca, must):
    leaf = ca.issue(dns=["localhost"], must_staple=must)
    with StapledBackend(leaf, ca, answer(leaf, ca, GOOD)) as backend:
        link = hop(backend)
        assert [link.resumes() for _ in range(3)] == [False, True, True]


def test_a_status_that_has_run_out_ends_it(hop, ca, clock):
    """The backend is asked for another then, and gives the old one."""
    leaf = ca.issue(dns=["localhost"], must_staple=True)
    with StapledBackend(leaf, ca, staple(leaf, ca, 30)) as backend:
        link = hop(backend, env=clock.environment())
        assert [link.resumes() for _ in range(2)] == [False, True]
        clock.set("+35m")
        link.refused("cert_status_missing")
