"""What both sides need to trust each other: an authority, the backend's and the gateway's leaf."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST = "backend.bench"
KINDS = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


class Identity:
    """`.ca`, `.server`, `.server_key`, `.client`, `.client_key` are paths of PEM files, and
    `.client_both` is the client's certificate and key in one. All keys are of one kind."""

    def __init__(self, directory, kind):
        self.kind = kind
        self._directory = Path(directory)
        self._authority_key = KINDS[kind]()
        self._authority = self._sign("Bench CA", self._authority_key, None)
        self.ca = self._write("ca.crt", _pem(self._authority))
        self.server, self.server_key = self._leaf(HOST, ExtendedKeyUsageOID.SERVER_AUTH)
        self.client, self.client_key = self._leaf("gateway", ExtendedKeyUsageOID.CLIENT_AUTH)
        both = self.client.read_bytes() + self.client_key.read_bytes()
        self.client_both = self._write("client.pem", both)

    def _leaf(self, name, purpose):
        key = KINDS[self.kind]()
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        cert = self._write(f"{name}.crt", _pem(self._sign(name, key, purpose)))
        return cert, self._write(f"{name}.key", pem)

    def _sign(self, name, key, purpose):
        def named(text):
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named("Bench CA"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(purpose is None, None), critical=True)
        )
        if purpose:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            names = x509.SubjectAlternativeName([x509.DNSName(name)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._authority_key, hashes.SHA256())

    def _write(self, name, data):
        path = self._directory / f"{self.kind}-{name}"
        path.write_bytes(data)
        path.chmod(0o600)
        return path


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)
