"""A PKI made fresh for a test: authorities, intermediates and leaves, right or wrong in any way.

    pki = Pki(tmp_path)
    ca = pki.authority("Test Root")
    leaf = ca.issue("api.test", dns=["api.test"], purpose="server")
    leaf.cert, leaf.key, ca.cert      # paths of PEM files

Certificates are written in DER here, because the interesting ones are those that no library
agrees to make.
"""

import base64
import functools
import hashlib
import ipaddress
import itertools
import os
import pathlib
import re
import subprocess
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

from . import der

PURPOSES = {
    "server": "1.3.6.1.5.5.7.3.1",
    "client": "1.3.6.1.5.5.7.3.2",
    "code": "1.3.6.1.5.5.7.3.3",
    "any": "2.5.29.37.0",
}
KEY_USAGES = [
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign",
]
SIGNATURES = {
    ("rsa", "sha1"): "1.2.840.113549.1.1.5",
    ("rsa", "sha256"): "1.2.840.113549.1.1.11",
    ("rsa", "sha384"): "1.2.840.113549.1.1.12",
    ("ec", "sha1"): "1.2.840.10045.4.1",
    ("ec", "sha256"): "1.2.840.10045.4.3.2",
    ("ec", "sha384"): "1.2.840.10045.4.3.3",
}
HASHES = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384}


# Keys

def make_key(kind):
    """A new private key: p256, p384, ed25519, or rsaBITS."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind[3:]))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"p256": ec.SECP256R1, "p384": ec.SECP384R1}[kind]())


@functools.lru_cache(maxsize=None)
def _cached_key(kind, role):
    return make_key(kind)


def _key(kind, role):
    """RSA keys are dear and made once per role and process; the others are always new. A role never
    shares a key with another, or a leaf would pass for its own issuer."""
    if not isinstance(kind, str):
        return kind
    return _cached_key(kind, role) if kind.startswith("rsa") else make_key(kind)


def key_pem(key, password=None):
    """PKCS#8 PEM, encrypted if there is a password (bytes)."""
    encryption = (serialization.BestAvailableEncryption(password) if password
                  else serialization.NoEncryption())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             encryption)


def public_der(key):
    return key.public_key().public_bytes(serialization.Encoding.DER,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def _algorithm(key, digest):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return der.sequence(der.oid("1.3.101.112"))
    if isinstance(key, rsa.RSAPrivateKey):
        return der.sequence(der.oid(SIGNATURES["rsa", digest]), der.null())
    return der.sequence(der.oid(SIGNATURES["ec", digest]))


def _sign(key, digest, message):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), HASHES[digest]())
    return key.sign(message, ec.ECDSA(HASHES[digest]()))


# Extensions

def extension(dotted, value, critical=False):
    """An Extension (RFC 5280 section 4.1) around the DER `value`."""
    return der.sequence(der.oid(dotted), der.boolean(True) if critical else b"",
                        der.octets(value))


def _general_name(name):
    """A GeneralName: an address or network, a pair (context tag, bytes), or a dNSName."""
    if isinstance(name, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        return der.context(7, name.packed, constructed=False)
    if isinstance(name, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return der.context(7, name.network_address.packed, name.netmask.packed, constructed=False)
    tag, body = name if isinstance(name, tuple) else (2, name.encode())
    return der.context(tag, body, constructed=False)


def _alternative_names(dns, ips, uris, others):
    names = [*dns, *(ipaddress.ip_address(ip) for ip in ips),
             *((6, uri.encode()) for uri in uris), *others]
    return der.sequence(*map(_general_name, names)) if names else None


def _basic_constraints(ca, path_length):
    return der.sequence(der.boolean(True) if ca else b"",
                        b"" if path_length is None else der.integer(path_length))


def _key_usage(words):
    bits = sum(0x80 >> KEY_USAGES.index(word) for word in words)
    unused = (bits & -bits).bit_length() - 1 if bits else 0
    return der.tlv(0x03, bytes([unused, bits]))


def _name_constraints(permitted, excluded):
    def subtrees(tag, names):
        if not names:
            return b""
        return der.context(tag, *(der.sequence(_general_name(name)) for name in names))
    return der.sequence(subtrees(0, permitted), subtrees(1, excluded))


# Certificates

def _name(cn):
    parts = [] if cn is None else [x509.NameAttribute(NameOID.COMMON_NAME, cn)]
    return x509.Name(parts).public_bytes()


def _moment(when):
    """A moment as it is, or as far from now as the timedelta says."""
    return datetime.now(timezone.utc) + when if isinstance(when, timedelta) else when


def pem(certificates):
    return b"".join(
        b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(body)
        + b"-----END CERTIFICATE-----\n" for body in certificates)


class Certificate:
    """A certificate with its key, and where their files are.

    `cert`: PEM, this certificate and then its intermediates (an authority: itself alone).
    `key`: PKCS#8 PEM, mode 0600. `der`, `private_key`: the same as bytes and as an object."""

    def __init__(self, pki, issuer, subject, body, key, chain):
        self.pki, self.issuer, self.subject, self.der = pki, issuer, subject, body
        self.private_key = key
        self.chain = chain
        self.cert, self.key = pki.write(subject, pem([body, *(link.der for link in chain)]),
                                        key_pem(key))

    @property
    def pin(self):
        """What `pin` in a service wants: sha256:BASE64 of the public key."""
        digest = hashlib.sha256(public_der(self.private_key)).digest()
        return "sha256:" + base64.b64encode(digest).decode()

    def pkcs12(self, *options, password="secret"):
        """Writes key and chain into a PKCS#12 file, mode 0600, as the openssl command does with
        these options. Returns its path."""
        path = self.pki.next_path(f"{self.subject or 'nameless'}.pfx")
        subprocess.run(
            ["openssl", "pkcs12", "-export", "-in", self.cert, "-inkey", self.key, "-out", path,
             "-passout", f"pass:{password}", *options], check=True)
        os.chmod(path, 0o600)
        return path


class Authority(Certificate):
    """A certificate that issues others."""

    def intermediate(self, cn, *, key="p256", **options):
        """An authority below this one. Options as for issue()."""
        return self.pki.make(Authority, self, cn, key=_key(key, f"{cn} CA"),
                             **{**AUTHORITY, "chain": (), **options})

    def issue(self, cn=None, *, key="p256", **options):
        """A leaf. `cn` None: an empty subject.

        dns, ips, uris   the subjectAltName, which is left out when all are empty; `others` adds
                         (context tag, bytes) pairs; critical when the subject is empty
        purpose          server, client, both, code, any, or None for no extendedKeyUsage
        not_before, not_after   a datetime, or a timedelta from now
        ca               basicConstraints: True, False, or None for none; `path_length`
        key_usage        words of KEY_USAGES, or None for no keyUsage
        permitted, excluded   name constraints: DNS names, ip_network objects, (tag, bytes) pairs
        hash             sha256, sha384, sha1
        must_staple      TLS feature status_request (RFC 7633)
        extensions       more of them, from extension()
        version          3, or 1 for none of the above
        chain            what follows the leaf in the PEM file; by default its intermediates
        spoil_signature  flip a bit of it
        issuer_name      claim another issuer by this CN
        """
        return self.pki.make(Certificate, self, cn, key=_key(key, "leaf"),
                             **{**LEAF, **options})

    def path_below_root(self):
        """This authority and those above it, without the root."""
        return () if self.issuer is None else (self, *self.issuer.path_below_root())


LEAF = {"not_before": timedelta(hours=-1), "not_after": timedelta(days=30), "ca": False,
        "purpose": "server", "key_usage": ("digital_signature",)}
AUTHORITY = {"not_before": timedelta(days=-1), "not_after": timedelta(days=365), "ca": True,
             "purpose": None, "key_usage": ("key_cert_sign", "crl_sign")}


class Pki:
    """Where the certificates of one test live."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count(1)

    def authority(self, cn, *, key="p256", **options):
        """A self-signed root. Options as for Authority.issue()."""
        return self.make(Authority, None, cn, key=_key(key, f"{cn} CA"),
                         **{**AUTHORITY, "chain": (), **options})

    def self_signed(self, cn=None, *, key="p256", **options):
        """A leaf that signed itself."""
        return self.make(Certificate, None, cn, key=_key(key, "self-signed"),
                         **{**LEAF, "chain": (), **options})

    def make(self, kind, issuer, cn, *, key, chain=None, issuer_name=None, hash="sha256",
             not_before, not_after, version=3, spoil_signature=False, **contents):
        """Writes a certificate; see Authority.issue() for the options."""
        signer = issuer.private_key if issuer else key
        algorithm = _algorithm(signer, hash)
        above = issuer_name or (issuer.subject if issuer else cn)
        to_be_signed = der.sequence(
            der.context(0, der.integer(2)) if version == 3 else b"",
            der.integer(int.from_bytes(os.urandom(16), "big") >> 1 | 1),
            algorithm,
            _name(above),
            der.sequence(der.time(_moment(not_before)), der.time(_moment(not_after))),
            _name(cn),
            public_der(key),
            self._extensions(issuer, cn, key, **contents) if version == 3 else b"")
        signature = bytearray(_sign(signer, hash, to_be_signed))
        signature[-1] ^= spoil_signature
        body = der.sequence(to_be_signed, algorithm, der.bit_string(bytes(signature)))
        if chain is None:
            chain = issuer.path_below_root()
        return kind(self, issuer, cn, body, key, tuple(chain))

    @staticmethod
    def _extensions(issuer, cn, key, *, dns=(), ips=(), uris=(), others=(), purpose=None, ca=None,
                    path_length=None, key_usage=None, permitted=(), excluded=(),
                    must_staple=False, identifiers=True, extensions=()):
        made = []
        if ca is not None:
            made.append(extension("2.5.29.19", _basic_constraints(ca, path_length), ca))
        if key_usage is not None:
            made.append(extension("2.5.29.15", _key_usage(key_usage), True))
        if purpose is not None:
            words = ("server", "client") if purpose == "both" else (purpose,)
            made.append(extension("2.5.29.37", der.sequence(
                *(der.oid(PURPOSES[word]) for word in words))))
        names = _alternative_names(dns, ips, uris, others)
        if names is not None:
            made.append(extension("2.5.29.17", names, cn is None))
        if permitted or excluded:
            made.append(extension("2.5.29.30", _name_constraints(permitted, excluded), True))
        if must_staple:
            made.append(extension("1.3.6.1.5.5.7.1.24", der.sequence(der.integer(5))))
        if identifiers:
            made.append(extension("2.5.29.14", der.octets(_key_id(key))))
            signer = issuer.private_key if issuer else key
            made.append(extension("2.5.29.35", der.sequence(
                der.context(0, _key_id(signer), constructed=False))))
        made.extend(extensions)
        return der.context(3, der.sequence(*made)) if made else b""

    def next_path(self, name):
        """A path under a new number."""
        word = re.sub(r"[^a-z0-9.]+", "-", name.lower())
        return str(self.directory / f"{next(self._numbers):03d}-{word}")

    def write(self, subject, cert, key):
        """Writes both files under a new number and returns their paths."""
        stem = self.next_path((subject or "nameless")[:40])
        cert_path, key_path = f"{stem}.crt", f"{stem}.key"
        pathlib.Path(cert_path).write_bytes(cert)
        descriptor = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(key)
        return cert_path, key_path


def _key_id(key):
    """The key identifier of RFC 5280 section 4.2.1.2, method 1 but for the SPKI's wrapping."""
    return hashlib.sha1(public_der(key)).digest()
