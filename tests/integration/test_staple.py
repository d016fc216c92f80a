"""Stapled OCSP answers (RFC 6066 section 8): a revoked backend is refused, and one that promises a
staple must bring a good one (RFC 7633)."""

import contextlib
import ctypes
from ctypes import CFUNCTYPE, POINTER, c_int, c_uint, c_void_p
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from harness import net
from harness.gnutls import GnutlsBackend, library

SECRET = b"GET /secret HTTP/1.1\r\n\r\n"
DAY = timedelta(days=1)
GOOD, REVOKED = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED


def echo(connection):
    while data := connection.read():
        connection.write(data)
    connection.close_notify()


def answer(leaf, signer, status, age=timedelta(0)):
    """What an OCSP responder says of `leaf`, `age` ago and for a day."""
    made = datetime.utcnow() - age
    issuer = x509.load_der_x509_certificate(leaf.issuer.der)
    responder = x509.load_der_x509_certificate(signer.der)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=x509.load_der_x509_certificate(leaf.der),
        issuer=issuer,
        algorithm=hashes.SHA1(),
        cert_status=status,
        this_update=made - timedelta(minutes=1),
        next_update=made + DAY,
        revocation_time=made - DAY if status is REVOKED else None,
        revocation_reason=None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, responder)
    response = builder.sign(signer.private_key, hashes.SHA256())
    return response.public_bytes(serialization.Encoding.DER)


class _Datum(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("size", c_uint)]


_ANSWER = CFUNCTYPE(c_int, c_void_p, c_void_p, POINTER(_Datum))


class StapledBackend(GnutlsBackend):
    """Staples any answer. GnuTLS would not load a bad one from a file, but asks nothing of a
    callback."""

    def __init__(self, leaf, client_ca, staple):
        super().__init__(echo, leaf, client_ca)
        libc = ctypes.CDLL(None)
        libc.malloc.restype = c_void_p

        def give(session, context, ret_answer):
            ret_answer.contents.data = libc.malloc(len(staple))  # GnuTLS frees it
            ret_answer.contents.size = len(staple)
            ctypes.memmove(ret_answer.contents.data, staple, len(staple))
            return 0

        self._give = _ANSWER(give)
        set_function = library().gnutls_certificate_set_ocsp_status_request_function
        set_function.argtypes, set_function.restype = [c_void_p, _ANSWER, c_void_p], None
        set_function(self._credentials, self._give, None)


@pytest.fixture(params=[False, True], ids=["may-staple", "must-staple"])
def stapled(request, ca):
    """A backend's certificate, with and without the promise."""
    return ca.issue(dns=["localhost"], must_staple=request.param)


def test_a_good_staple_passes(relay, ca, stapled):
    staple = answer(stapled, ca, GOOD)
    with StapledBackend(stapled, ca, staple) as backend:
        through = relay(backend)
        with through.call() as caller:
            caller.sendall(SECRET)
            assert net.recv_exact(caller, len(SECRET)) == SECRET


def refused(relay, backend):
    """The line of the end, when not one byte got through."""
    through = relay(backend)
    with pytest.raises(ConnectionResetError), through.call() as caller:
        caller.sendall(SECRET)
        pytest.fail(f"the caller got {caller.recv(1 << 16)}, not a reset")
    ended = through.ended()
    assert not any(session.received for session in backend.wait_over())
    return ended


def test_a_revoked_backend_is_refused(relay, ca, stapled):
    staple = answer(stapled, ca, REVOKED)
    with StapledBackend(stapled, ca, staple) as backend:
        assert refused(relay, backend)["reason"] == "cert_revoked"


def test_a_stale_staple_does_not_keep_the_promise(relay, ca):
    leaf = ca.issue(dns=["localhost"], must_staple=True)
    staple = answer(leaf, ca, GOOD, age=9 * DAY)
    with StapledBackend(leaf, ca, staple) as backend:
        assert refused(relay, backend)["reason"] == "cert_status_missing"


def test_a_staple_by_a_stranger_does_not_keep_the_promise(relay, ca, other_ca):
    leaf = ca.issue(dns=["localhost"], must_staple=True)
    staple = answer(leaf, other_ca, GOOD)
    with StapledBackend(leaf, ca, staple) as backend:
        assert refused(relay, backend)["reason"] == "cert_status_missing"


def test_a_staple_for_another_certificate_does_not_keep_the_promise(relay, ca):
    leaf, other = (ca.issue(dns=["localhost"], must_staple=True) for _ in range(2))
    staple = answer(other, ca, GOOD)
    with StapledBackend(leaf, ca, staple) as backend:
        assert refused(relay, backend)["reason"] == "cert_status_missing"


# Of an intermediate (RFC 8446 section 4.4.2.1), where the backend's own certificate has none


class IntermediateStapledBackend(GnutlsBackend):
    """Staples a good answer to the second certificate of its chain, whoever has signed it."""

    def staple(self, issuer, signer):
        authority = SimpleNamespace(der=issuer.der, issuer=issuer.issuer)
        der = answer(authority, signer, GOOD)
        buffer = ctypes.create_string_buffer(der, len(der))
        set_answer = library().gnutls_certificate_set_ocsp_status_request_mem
        set_answer.argtypes = [c_void_p, POINTER(_Datum), c_uint, c_int]
        assert set_answer(self._credentials, _Datum(ctypes.addressof(buffer), len(der)), 0, 0) >= 0


def test_a_new_answer_for_an_intermediate_is_judged(relay, ca, other_ca):
    """Though the chain is the one that has just passed."""
    issuer = ca.intermediate("Server CA")
    leaf = issuer.issue("localhost", dns=["localhost"])
    with IntermediateStapledBackend(echo, leaf, ca) as backend:
        through = relay(backend, session_reuse="no", prewarm=0)
        rows = (ca, "ok"), (other_ca, "cert_status_missing"), (ca, "ok")
        for count, (signer, reason) in enumerate(rows, 1):
            backend.staple(issuer, signer)
            with contextlib.suppress(OSError), through.call() as caller:
                caller.sendall(SECRET)
                assert net.recv_exact(caller, len(SECRET)) == SECRET
            lines = through.agent.wait_logs(count, msg="connection ended")
            assert lines[-1]["reason"] == reason
