"""`probe` where no session comes about: DNS, TCP, backends that stay silent or speak no TLS, and
those with which there is no common name, version or cipher."""

import ctypes
import os
import shutil
import socket
import subprocess
import time

import pytest
from harness import servers
from harness.agent import config, service
from harness.backends import Backend, Origin, TlsBackend, echo, stay_silent
from harness.dns import NOERROR, REFUSED, SERVFAIL, DnsServer, PrivateResolver, why_not
from harness.net import Blackhole, free_port, reset
from harness.probe import Probe, diagnose

WHY_NOT = why_not()
needs_root = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def failed(found, verdict, *evidence):
    """Something between us and the backend failed: there is no session, and no request."""
    found.expect(verdict, "network", *evidence)
    assert not any(row["established"] for row in found["endpoints"]), str(found)
    assert found["http"] is None
    return found


# TCP


def test_a_closed_port(tmp_path, ca, gateway):
    port = free_port()
    found = failed(diagnose(tmp_path, port, ca, certificate=gateway), "connect_refused")
    found.says(f"127.0.0.1:{port}", "refused", "nothing listens on that port")
    assert found.endpoint["reason"] == "connect_refused"
    assert found.endpoint["connect_seconds"] is None and found.endpoint["chain"] == []


def test_a_port_that_drops_syn(tmp_path, ca, gateway):
    with Blackhole() as hole:
        found = diagnose(tmp_path, hole, ca, certificate=gateway, connect_timeout="500ms")
    failed(found, "connect_timeout", "500 ms", "firewalls and routes")


CLONE_NEWNET = 0x40000000


def without_network():
    """Moves this process to where there is no interface but loopback, which is down."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def without_a_route():
    """The same with loopback up and a route that answers "no route to host"."""
    without_network()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "route", "add", "unreachable", "203.0.113.0/24"], check=True)


@needs_root
def test_no_network(tmp_path, ca, gateway):
    found = diagnose(
        tmp_path, "203.0.113.7:443", ca, certificate=gateway, preexec=without_network
    )
    failed(found, "unreachable", os.strerror(101), "203.0.113.7:443", "routes and interfaces")


@needs_root
@pytest.mark.skipif(shutil.which("ip") is None, reason="the program `ip` is missing")
def test_no_route_to_the_host(tmp_path, ca, gateway):
    found = diagnose(
        tmp_path, "203.0.113.7:443", ca, certificate=gateway, preexec=without_a_route
    )
    failed(found, "unreachable", os.strerror(113), "203.0.113.7:443", "routes and interfaces")


def test_no_address_works(tmp_path, ca, gateway):
    """The verdict is of the address where it came furthest; each has its own reason."""
    with Backend(stay_silent) as silent, Blackhole() as hole:
        where = [free_port(), hole.port, silent.port]
        found = diagnose(
            tmp_path, where, ca,
            certificate=gateway, connect_timeout="300ms", handshake_timeout="300ms",
        )
    failed(found, "handshake_timeout")
    reasons = [row["reason"] for row in found["endpoints"]]
    assert reasons == ["connect_refused", "connect_timeout", "handshake_timeout"]
    for port, reason in zip(where, reasons):
        assert any(f":{port}: {reason}" in line for line in found.lines["address"]), str(found)


# What is no TLS


def test_a_silent_backend(tmp_path, ca, gateway):
    begun = time.monotonic()
    with Backend(stay_silent) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway, handshake_timeout="500ms")
    failed(found, "handshake_timeout", "500 ms", "did not finish TLS")
    assert found.endpoint["connect_seconds"] < 0.5 and found.endpoint["handshake_seconds"] is None
    assert 1 <= time.monotonic() - begun < 4


def hang_up(sock):
    sock.recv(1)


def slam(sock):
    sock.recv(1)
    reset(sock)


@pytest.mark.parametrize("handler", [hang_up, slam])
def test_a_backend_that_hangs_up(tmp_path, ca, gateway, handler):
    with Backend(handler) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway)
    assert found.verdict in ("upstream_reset", "upstream_truncated"), str(found)
    failed(found, found.verdict, "handshake")


def test_a_backend_that_speaks_plain_http(tmp_path, ca, gateway):
    with Origin() as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway)
    failed(found, "not_tls", "<!DOCTYPE HTML>", "check the port in `address`")


def test_nginx_without_ssl(tmp_path, ca, gateway, leaf):
    class Plain(servers.Nginx):
        def command(self):
            command = super().command()
            path = self.directory / "nginx.conf"
            path.write_text(path.read_text().replace(" ssl;", ";"))
            return command

    with Plain(tmp_path, leaf) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway)
    failed(found, "not_tls", "HTTP/1.1 400 Bad Request")


@pytest.mark.parametrize(
    "banner", [b"220 mail.test ESMTP\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x4a\0\0\0\x0a8.0.32\0"]
)
def test_a_backend_with_a_banner(tmp_path, ca, gateway, banner):
    def speak(sock):
        sock.sendall(banner)
        stay_silent(sock)

    with Backend(speak) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway, handshake_timeout="1s")
    failed(found, "not_tls", "check the port in `address`")


# DNS


@pytest.fixture
def look_up(tmp_path, ca, gateway):
    """look_up(SERVERS, ADDRESS…, options=…) probes with a resolver of its own."""

    def run(resolvers, *addresses, hosts="", options="options timeout:1 attempts:1\n", **keys):
        etc = PrivateResolver(tmp_path / "etc", resolvers, hosts, options)
        return diagnose(
            tmp_path, list(addresses), ca, certificate=gateway, preexec=etc.enter, **keys
        )

    return run


@pytest.fixture
def dns():
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    with DnsServer() as server:
        yield server


def test_a_name_that_does_not_exist(look_up, dns):
    found = failed(look_up([dns], "nowhere.test:443"), "dns_failed", "nowhere.test")
    assert "nowhere.test: " in found.line("dns") and found["endpoints"] == []
    (host,) = found["dns"]
    assert (host["host"], host["port"], host["addresses"]) == ("nowhere.test", 443, [])
    assert host["failure"] in found.line("why") and host["seconds"] is not None


@pytest.mark.parametrize("rcode", [SERVFAIL, REFUSED, NOERROR])
def test_a_resolver_without_an_answer(look_up, dns, rcode):
    dns.set("api.test", rcode=rcode)
    failed(look_up([dns], "api.test:443"), "dns_failed", "api.test: ")


def test_each_failure_of_dns_has_its_own_words(look_up, dns):
    dns.set("broken.test", rcode=SERVFAIL)
    dns.set("empty.test", rcode=NOERROR)
    found = look_up([dns], "broken.test:443", "empty.test:443", "nowhere.test:443")
    failed(found, "dns_failed", "broken.test", "empty.test", "nowhere.test")
    failures = [host["failure"] for host in found["dns"]]
    assert len(set(failures)) == 3, failures


def test_a_resolver_that_stays_silent(look_up, dns):
    dns.set("api.test", silent=True)
    begun = time.monotonic()
    found = look_up([dns], "api.test:443", connect_timeout="1s")
    failed(found, "dns_failed", "api.test")
    assert time.monotonic() - begun < 16


@needs_root
def test_no_resolver_listens(look_up):
    failed(look_up([DnsServer()], "api.test:443"), "dns_failed", "api.test")


def test_a_cname_to_nowhere(look_up, dns):
    dns.set("api.test", cname="gone.test")
    failed(look_up([dns], "api.test:443"), "dns_failed", "api.test")


def test_one_name_of_two_fails(look_up, dns, ca, leaf):
    dns.set("api.test", "127.0.0.1")
    with TlsBackend(echo, leaf, ca) as backend:
        found = look_up([dns], f"api.test:{backend.port}", "old.test:443").expect("ok")
    found.warns("1 of 2 names cannot be resolved")
    assert any("old.test: " in line for line in found.lines["dns"])


# No common name, version or cipher


class Picky:
    """Real servers that know one name only, and say so of any other."""

    class Nginx(servers.Nginx):
        def command(self):
            command = super().command()
            path = self.directory / "nginx.conf"
            server = f"server {{ listen 127.0.0.1:{self.port} ssl default_server;"
            text = path.read_text().replace("listen 127", "server_name shop.test; listen 127")
            text = text.replace("server {", f"{server} ssl_reject_handshake on; }} server {{", 1)
            path.write_text(text)
            return command

    class Haproxy(servers.Haproxy):
        def command(self):
            command = super().command()
            path = self.directory / "haproxy.cfg"
            path.write_text(path.read_text().replace(" ssl crt", " ssl strict-sni crt"))
            return command

    class OpensslServer(servers.OpensslServer):
        def command(self):
            second = ["-cert2", self.leaf.cert, "-key2", self.leaf.key]
            return [*super().command(), "-servername", "shop.test", "-servername_fatal", *second]


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("server", [Picky.Nginx, Picky.Haproxy, Picky.OpensslServer])
def test_a_name_that_the_backend_does_not_know(tmp_path, ca, gateway, server, tls):
    leaf = ca.issue("shop.test", dns=["shop.test"])
    with server(tmp_path, leaf, None, tls) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway, sni="api.test")
        known = diagnose(tmp_path, backend, ca, certificate=gateway, sni="shop.test")
    found.expect("sni_unrecognized", "they_refused", "alert 112", "check `sni`", "api.test")
    assert found.endpoint["alert"] == 112
    known.expect("ok")


REAL = ("nginx", "haproxy", "caddy", "stunnel", "s_server", "gnutls-serv")


@pytest.mark.parametrize("theirs, key", [("1.2", "tls_min"), ("1.3", "tls_max")])
@pytest.mark.parametrize("server", REAL)
def test_no_common_version(tmp_path, ca, gateway, leaf, server, theirs, key):
    ours = "1.3" if key == "tls_min" else "1.2"
    with servers.ALL[server](tmp_path, leaf, ca, theirs) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway, **{key: ours})
    if server == "gnutls-serv":  # tells versions and ciphers not apart
        found.expect("tls_no_common_cipher", "they_refused", "alert 40")
    else:
        found.expect("tls_version", "they_refused", "alert 70", "tls_min and tls_max")
    assert found.endpoint["tls"] is None and not found.endpoint["established"]


def test_a_backend_with_old_versions_only(tmp_path, ca, leaf):
    """An answer in a version that we do not speak is refused by ourselves; OpenSSL sends none."""
    with TlsBackend(echo, leaf, tls=("1.0", "1.1"), ciphers="ALL:@SECLEVEL=0") as backend:
        found = diagnose(tmp_path, backend, ca)
    assert found.verdict == "tls_version" and found.side in ("we_refused", "they_refused")


class OneCipher(servers.OpensslServer):
    def command(self):
        return [*super().command(), "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"]


def test_no_common_cipher(tmp_path, ca, gateway, leaf):
    with OneCipher(tmp_path, leaf, ca, "1.2") as backend:
        found = diagnose(
            tmp_path, backend, ca, certificate=gateway, priority="NORMAL:-AES-256-GCM"
        )
    found.expect("tls_no_common_cipher", "they_refused", "alert 40", "priority")


class NginxOfOneCipher(servers.Nginx):
    def command(self):
        command = super().command()
        path = self.directory / "nginx.conf"
        one = "ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384; ssl_certificate "
        path.write_text(path.read_text().replace("ssl_certificate ", one, 1))
        return command


def test_no_common_cipher_with_nginx(tmp_path, ca, gateway, leaf):
    with NginxOfOneCipher(tmp_path, leaf, ca, "1.2") as backend:
        found = diagnose(
            tmp_path, backend, ca, certificate=gateway, priority="NORMAL:-AES-256-GCM"
        )
    found.expect("tls_no_common_cipher", "they_refused", "alert 40", "priority")


class OneGroup(servers.OpensslServer):
    def command(self):
        return [*super().command(), "-groups", "P-521"]


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_no_common_group(tmp_path, ca, gateway, leaf, tls):
    with OneGroup(tmp_path, leaf, ca, tls) as backend:
        found = diagnose(
            tmp_path, backend, ca,
            certificate=gateway, priority="NORMAL:-GROUP-ALL:+GROUP-X25519",
        )
    found.expect("tls_no_common_cipher", "they_refused", "alert 40", "group")


class OneProtocol(servers.OpensslServer):
    def command(self):
        return [*super().command(), "-alpn", "spdy/1"]


def test_no_common_protocol(tmp_path, ca, gateway, leaf):
    with OneProtocol(tmp_path, leaf, ca) as backend:
        found = diagnose(tmp_path, backend, ca, certificate=gateway, alpn="h2")
    found.expect("tls_alert", "they_refused", "alert 120 (")


def test_only_one_of_two_families(tmp_path, ca, gateway, leaf):
    """A port that is open on one loopback address and closed on the other."""
    with TlsBackend(echo, leaf, ca) as backend, socket.socket(socket.AF_INET6) as held:
        held.bind(("::1", backend.port))
        where = [f"[::1]:{backend.port}", f"127.0.0.1:{backend.port}"]
        text = config(service("backend", free_port(), where, ca), certificate=gateway)
        found = Probe(tmp_path, text).diagnose("--no-http").expect("ok")
    found.warns("1 of 2 addresses does not work")
    assert f"[::1]:{backend.port}: connect_refused (network)" in found.lines["address"][0]
