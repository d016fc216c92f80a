"""Revocation lists, and a web server that gives them out, or does not."""

import contextlib
import http.server
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from .net import HANG, wait_for

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def make(authority, *revoked, made=-HOUR, until=DAY, signer=None, der=False):
    """A CRL of an authority that lists these certificates. `made` and `until` are from now;
    `signer` is somebody else who signs it."""
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.load_der_x509_certificate(authority.der).subject)
        .last_update(now + made)
        .next_update(now + until)
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    for certificate in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(
            x509.load_der_x509_certificate(certificate.der).serial_number
        )
        builder = builder.add_revoked_certificate(entry.revocation_date(now - DAY).build())
    key = (signer or authority).private_key
    form = serialization.Encoding.DER if der else serialization.Encoding.PEM
    return builder.sign(key, hashes.SHA256()).public_bytes(form)


def write(path, *lists):
    """Writes CRLs to a file as careful programs do, and returns its path."""
    path = Path(path)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(b"".join(lists))
    fresh.rename(path)
    return path


class Distribution:
    """A web server with one answer to everything: `answer` is a body, or a status, or None, which
    is none at all for as long as the server lives."""

    def __init__(self, answer=404):
        self.answer = answer
        self.requests = 0
        self._closing = threading.Event()
        outer = self

        class Request(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests += 1
                if outer.answer is None:
                    outer._closing.wait(HANG * 4)
                    return
                is_body = isinstance(outer.answer, bytes)
                body = outer.answer if is_body else b"no"
                with contextlib.suppress(OSError):
                    self.send_response(200 if is_body else outer.answer)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self._server.daemon_threads = True
        self._server.block_on_close = False

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}/ca.crl"

    def wait_requests(self, count):
        """Waits until it was asked so many times since its start."""
        wait_for(lambda: self.requests >= count, 4 * HANG, f"{count} requests for the CRL")

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
