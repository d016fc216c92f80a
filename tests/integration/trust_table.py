"""The trust table: which backends the agent believes, which it refuses, with what reason, and why.

A row is made of what the certificate is like, what the agent must say of it, the rule behind that,
how to make it, and what the service's section adds. Without more, a service wants `api.test`.
"""

import dataclasses
import ipaddress
import subprocess
import types
from datetime import datetime, timedelta, timezone
from typing import Callable

from harness import der
from harness.agent import sanitizer
from harness.pki import Pki, extension

API = "api.test"
SPIFFE = "spiffe://gateway.test/orders"
DAY = timedelta(days=1)
UNKNOWN = "1.3.6.1.4.1.32473.1"  # an arc for documentation (RFC 5612)


@dataclasses.dataclass
class Row:
    name: str
    expected: str  # a reason's word
    why: str
    make: Callable  # World -> Certificate
    keys: dict  # of the service; a callable is given the World and the Certificate

    def service_keys(self, world, certificate):
        keys = {"ca": world.ca, "sni": API, **self.keys}
        return {
            key: value(world, certificate) if callable(value) else value
            for key, value in keys.items()
        }


class World:
    """The authorities that the rows share."""

    def __init__(self, directory):
        self.pki = Pki(directory)
        self.ca = self.pki.authority("Orders Root")
        self.inter = self.ca.intermediate("Orders Issuing CA")
        self.inner = self.inter.intermediate("Orders Inner CA")
        self.gateway = self.ca.issue("gateway", purpose="client")
        self.v1 = self.pki.authority("Old Root", version=1)
        self.expired_root = self.pki.authority("Tired Root", not_before=-9 * DAY, not_after=-DAY)
        self.weak_root = self.pki.authority("Weak Root", key="rsa1024")
        self.sha1_root = self.pki.authority("SHA-1 Root", hash="sha1")


# How to make a certificate


def leaf(cn=None, dns=(API,), **options):
    """Issued by the root itself; for `api.test` unless told otherwise."""
    return lambda world: world.ca.issue(cn, dns=dns, **options)


def unnamed(cn, **options):
    """With a common name and no subjectAltName."""
    return leaf(cn, dns=(), **options)


def below(leaf_options=None, **options):
    """Issued by an intermediate that is like `options`."""

    def make(world):
        inter = world.ca.intermediate("Orders Special CA", **options)
        return inter.issue(**{"dns": [API], **(leaf_options or {})})

    return make


def under(issuer, **options):
    """Issued by what `issuer(world)` gives."""
    return lambda world: issuer(world).issue(**{"dns": [API], **options})


def self_signed(**options):
    return lambda world: world.pki.self_signed(**{"cn": API, "dns": [API], **options})


def with_chain(pick, issuer=lambda world: world.inner):
    """A leaf of the inner CA, sent with the certificates that `pick(world)` gives."""
    return lambda world: issuer(world).issue(dns=[API], chain=pick(world))


def same_name_ca(world):
    return world.pki.authority("Orders Root").issue(dns=[API])


def two_below_a_path_of_zero(world):
    outer = world.ca.intermediate("Outer CA", path_length=0)
    return outer.intermediate("Too Deep CA").issue(dns=[API])


def padded(world, count, size):
    """A leaf with `count` certificates behind it that belong to nothing, `size` bytes each."""
    ballast = extension(UNKNOWN, der.octets(bytes(size)))
    padding = [
        world.pki.self_signed(f"padding {number}", extensions=[ballast]) for number in range(count)
    ]
    return world.inner.issue(dns=[API], chain=[world.inner, world.inter, *padding])


def rooted(two=False, **options):
    """Issued by a root of its own that is like `options`, or by an intermediate below that."""

    def make(world):
        root = world.pki.authority("Special Root", **options)
        return (root.intermediate("Below Special") if two else root).issue(dns=[API])

    return make


def root_of(_, certificate):
    root = certificate.issuer
    return root if root.issuer is None else root.issuer


def by_recipe(world):
    """What the usual HTTPS tutorials make with OpenSSL: a CA and a server of version 1."""
    directory = world.pki.directory / "recipe"
    directory.mkdir()
    for command in [
        "openssl genrsa -out ca.key 2048",
        "openssl req -new -out ca.csr -key ca.key -subj /CN=recipe",
        "openssl x509 -req -in ca.csr -out ca.crt -signkey ca.key -days 3650",
        "openssl genrsa -out server.key 2048",
        f"openssl req -new -out server.csr -key server.key -subj /CN={API}",
        "openssl x509 -req -in server.csr -out server.crt -CA ca.crt -CAkey ca.key"
        " -CAcreateserial -days 3650",
    ]:
        subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
    return types.SimpleNamespace(
        cert=directory / "server.crt", key=directory / "server.key", ca=directory / "ca.crt"
    )


def pin_of_issuer(world, _):
    return world.ca.pin


def pin_of_leaf(_, certificate):
    return certificate.pin


def own_certificate(_, certificate):
    return certificate.cert


# The table

CHAIN, NAMES, PURPOSE, STRENGTH, PINS, BOUNDS = [], [], [], [], [], []


def row(table, name, expected, why, make, **keys):
    table.append(Row(name, expected, why, make, keys))


def chain(name, expected, why, make, **keys):
    row(CHAIN, name, expected, why, make, **keys)


def names(name, expected, why, make, **keys):
    row(NAMES, name, expected, why, make, **keys)


def purpose(name, expected, why, make, **keys):
    row(PURPOSE, name, expected, why, make, **keys)


def strength(name, expected, why, make, **keys):
    row(STRENGTH, name, expected, why, make, **keys)


def pins(name, expected, why, make, **keys):
    row(PINS, name, expected, why, make, **keys)


def bounds(name, expected, why, make, **keys):
    row(BOUNDS, name, expected, why, make, **keys)


# Paths: RFC 5280 section 6

chain("leaf-of-the-root", "ok", "RFC 5280 6.1: a path of one", leaf())
chain("leaf-of-an-intermediate", "ok", "RFC 5280 6.1: a path of two", under(lambda w: w.inter))
chain("leaf-of-an-inner-ca", "ok", "RFC 5280 6.1: a path of three", under(lambda w: w.inner))
chain("root-is-sent-too", "ok", "RFC 8446 4.4.2: the anchor may be sent and is not needed",
      with_chain(lambda w: [w.inner, w.inter, w.ca]))
chain("chain-reordered", "ok", "RFC 8446 4.4.2: be prepared for arbitrary orderings",
      with_chain(lambda w: [w.inter, w.inner]))
chain("chain-with-a-stranger", "ok", "RFC 8446 4.4.2: be prepared for extraneous certificates",
      with_chain(lambda w: [w.inner, w.v1, w.inter]))
chain("intermediate-missing", "cert_untrusted", "RFC 5280 6.1.3(a)(4): the path has a hole",
      with_chain(lambda w: [w.inter]))
chain("all-intermediates-missing", "cert_untrusted", "RFC 5280 6.1.3(a)(4)", with_chain(lambda w: []))
chain("intermediate-is-the-anchor", "ok", "RFC 5280 6.1: what we trust is the anchor, root or not",
      under(lambda w: w.inter, chain=[]), ca=lambda w, _: w.inter)
chain("anchor-inside-the-sent-chain", "cert_untrusted",
      "RFC 5280 6.1 leaves building paths to us; GnuTLS takes an anchor only at the chain's end",
      under(lambda w: w.inner), ca=lambda w, _: w.inner)
chain("wrong-ca", "cert_untrusted", "RFC 5280 6.1: the path does not lead to this service's anchor",
      lambda w: w.pki.authority("Another Root").issue(dns=[API]))
chain("wrong-ca-of-the-same-name", "cert_untrusted", "RFC 5280 6.1.3(a)(1): the key decides",
      same_name_ca)
chain("ca-of-another-service", "cert_untrusted", "RFC 5280 6.1: each service has its own anchors",
      leaf(), ca=lambda w, _: w.v1)
chain("self-signed", "cert_untrusted", "RFC 5280 6.1: it is no anchor of ours", self_signed())
chain("self-signed-named-as-the-ca", "cert_untrusted", "RFC 5280 6.1.3(a)(1)",
      self_signed(cn="Orders Root"))
chain("self-signed-and-trusted-itself", "ok", "RFC 5280 6.1: the operator made it the anchor",
      self_signed(), ca=own_certificate)
chain("expired-and-trusted-itself", "cert_expired", "RFC 5280 6.1.3(a)(2)",
      self_signed(not_before=-9 * DAY, not_after=-DAY), ca=own_certificate)
chain("signature-spoiled", "cert_untrusted", "RFC 5280 6.1.3(a)(1)", leaf(spoil_signature=True))
chain("signature-of-intermediate-spoiled", "cert_untrusted", "RFC 5280 6.1.3(a)(1)",
      below(spoil_signature=True))
chain("issuer-name-wrong", "cert_untrusted", "RFC 5280 6.1.3(a)(4): names must chain",
      leaf(issuer_name="Somebody Else"))
chain("intermediate-is-no-ca", "cert_untrusted", "RFC 5280 6.1.4(k): cA must be true", below(ca=False))
chain("intermediate-without-constraints", "cert_untrusted", "RFC 5280 6.1.4(k): and present",
      below(ca=None))
chain("intermediate-may-not-sign", "cert_untrusted", "RFC 5280 6.1.4(n): keyCertSign must be set",
      below(key_usage=["digital_signature", "crl_sign"]))
chain("leaf-issued-by-a-leaf", "cert_untrusted", "RFC 5280 6.1.4(k)",
      below(ca=False, purpose="server", key_usage=["digital_signature"]))
chain("intermediate-of-version-1", "cert_untrusted", "RFC 5280 6.1.4(k): version 1 cannot say CA",
      below(version=1))
chain("root-of-version-1", "ok", "RFC 5280 6.1.1(d): of an anchor, name and key count",
      under(lambda w: w.v1), ca=lambda w, _: w.v1)
chain("path-length-kept", "ok", "RFC 5280 4.2.1.9: the leaf does not count", below(path_length=0))
chain("path-length-of-the-root", "cert_untrusted", "RFC 5937 3.2: constraints of anchors hold",
      rooted(path_length=0, two=True), ca=root_of)
chain("path-length-exceeded", "cert_untrusted", "RFC 5280 6.1.4(m)", two_below_a_path_of_zero)
chain("unknown-extension", "ok", "RFC 5280 4.2: one that is not critical may be ignored",
      leaf(extensions=[extension(UNKNOWN, der.null())]))
chain("unknown-critical-extension", "cert_untrusted", "RFC 5280 6.1.5(f)",
      leaf(extensions=[extension(UNKNOWN, der.null(), critical=True)]))
chain("unknown-critical-extension-above", "cert_untrusted", "RFC 5280 6.1.4(o)",
      below(extensions=[extension(UNKNOWN, der.null(), critical=True)]))
chain("must-staple-without-staple", "cert_status_missing", "RFC 7633 4.2.3.1",
      leaf(must_staple=True))

# Dates: RFC 5280 section 6.1.3(a)(2)

chain("expired", "cert_expired", "RFC 5280 6.1.3(a)(2)", leaf(not_before=-9 * DAY, not_after=-DAY))
chain("expired-a-minute-ago", "cert_expired", "RFC 5280 4.1.2.5: no grace",
      leaf(not_before=-DAY, not_after=-timedelta(minutes=1)))
chain("not-yet-valid", "cert_not_yet_valid", "RFC 5280 6.1.3(a)(2)",
      leaf(not_before=DAY, not_after=9 * DAY))
chain("intermediate-expired", "cert_expired", "RFC 5280 6.1.3(a)(2): of every certificate",
      below(not_before=-9 * DAY, not_after=-DAY))
chain("intermediate-not-yet-valid", "cert_not_yet_valid", "RFC 5280 6.1.3(a)(2)",
      below(not_before=DAY, not_after=9 * DAY))
chain("root-expired", "cert_expired", "RFC 5280 6.2: dates of anchors are ours to judge; judged",
      under(lambda w: w.expired_root), ca=lambda w, _: w.expired_root)
chain("dates-beyond-2049", "ok", "RFC 5280 4.1.2.5.2: GeneralizedTime",
      leaf(not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)))

# Name constraints: RFC 5280 section 4.2.1.10

chain("name-permitted", "ok", "RFC 5280 4.2.1.10: a name below `test`", below(permitted=["test"]))
chain("name-not-permitted", "cert_untrusted", "RFC 5280 6.1.4(g), 6.1.3(b)", below(permitted=["corp"]))
chain("name-excluded", "cert_untrusted", "RFC 5280 6.1.3(c)", below(excluded=[API]))
chain("name-excluded-by-the-root", "cert_untrusted", "RFC 5937 3.2: constraints of anchors hold",
      rooted(excluded=[API]), ca=root_of)
chain("name-excluded-above-an-intermediate", "cert_untrusted", "RFC 5937 3.2",
      rooted(excluded=[API], two=True), ca=root_of)
chain("one-of-two-names-excluded", "cert_untrusted", "RFC 5280 6.1.3(c): of all names",
      below({"dns": [API, "a.corp"]}, excluded=["corp"]))
chain("address-not-permitted", "cert_untrusted", "RFC 5280 4.2.1.10: iPAddress",
      below({"dns": (), "ips": ["127.0.0.1"]}, permitted=[ipaddress.ip_network("10.0.0.0/8")]),
      sni="off")
chain("address-permitted", "ok", "RFC 5280 4.2.1.10: iPAddress",
      below({"dns": (), "ips": ["127.0.0.1"]}, permitted=[ipaddress.ip_network("127.0.0.0/8")]),
      sni="off")

# DNS names: RFC 9525 (and 6125)

names("wrong-name", "cert_name_mismatch", "RFC 9525 6.3", leaf(dns=["other.test"]))
names("wrong-name-by-suffix", "cert_name_mismatch", "RFC 9525 6.3: whole labels",
      leaf(dns=["xapi.test", "api.test.evil.test", "pi.test", "test"]))
names("name-with-nul", "cert_name_mismatch", "RFC 5280 4.2.1.6: IA5String, compared whole",
      leaf(dns=(), others=[(2, b"api.test\0.evil.test")]))
names("one-of-several-names", "ok", "RFC 9525 6.2: any of them",
      leaf(dns=["other.test", "third.test", API]))
names("capital-letters-in-certificate", "ok", "RFC 9525 6.3: letters match without case",
      leaf(dns=["API.Test"]))
names("capital-letters-in-sni", "ok", "RFC 4343: DNS knows no case", leaf(), sni="Api.TEST")
names("trailing-dot-in-sni", "ok", "RFC 6066 3: a HostName has no trailing dot; it is dropped",
      leaf(), sni="api.test.")
names("verify-name-beside-sni", "ok", "RFC 9525 6.1: the reference identity is configured",
      leaf(dns=["inner.test"]), verify_name="dns:inner.test")
names("sni-does-not-count-beside-verify-name", "cert_name_mismatch", "RFC 9525 6.1",
      leaf(), verify_name="dns:inner.test")
names("second-verify-name", "ok", "RFC 9525 6.1: a list of reference identities",
      leaf(), verify_name=["dns:inner.test", f"dns:{API}"])
names("wildcard", "ok", "RFC 9525 6.3: one whole label", leaf(dns=["*.api.test"]), sni="a.api.test")
names("wildcard-for-two-labels", "cert_name_mismatch", "RFC 9525 6.3: one label only",
      leaf(dns=["*.api.test"]), sni="a.b.api.test")
names("wildcard-for-no-label", "cert_name_mismatch", "RFC 9525 6.3", leaf(dns=["*.api.test"]))
names("wildcard-for-a-top-level-domain", "cert_name_mismatch",
      "RFC 6125 7.2: not for the public part of a name", leaf(dns=["*.test"]))
names("wildcard-for-everything", "cert_name_mismatch", "RFC 9525 6.3", leaf(dns=["*"]))
names("wildcard-behind-letters", "cert_name_mismatch", "RFC 9525 6.3: the whole left-most label",
      leaf(dns=["a*.api.test"]), sni="aa.api.test")
names("wildcard-before-letters", "cert_name_mismatch", "RFC 9525 6.3: the whole left-most label",
      leaf(dns=["*a.api.test"]), sni="aa.api.test")
names("wildcard-not-left-most", "cert_name_mismatch", "RFC 9525 6.3",
      leaf(dns=["a.*.api.test"]), sni="a.b.api.test")
names("name-in-cn-beside-other-san", "cert_name_mismatch",
      "RFC 6125 6.4.4: the CN is not looked at where there is a SAN", leaf(API, dns=["other.test"]))
names("name-in-cn-beside-other-san-allowed", "cert_name_mismatch", "RFC 6125 6.4.4",
      leaf(API, dns=["other.test"]), allow_common_name="yes")
names("name-in-cn-beside-email", "cert_name_mismatch", "there is a subjectAltName",
      leaf(API, dns=(), others=[(1, b"ops@api.test")]), allow_common_name="yes")
names("name-in-cn-only", "cert_no_san", "RFC 9525 2: the CN identifies no server", unnamed(API))
names("name-in-cn-only-allowed", "ok", "allow_common_name, for old recipes", unnamed(API),
      allow_common_name="yes")
names("wrong-name-in-cn-allowed", "cert_name_mismatch", "allow_common_name accepts the name, not any",
      unnamed("other.test"), allow_common_name="yes")
names("no-name-at-all", "cert_no_san", "RFC 9525 6.6", leaf(None, dns=()))
names("version-1", "cert_no_san", "version 1 has no subjectAltName",
      lambda w: w.v1.issue(API, version=1), ca=lambda w, _: w.v1)
names("version-1-allowed", "ok", "RFC 5280 6.1: a path of version 1 below its anchor",
      lambda w: w.v1.issue(API, version=1), ca=lambda w, _: w.v1, allow_common_name="yes")
names("version-1-by-recipe", "ok", "the same from OpenSSL's own hands", by_recipe,
      ca=lambda _, made: made.ca, allow_common_name="yes")
names("version-1-leaf-below-version-3", "ok", "the same with a newer root",
      unnamed(API, version=1), allow_common_name="yes")

# Addresses and URIs

names("address", "ok", "RFC 9525 6.4: iPAddress, octet by octet",
      leaf(dns=(), ips=["127.0.0.1"]), sni="off")
names("address-wanted-by-verify-name", "ok", "RFC 9525 6.4",
      leaf(dns=(), ips=["2001:db8::1"]), verify_name="ip:2001:db8:0:0::1")
names("wrong-address", "cert_name_mismatch", "RFC 9525 6.4", leaf(dns=(), ips=["127.0.0.2"]), sni="off")
names("address-mapped-into-ipv6", "cert_name_mismatch", "RFC 9525 6.4: 4 octets are not 16",
      leaf(dns=(), ips=["::ffff:127.0.0.1"]), sni="off")
names("address-as-dns-name", "cert_name_mismatch", "RFC 9525 6.4: never by dNSName",
      leaf(dns=["127.0.0.1"]), sni="off")
names("address-in-cn", "cert_name_mismatch", "RFC 9525 6.4: never by CN",
      unnamed("127.0.0.1"), sni="off", allow_common_name="yes")
names("dns-name-for-an-address", "cert_name_mismatch", "RFC 9525 6.4", leaf(), sni="off")
names("address-for-a-dns-name", "cert_name_mismatch", "RFC 9525 6.3",
      leaf(dns=(), ips=["127.0.0.1"]))
names("spiffe-id", "ok", "SPIFFE X.509-SVID 4.1: the one URI SAN",
      leaf(dns=(), uris=[SPIFFE]), verify_name=f"uri:{SPIFFE}")
names("spiffe-id-beside-dns-name", "ok", "SPIFFE X.509-SVID 2: other kinds of SAN are free",
      leaf(uris=[SPIFFE]), verify_name=f"uri:{SPIFFE}")
names("wrong-spiffe-id", "cert_name_mismatch", "SPIFFE ID 2.2: the path is part of it",
      leaf(dns=(), uris=[SPIFFE + "/admin"]), verify_name=f"uri:{SPIFFE}")
names("spiffe-id-of-another-case", "cert_name_mismatch", "SPIFFE ID 2.2: paths have case",
      leaf(dns=(), uris=["spiffe://gateway.test/Orders"]), verify_name=f"uri:{SPIFFE}")
names("two-spiffe-ids", "cert_name_mismatch", "SPIFFE X.509-SVID 2: exactly one URI SAN",
      leaf(dns=(), uris=[SPIFFE, "spiffe://gateway.test/other"]), verify_name=f"uri:{SPIFFE}")
names("spiffe-id-and-another-uri", "cert_name_mismatch", "SPIFFE X.509-SVID 2",
      leaf(dns=(), uris=["https://gateway.test/", SPIFFE]), verify_name=f"uri:{SPIFFE}")
names("spiffe-id-with-nul", "cert_name_mismatch", "RFC 5280 4.2.1.6: compared whole",
      leaf(dns=(), others=[(6, SPIFFE.encode() + b"\0x")]), verify_name=f"uri:{SPIFFE}")
names("spiffe-id-as-dns-name", "cert_name_mismatch", "each kind by its own",
      leaf(dns=[SPIFFE]), verify_name=f"uri:{SPIFFE}")
names("dns-name-as-uri", "cert_name_mismatch", "each kind by its own", leaf(dns=(), uris=[API]))

# Purpose: RFC 5280 sections 4.2.1.3, 4.2.1.9 and 4.2.1.12

purpose("no-purpose", "ok", "RFC 5280 4.2.1.12: no extension, no restriction", leaf(purpose=None))
purpose("any-purpose", "ok", "RFC 5280 4.2.1.12: anyExtendedKeyUsage", leaf(purpose="any"))
purpose("both-purposes", "ok", "RFC 5280 4.2.1.12: serverAuth is among them", leaf(purpose="both"))
purpose("client-purpose", "cert_purpose", "RFC 5280 4.2.1.12: not for a server",
        leaf(purpose="client"))
purpose("another-gateway", "cert_purpose", "a client under the same CA is no backend",
        lambda w: w.gateway)
purpose("code-signing-purpose", "cert_purpose", "RFC 5280 4.2.1.12", leaf(purpose="code"))
purpose("client-purpose-above", "cert_purpose", "an intermediate for clients issues no servers",
        below(purpose="client"))
purpose("client-purpose-of-the-root", "ok", "RFC 5280 6.1.1(d): of an anchor, name and key count",
        rooted(purpose="client"), ca=root_of)
purpose("client-purpose-and-trusted-itself", "cert_purpose", "trusting it does not change its purpose",
        self_signed(purpose="client"), ca=own_certificate)
purpose("server-purpose-above", "ok", "the purpose is kept all along the path", below(purpose="server"))
purpose("leaf-is-a-ca", "cert_purpose", "RFC 5280 4.2.1.9: a CA's key is not a server's",
        leaf(ca=True, key_usage=["digital_signature", "key_cert_sign"]))
purpose("leaf-is-the-ca-itself", "cert_purpose", "the same where it is its own anchor",
        self_signed(ca=True, key_usage=["digital_signature", "key_cert_sign"]), ca=own_certificate)
purpose("no-basic-constraints", "ok", "RFC 5280 4.2.1.9: absent means no CA", leaf(ca=None))
purpose("no-key-usage", "ok", "RFC 5280 4.2.1.3: absent means no restriction", leaf(key_usage=None))
purpose("key-may-not-sign", "cert_purpose", "RFC 8446 4.4.2.2: digitalSignature must be set",
        leaf(key="rsa2048", key_usage=["key_encipherment"]))

# Strength: GnuTLS's medium profile

strength("rsa-2048", "ok", "112 bits", leaf(key="rsa2048"))
strength("rsa-4096", "ok", "more than 112 bits", leaf(key="rsa4096"))
strength("p-384", "ok", "192 bits", leaf(key="p384"))
strength("ed25519", "ok", "128 bits", leaf(key="ed25519"))
strength("rsa-1024", "cert_weak", "80 bits", leaf(key="rsa1024"))
strength("rsa-1024-under-a-priority-of-ones-own", "cert_weak",
         "a priority string does not lower the bar", leaf(key="rsa1024"), priority="NORMAL")
strength("rsa-2048-under-a-priority-of-ones-own", "ok", "nor does it raise it",
         leaf(key="rsa2048"), priority="NORMAL")
strength("rsa-2048-under-a-stricter-priority", "cert_weak", "a stricter bar is the operator's to set",
         leaf(key="rsa2048"), priority="SECURE192")
strength("rsa-1024-above", "cert_weak", "80 bits", below(key="rsa1024"))
strength("rsa-1024-root", "cert_weak", "80 bits",
         under(lambda w: w.weak_root), ca=lambda w, _: w.weak_root)
strength("rsa-1024-and-trusted-itself", "cert_weak", "80 bits",
         self_signed(key="rsa1024"), ca=own_certificate)
strength("sha-1", "cert_weak", "RFC 9155; 61 bits against collision", leaf(hash="sha1"))
strength("sha-1-above", "cert_weak", "the same", below(hash="sha1"))
strength("sha-1-root", "ok", "RFC 5280 6.1: the anchor's own signature is not checked",
         under(lambda w: w.sha1_root), ca=lambda w, _: w.sha1_root)

# Pins

pins("pin", "ok", "RFC 7469 2.4: SHA-256 of the SubjectPublicKeyInfo", leaf(), pin=pin_of_leaf)
pins("second-pin", "ok", "one of the pins must match", leaf(),
     pin=lambda w, certificate: [w.ca.pin, certificate.pin])
pins("wrong-pin", "pin_mismatch", "the key is another one", leaf(),
     pin=lambda w, _: w.gateway.pin)
pins("pin-of-the-issuer", "pin_mismatch", "a pin is of the backend's own key", leaf(),
     pin=pin_of_issuer)
pins("pin-does-not-replace-the-name", "cert_name_mismatch", "pins come on top",
     leaf(dns=["other.test"]), pin=pin_of_leaf)
pins("pin-does-not-replace-the-chain", "cert_untrusted", "pins come on top",
     self_signed(), pin=pin_of_leaf)

# Size: bounded time, whatever the verdict

# GnuTLS takes time for names in the square of their number where realloc() always copies.
MANY = 1000 if sanitizer() else 5000

bounds("chain-of-100-kilobytes", "ok", "RFC 8446 4.4.2: extraneous certificates",
       lambda w: padded(w, 10, 9500))
bounds("certificate-of-90-kilobytes", "ok", "nothing in it is wrong",
       leaf(extensions=[extension(UNKNOWN, der.octets(bytes(90000)))]))
bounds("chain-of-200-certificates", "cert_untrusted", "longer than any real path",
       lambda w: padded(w, 200, 1))
bounds("many-names", "ok", "RFC 5280 4.2.1.6: SIZE (1..MAX)",
       leaf(dns=[*(f"h{i}.test" for i in range(MANY)), API, *(f"i{i}.test" for i in range(MANY))]))
bounds("many-names-all-wrong", "cert_name_mismatch", "RFC 9525 6.3",
       leaf(dns=[f"h{i}.test" for i in range(2 * MANY)]))
bounds("names-and-constraints", "ok", "CVE-2024-12243: their product must stay small",
       below({"dns": [*(f"h{i}.test" for i in range(1000)), API]},
             excluded=[f"c{i}.corp" for i in range(1000)]))

# Verifying takes its time under a sanitizer, so nobody does it ahead of the caller, too; and the
# verdict is what counts here.
for one in BOUNDS:
    one.keys.update(connect_timeout="1m", handshake_timeout="1m", prewarm=0)

ROWS = [*CHAIN, *NAMES, *PURPOSE, *STRENGTH, *PINS, *BOUNDS]
