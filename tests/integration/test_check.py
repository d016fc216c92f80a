"""`mtls-agent check`, as an operator uses it: exit status, what is said where, and that the
configuration which it prints means the same."""

import base64
import os
import re
import shutil
import socket
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from harness import der
from harness.agent import config, program, section, service
from harness.net import HANG
from harness.pki import key_pem

GOOD, WRONG = 0, 2


class Operator:
    """Somebody who writes files into a directory and runs `check` on them."""

    def __init__(self, directory):
        self.directory = directory
        self.config = directory / "mtls-agent.conf"

    def write(self, name, content):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def check(self, *options, file=None, before=(), env=None):
        """Runs it. Like an operator, it has no patience and no terminal that answers."""
        return subprocess.run(
            [*before, program(), "check", "-c", str(file or self.config), *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=HANG,
            env={**os.environ, **(env or {})},
        )

    def refused(self, content=None, **options):
        """The error lines for a configuration that must be refused, the directory cut off."""
        if content is not None:
            self.write("mtls-agent.conf", content)
        result = self.check(**options)
        assert result.returncode == WRONG, result
        assert result.stdout == ""
        return result.stderr.replace(f"{self.directory}/", "").splitlines()

    def accepted(self, content, *options, **more):
        """What a good configuration makes it print; the warnings are in `.warnings`."""
        self.write("mtls-agent.conf", content)
        result = self.check(*options, **more)
        assert result.returncode == GOOD, result
        result.warnings = result.stderr.replace(f"{self.directory}/", "").splitlines()
        assert all(": warning: " in line for line in result.warnings)
        return result


@pytest.fixture
def operator(tmp_path):
    return Operator(tmp_path)


def one_service(ca, **keys):
    return service("orders", 9001, "api.example.com:443", ca, sni=None, **keys)


def with_identity(cert, key, ca, **keys):
    """A configuration whose lines 6 and 7 are an identity's files and line 8 a password's."""
    identity = section("certificate gateway", cert=cert, key=key, **keys)
    return "\n" * 4 + identity + one_service(ca, certificate="gateway")


def without_capabilities():
    """A command before ours that takes root's right to read any file away."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not here")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


# What it says about a good configuration


def test_summary(operator, pki, ca):
    middle = ca.intermediate("Middle")
    leaf = middle.issue("gateway", purpose="client")
    result = operator.accepted(
        config(
            service("orders", 9001, ["api.example.com:443", "[2001:db8::1]:8443"], ca,
                    sni="api.example.com"),
            service("bills", "unix:/run/bills.sock", "bills.example.com:443", "system", sni="off",
                    tls_mode="tls", verify_name="uri:spiffe://example.org/bills"),
            certificate=leaf,
        )
    )
    assert result.warnings == []
    text = re.sub(" +", " ", result.stdout)
    assert f"{operator.config} is good: 2 services, 1 certificate, 1 file\n" in text
    for line in [
        "certificate gateway",
        " subject CN=gateway",
        " issuer CN=Middle",
        "service orders",
        " listen 127.0.0.1:9001",
        " address api.example.com:443",
        " [2001:db8::1]:8443",
        " sni api.example.com",
        " verify dns:api.example.com",
        " mode mtls, with the certificate gateway",
        "service bills",
        " listen unix:/run/bills.sock",
        " sni off",
        " verify uri:spiffe://example.org/bills",
        " mode tls, without a certificate",
        " ca system",
    ]:
        assert f"\n{line}\n" in text, line
    assert re.search(r"\n valid (29|30) days left, until \d{4}-\d\d-\d\d\n", text)
    assert re.search(r"\n chain CN=Middle, 36\d days left, until ", text)
    assert re.search(r"\n CN=Test CA, 36\d days left, until ", text)


def test_it_opens_no_socket(operator, ca, gateway, short_path):
    """A busy port is no matter to it, and no file of a UNIX socket appears."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        local = short_path / "orders.sock"
        text = service("orders", f"127.0.0.1:{port}, unix:{local}", "api.example.com:443", ca)
        operator.accepted(config(text, certificate=gateway))
        assert not local.exists()


def test_a_thousand_services(operator, ca, gateway):
    services = [
        service(f"s{i}", 10000 + i, f"s{i}.example.com:443", ca, sni=None) for i in range(1000)
    ]
    begin = time.monotonic()
    result = operator.accepted(config(*services, certificate=gateway))
    assert time.monotonic() - begin < HANG / 2
    assert "is good: 1000 services, 1 certificate" in result.stdout


def test_the_dump_reads_back_to_the_same(operator, ca, gateway, tmp_path):
    operator.write("conf.d/orders.conf", service(
        "orders", 9001, ["API.Example.com.:443", "[::1]:8443"], ca, alpn=["h2", "http/1.1"],
        pin=gateway.pin, verify_name="uri:spiffe://example.org/x, ip:192.0.2.1", tls_max="1.2",
        idle_timeout="off", max_lifetime="90m", connect_timeout="1500ms", socket_group="0",
        crl="http://crl.example.com/ca.crl?a=b", canary="require", retire="drain"))
    operator.write("conf.d/bills.conf", service(
        "bills", "unix:/run/bills.sock, systemd:bills", "bills.example.com:443", "../ca.crt",
        tls_mode="tls", socket_mode="660", truncation="eof", priority="NORMAL", retire="90m"))
    shutil.copy(ca.cert, tmp_path / "ca.crt")
    first = operator.accepted(
        config(certificate=gateway, agent={"include": "conf.d/*.conf", "workers": "auto",
                                          "status": ["unix:/run/bill.sock", "[::1]:9464"]},
               defaults={"balance": "failover"}), "--dump").stdout
    assert "[defaults]" not in first and "include" not in first
    assert f"\nca = {tmp_path}/conf.d/../ca.crt\n" in first
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = Operator(elsewhere)
    second = other.accepted(first, "--dump").stdout
    assert second == first


def test_the_summary_names_sockets_of_systemd_and_revocation_lists(operator, ca):
    result = operator.accepted(service(
        "orders", "127.0.0.1:9001, systemd:orders", "api.example.com:443", ca, tls_mode="tls",
        crl="http://crl.example.com/a"))
    shown = re.sub(" +", " ", result.stdout)
    assert "\n listen 127.0.0.1:9001\n systemd:orders\n" in shown
    assert "\n crl http://crl.example.com/a\n" in shown


# Usage


@pytest.mark.parametrize("arguments", [["-x"], ["extra"], ["-c"], ["--dmup"]])
def test_wrong_usage(arguments):
    result = subprocess.run([program(), "check", *arguments], capture_output=True, text=True,
                            timeout=HANG)
    assert result.returncode == WRONG
    assert "usage: mtls-agent check [-c FILE] [--dump]" in result.stderr


def test_help():
    result = subprocess.run([program(), "check", "--help"], capture_output=True, text=True,
                            timeout=HANG)
    assert result.returncode == GOOD
    assert result.stdout.startswith("usage: mtls-agent check [-c FILE] [--dump]")


# The file itself


def test_files_that_cannot_be_read(operator):
    assert operator.refused() == [
        "mtls-agent.conf: cannot read this file: not found; check its name and permissions"]
    operator.config.mkdir()
    assert operator.refused() == [
        "mtls-agent.conf: cannot read this file: a directory, not a file; check its name and "
        "permissions"]
    operator.config.rmdir()
    os.mkfifo(operator.config)
    assert operator.refused() == [
        "mtls-agent.conf: cannot read this file: not a regular file; check its name and "
        "permissions"]


def test_a_file_without_permission(operator, ca):
    operator.write("mtls-agent.conf", one_service(ca, tls_mode="tls")).chmod(0)
    assert operator.refused(before=without_capabilities()) == [
        "mtls-agent.conf: cannot read this file: not permitted; check its name and permissions"]


def test_an_empty_file(operator):
    assert operator.refused("") == [
        "mtls-agent.conf: there is no [service NAME] section; add one, or an include that has one"]


def test_all_errors_are_told_at_once(operator):
    """Of every kind: in lines, sections, keys, values, files, and between services."""
    lines = operator.refused(
        "[agent]\nworker = 2\njunk\n"
        "[certificate gateway]\ncert = gone.crt\nkey = gone.key\n"
        "[service a]\nlisten = 0.0.0.0:1\naddress = x\nca = gone.pem\ncertificate = gatway\n"
        "[service B]\nlisten = 127.0.0.1:1\naddress = b.example:1\ncertificate = gateway\n")
    told = {int(line.split(":")[1]) for line in lines}
    assert told == {2, 3, 5, 6, 8, 9, 10, 11, 12, 13}
    assert 'unknown key "worker" in [agent]; did you mean workers?' in lines[0]
    assert any("known: gateway" in line for line in lines)
    assert all(line.startswith("mtls-agent.conf:") for line in lines)


def test_fifty_errors_are_enough(operator):
    lines = operator.refused("[agent]\n" + "junk\n" * 60)
    assert len(lines) == 51
    assert lines[49].startswith("mtls-agent.conf:51: ")
    assert lines[50] == "and 10 more errors"


def test_crlf_and_mark(operator, ca, gateway):
    text = config(one_service(ca), certificate=gateway)
    operator.accepted(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    operator.accepted(text.rstrip("\n"))


def test_bytes_that_do_not_belong(operator, ca):
    text = one_service(ca, tls_mode="tls").encode()
    assert operator.refused(text + b"alpn = a\0b\n") == [
        "mtls-agent.conf:6: the line has a NUL byte; remove it"]
    assert operator.refused(text + b"alpn = a\x1bb\n") == [
        "mtls-agent.conf:6: the line has a control character; remove it"]
    assert operator.refused(b"# comment\0\n" + text) == [
        "mtls-agent.conf:1: the line has a NUL byte; remove it"]


def test_lines_beyond_the_limit(operator, ca):
    """None is cut: all of it counts, or the line is refused."""
    text = one_service(ca, tls_mode="tls")
    for length in [199, 200, 201, 250, 1 << 20]:
        line = "verify_name = uri:urn:" + "x" * (length - len("verify_name = uri:urn:"))
        begin = time.monotonic()
        lines = operator.refused(text + line + "\ntruncation = eof\njunk\n")
        assert time.monotonic() - begin < HANG / 2
        assert re.fullmatch(rf"mtls-agent.conf:6: the line has {length} bytes and the limit is "
                            r"\d+; shorten it, or give a list by repeating its key", lines[0])
        assert lines[1].startswith("mtls-agent.conf:8: the line is neither")
    name = "x" * 150
    dump = operator.accepted(text + f"verify_name = uri:urn:{name}\n", "--dump").stdout
    assert f"uri:urn:{name}\n" in dump
    operator.accepted(text + "; " + "x" * 100000 + "\n")


def test_includes(operator, ca):
    main = "[agent]\ninclude = conf.d/*.conf\n[defaults]\ntls_mode = tls\n"
    assert operator.refused(main) == [
        "mtls-agent.conf: there is no [service NAME] section; add one, or an include that has one"]
    operator.accepted(main + one_service(ca))
    operator.write("conf.d/one.conf", one_service(ca))
    operator.accepted(main)
    operator.write("conf.d/two.conf", one_service(ca))
    lines = operator.refused(main)
    assert lines[0] == ('conf.d/two.conf:1: there is a second service "orders"; rename it, for it '
                        "was first set at conf.d/one.conf:1")
    assert lines[1] == ("conf.d/two.conf:2: listen = 127.0.0.1:9001 of the service \"orders\" is "
                        "taken; choose another, for it is used by the service \"orders\" at "
                        "conf.d/one.conf:2")
    operator.write("conf.d/two.conf", "[agent]\ninclude = ../*.conf\n")
    assert operator.refused(main) == [
        "conf.d/two.conf:2: the include loops: it leads back to conf.d/../mtls-agent.conf, which "
        "is mtls-agent.conf; take that out"]
    (operator.directory / "conf.d/two.conf").unlink()
    os.mkfifo(operator.directory / "conf.d/two.conf")
    assert operator.refused(main) == [
        "mtls-agent.conf:2: cannot read conf.d/two.conf: not a regular file; check its name and "
        "permissions"]


def test_credentials_directory(operator, ca, gateway):
    shutil.copy(gateway.cert, operator.directory / "c.crt")
    shutil.copy(gateway.key, operator.directory / "c.key")
    text = with_identity("${CREDENTIALS_DIRECTORY}/c.crt", "${CREDENTIALS_DIRECTORY}/c.key", ca)
    operator.accepted(text, env={"CREDENTIALS_DIRECTORY": str(operator.directory)})
    lines = operator.refused(text, env={"CREDENTIALS_DIRECTORY": ""})
    assert [line[:18] for line in lines] == ["mtls-agent.conf:6:", "mtls-agent.conf:7:"]
    assert "LoadCredential=" in lines[0]


# The files that it names


def refused_ca(operator, path):
    """The one error about a CA file, named in line 4."""
    text = section("service orders", listen="127.0.0.1:1", address="a.example:1", ca=path,
                   tls_mode="tls")
    lines = operator.refused(text)
    assert all(line.startswith("mtls-agent.conf:4: ") for line in lines)
    return "\n".join(lines)


def test_ca_files(operator, ca, other_ca, gateway):
    assert "not found" in refused_ca(operator, "gone.pem")
    assert "directory" in refused_ca(operator, ".")
    operator.write("empty.pem", "")
    refused_ca(operator, "empty.pem")
    operator.write("key.pem", Path(gateway.key).read_text())
    said = refused_ca(operator, "key.pem")
    assert "private key" in said
    assert Path(gateway.key).read_text().splitlines()[1] not in said
    good, other = (Path(authority.cert).read_text() for authority in (ca, other_ca))
    broken = other.splitlines()
    broken[2] = broken[2][:10] + "!!!!" + broken[2][14:]
    operator.write("broken.pem", good + "\n".join(broken) + "\n" + good)
    refused_ca(operator, "broken.pem")
    operator.write("mixed.pem", good + Path(gateway.key).read_text())
    refused_ca(operator, "mixed.pem")


def test_a_bad_ca_is_told_wherever_it_is_named_and_why_once(operator):
    services = "".join(service(f"s{i}", 9000 + i, "a.example:1", "gone.pem", tls_mode="tls")
                       for i in range(3))
    first, *others = operator.refused(services)
    place = first.split(": ")[0]
    assert "not found" in first
    assert len(others) == 2
    assert all(line.endswith(f"gone.pem: cannot be used; see {place}") for line in others)


def refused_identity(operator, ca, cert, key, **keys):
    lines = operator.refused(with_identity(cert, key, ca, **keys))
    assert all(re.match(r"mtls-agent\.conf:[678]: ", line) for line in lines)
    return "\n".join(lines)


def test_identity_files(operator, ca, gateway):
    stranger = ca.issue("stranger", purpose="client")
    assert "not found" in refused_identity(operator, ca, "gone.crt", gateway.key)
    assert "not found" in refused_identity(operator, ca, gateway.cert, "gone.key")
    assert "does not belong to" in refused_identity(operator, ca, gateway.cert, stranger.key)
    refused_identity(operator, ca, gateway.key, gateway.key)
    middle = ca.intermediate("Middle")
    leaf = middle.issue("leaf", purpose="client")
    leaf_pem, middle_pem = re.findall(r"-+BEGIN.*?END CERTIFICATE-+\n",
                                      Path(leaf.cert).read_text(), re.DOTALL)
    operator.write("reversed.crt", middle_pem + leaf_pem)
    refused_identity(operator, ca, "reversed.crt", leaf.key)


def test_a_huge_key_is_refused_at_once(operator, ca, gateway):
    """One of 16,384 bits would sign for a second per connection. Its parts need not fit together:
    that it is too large is seen before anything is computed with it."""
    prime = (1 << 8192) - 1
    numbers = (0, prime * (prime - 2), 65537, prime, prime, prime - 2, 3, 5, 7)
    key = base64.encodebytes(der.sequence(*map(der.integer, numbers))).decode()
    path = operator.write(
        "huge.key", f"-----BEGIN RSA PRIVATE KEY-----\n{key}-----END RSA PRIVATE KEY-----\n")
    path.chmod(0o600)
    begun = time.monotonic()
    assert "16384 bits takes too long" in refused_identity(operator, ca, gateway.cert, "huge.key")
    assert time.monotonic() - begun < HANG / 2


def test_an_encrypted_key(operator, ca, gateway):
    key = operator.write("encrypted.key", key_pem(gateway.private_key, b"the password"))
    key.chmod(0o600)
    said = refused_identity(operator, ca, gateway.cert, key)
    assert "password_file" in said
    for password in ["wrong one\n", ""]:
        operator.write("password", password).chmod(0o600)
        said = refused_identity(operator, ca, gateway.cert, key, password_file="password")
        assert "wrong one" not in said
    for password in ["the password", "the password\n", "the password\r\n"]:
        operator.write("password", password).chmod(0o600)
        operator.accepted(with_identity(gateway.cert, key, ca, password_file="password"))


def with_pkcs12(path, ca, **keys):
    """A configuration whose line 6 is the file of an identity and line 7 a password's."""
    identity = section("certificate gateway", pkcs12=path, **keys)
    return "\n" * 4 + identity + one_service(ca, certificate="gateway")


def refused_pkcs12(operator, ca, path, **keys):
    lines = operator.refused(with_pkcs12(path, ca, **keys))
    assert all(re.match(r"mtls-agent\.conf:[67]: ", line) for line in lines)
    assert "secret" not in "\n".join(lines)
    return "\n".join(lines)


def test_a_pkcs12_file(operator, ca):
    leaf = ca.intermediate("Middle").issue("gateway", purpose="client")
    path = leaf.pkcs12("-certfile", ca.cert)
    operator.write("password.txt", "secret\r\n").chmod(0o600)
    text = with_pkcs12(path, ca, password_file="password.txt")
    result = operator.accepted(text)
    assert result.warnings == []
    shown = re.sub(" +", " ", result.stdout)
    assert f"\ncertificate gateway\n file {path}\n subject CN=gateway\n issuer CN=Middle\n" in shown
    assert re.search(r"\n chain CN=Middle, 36\d days left, until .*\n\nservice", shown)
    dump = operator.accepted(text, "--dump").stdout
    password = operator.directory / "password.txt"
    assert f"\npkcs12 = {path}\npassword_file = {password}\n" in dump
    assert operator.accepted(dump, "--dump").stdout == dump


def test_a_pkcs12_file_that_does_not_open(operator, ca, gateway):
    path = gateway.pkcs12()
    assert "name the file of its password in password_file" in refused_pkcs12(operator, ca, path)
    operator.write("wrong.txt", "wrong one\n").chmod(0o600)
    said = refused_pkcs12(operator, ca, path, password_file="wrong.txt")
    assert said.startswith("mtls-agent.conf:7: ") and "check that password" in said
    assert "wrong one" not in said
    operator.write("password.txt", "secret\n").chmod(0o600)
    good = {"password_file": "password.txt"}
    for name, content in {"empty": b"", "cut": Path(path).read_bytes()[:-10], "garbage": b"no",
                          "pem": Path(gateway.cert).read_bytes(), "der": gateway.der}.items():
        operator.write(name, content).chmod(0o600)
        assert f"mtls-agent.conf:6: {name}: " in refused_pkcs12(operator, ca, name, **good)
    assert "no private key" in refused_pkcs12(operator, ca, gateway.pkcs12("-nokeys"), **good)
    assert "no certificate" in refused_pkcs12(operator, ca, gateway.pkcs12("-nocerts"), **good)
    assert "has no MAC" in refused_pkcs12(operator, ca, gateway.pkcs12("-nomac"), **good)
    assert "not found" in refused_pkcs12(operator, ca, "gone.pfx", **good)


def test_an_identity_has_one_form(operator, ca, gateway):
    path = gateway.pkcs12(password="")
    lines = operator.refused(with_pkcs12(path, ca, cert=gateway.cert, key=gateway.key))
    assert lines == ['mtls-agent.conf:6: the certificate "gateway" has pkcs12 and also cert; give '
                     "pkcs12 alone, or cert and key"]
    lines = operator.refused(with_identity(gateway.cert, None, ca))
    assert lines == ['mtls-agent.conf:5: the certificate "gateway" has no key; add one, as in key '
                     "= /etc/mtls-agent/pki/client.key"]


def test_what_is_only_a_warning(operator, ca, gateway):
    open_key = operator.write("open.key", Path(gateway.key).read_text())
    open_key.chmod(0o644)
    result = operator.accepted(with_identity(gateway.cert, open_key, ca))
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith("mtls-agent.conf:7: warning: ")

    old = ca.issue("old", purpose="client", not_before=timedelta(days=-9),
                   not_after=timedelta(days=-3))
    result = operator.accepted(with_identity(old.cert, old.key, ca))
    assert result.warnings[0].startswith("mtls-agent.conf:6: warning: ")
    assert "expired" in result.warnings[0]
    assert " expired on " in result.stdout

    early = ca.issue("early", purpose="client", not_before=timedelta(days=3),
                     not_after=timedelta(days=9))
    result = operator.accepted(with_identity(early.cert, early.key, ca))
    assert result.warnings[0].startswith("mtls-agent.conf:6: warning: ")
    assert " not valid before " in result.stdout


def test_a_bad_priority(operator, ca):
    text = one_service(ca, tls_mode="tls", priority="NORMAL:-NO-SUCH-THING")
    lines = operator.refused(text)
    assert len(lines) == 1
    assert lines[0].startswith('mtls-agent.conf:6: priority = "NORMAL:-NO-SUCH-THING": ')


def test_a_bad_priority_is_told_with_all_else(operator, ca):
    text = one_service(ca, tls_mode="tls", priority="NORMAL:%VERIFY_ALLOW_BROKEN")
    lines = operator.refused(text + "junk = 1\n")
    assert len(lines) == 2
    assert "how backends are verified" in lines[0]


def test_names_of_any_length_are_told(operator):
    """Those of certificates are listed where one is not known; that once wrote past the list."""
    names = "".join(section(f"certificate {letter * 150}", cert="c", key="k") for letter in "abc")
    lines = operator.refused(names + service("s", 9000, "a.example:1", "ca", certificate="none"))
    assert any(line.endswith("...") and "known: " in line for line in lines), lines


def test_the_journal_hears_of_a_refusal_as_an_error(operator, ca):
    operator.write("mtls-agent.conf", one_service(ca, tls_mode="tls") + "tls_max = 1.1\n")
    reader, writer = os.pipe()
    status = os.fstat(writer)
    env = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    command = [program(), "run", "-c", str(operator.config)]
    assert subprocess.run(command, stderr=writer, env=env, timeout=HANG).returncode == WRONG
    os.close(writer)
    with open(reader) as stream:
        assert all(line.startswith("<3>") for line in stream.read().splitlines())


def test_run_refuses_the_same(operator, ca):
    operator.write("mtls-agent.conf", one_service(ca, tls_mode="tls") + "tls_max = 1.1\n")
    result = subprocess.run([program(), "run", "-c", str(operator.config)], capture_output=True,
                            text=True, timeout=HANG)
    assert result.returncode == WRONG
    assert result.stderr == operator.check().stderr
