"""The build and what comes with it: what is installed where, what configure says when a library is
missing, how the program is hardened, and the scripts that guard and serve the tree."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from harness.agent import TREE, program

BUILD = Path(program()).resolve().parent
PACKAGES = {
    "gnutls": ("libgnutls28-dev", "gnutls-devel"),
    "inih": ("libinih-dev", "inih-devel"),
    "libuv": ("libuv1-dev", "libuv-devel"),
    "libcares": ("libc-ares-dev", "c-ares-devel"),
    "libcurl": ("libcurl4-gnutls-dev", "libcurl-devel"),
    "jansson": ("libjansson-dev", "jansson-devel"),
    "libmicrohttpd": ("libmicrohttpd-dev", "libmicrohttpd-devel"),
}

needs_makefile = pytest.mark.skipif(
    not (BUILD / "Makefile").exists(), reason="the program is not in the tree that it was built in"
)
needs_configure = pytest.mark.skipif(
    not (TREE / "configure").exists(), reason="./autogen.sh has not run"
)


def run(*command, status=0, **options):
    """Runs a command that must end with `status`; returns all that it wrote."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    assert done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def make(target, root):
    run("make", "-C", BUILD, target, f"DESTDIR={root}", "prefix=/usr", "sysconfdir=/etc")


def files(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def installed(tmp_path):
    make("install", tmp_path)
    return tmp_path


# Installing


@needs_makefile
def test_everything_is_installed_in_its_place(installed):
    assert files(installed) == {
        "etc/mtls-agent/mtls-agent.conf",
        "usr/bin/mtls-agent",
        "usr/lib/systemd/system/mtls-agent.service",
        "usr/lib/systemd/system/mtls-agent.socket",
        "usr/lib/sysusers.d/mtls-agent.conf",
        "usr/share/man/man5/mtls-agent.conf.5",
        "usr/share/man/man7/mtls-agent-metrics.7",
        "usr/share/man/man8/mtls-agent.8",
        "usr/share/man/man8/mtls-agent-probe.8",
        "usr/share/man/man8/mtls-agent-status.8",
        *(
            f"usr/share/doc/mtls-agent/{name}"
            for name in (
                "CHANGELOG.md",
                "CONTRIBUTING.md",
                "LICENSE",
                "README.md",
                "SECURITY.md",
                "examples/mtls-agent.conf",
                "examples/mtls-agent-alerts.yml",
                "examples/alb-console.conf",
                "examples/alb-ingress-cn.conf",
                "examples/alb-ingress.conf",
                "examples/asm-ingress.conf",
                "examples/gateway-console.conf",
            )
        ),
    }
    assert (installed / "etc/mtls-agent/conf.d").is_dir()


@needs_makefile
@pytest.mark.parametrize("kind", ["notify", "notify-reload"])
def test_the_unit_starts_and_reloads_the_program_where_it_was_installed(tmp_path, kind):
    options = [f"DESTDIR={tmp_path}", "prefix=/opt/agent", f"systemd_type={kind}"]
    run("make", "-C", BUILD, "install", *options)
    unit = (tmp_path / "opt/agent/lib/systemd/system/mtls-agent.service").read_text()
    assert "ExecStart=/opt/agent/bin/mtls-agent run\n" in unit
    assert f"Type={kind}\n" in unit
    by_command = "ExecReload=/opt/agent/bin/mtls-agent reload\n" in unit
    assert by_command == (kind == "notify")


@needs_makefile
def test_installing_again_keeps_the_operators_configuration(installed):
    config = installed / "etc/mtls-agent/mtls-agent.conf"
    config.write_text("[agent]\n")
    make("install", installed)
    assert config.read_text() == "[agent]\n"
    make("uninstall", installed)
    assert files(installed) == {"etc/mtls-agent/mtls-agent.conf"}


@needs_makefile
def test_uninstalling_leaves_nothing(installed):
    make("uninstall", installed)
    assert files(installed) == set()


# Configuring


def configure(directory, libraries, status=0, **environment):
    """Configures where only `libraries` are there, by .pc files that say no more than that."""
    for name in libraries:
        text = f"Name: {name}\nDescription: {name}\nVersion: 99\n"
        (directory / f"{name}.pc").write_text(text)
    libdir = {"PKG_CONFIG_LIBDIR": str(directory), "PKG_CONFIG_PATH": ""}
    env = {**os.environ, **libdir, **environment}
    return run(TREE / "configure", cwd=directory, env=env, status=status)


@needs_configure
def test_configure_names_the_packages_of_all_missing_libraries(tmp_path):
    said = configure(tmp_path, [], status=1)
    for debian, fedora in PACKAGES.values():
        assert debian in said and fedora in said


@needs_configure
@pytest.mark.parametrize("library", PACKAGES)
def test_configure_names_the_package_of_one_missing_library(tmp_path, library):
    others = [name for name in PACKAGES if name != library]
    said = configure(tmp_path, others, status=1)
    assert all(package in said for package in PACKAGES[library])
    assert not any(PACKAGES[name][0] in said for name in others)


@needs_configure
def test_configure_wants_libcurl_on_gnutls(tmp_path):
    """One on OpenSSL would bring a second TLS library into the process."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "curl-config").write_text("#!/bin/sh\necho OpenSSL\n")
    (tools / "curl-config").chmod(0o755)
    said = configure(tmp_path, PACKAGES, status=1, PATH=f"{tools}:{os.environ['PATH']}")
    assert "libcurl on GnuTLS, not on OpenSSL" in said and "libcurl4-gnutls-dev" in said


@needs_configure
def test_make_check_names_the_package_of_cmocka(tmp_path):
    configure(tmp_path, PACKAGES)
    said = run("make", "-C", tmp_path, "check-TESTS", "check-local", status=2)
    assert "libcmocka-dev" in said and "libcmocka-devel" in said


# The program


@pytest.mark.skipif(not shutil.which("readelf"), reason="needs readelf")
def test_the_program_is_hardened():
    said = run("readelf", "--wide", "--file-header", "--program-headers", "--dynamic", program())
    assert "DYN (Position-Independent Executable file)" in said
    assert "GNU_RELRO" in said and "BIND_NOW" in said and "Flags: NOW PIE" in said
    stack = next(line for line in said.splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack
    symbols = run("readelf", "--wide", "--dyn-syms", program())
    assert "__stack_chk_fail" in symbols
    assert "_chk@" in symbols.replace("__stack_chk_fail", "")


# What comes with it


def test_the_example_configuration_is_good(tmp_path):
    """As it is installed, and with all of its examples in force."""
    pki = tmp_path / "pki"
    run(TREE / "scripts/make-test-pki", pki)
    (pki / "client.password").write_text("not needed\n")
    text = (TREE / "conf/mtls-agent.conf").read_text().replace("/etc/mtls-agent/pki", str(pki))
    config = tmp_path / "mtls-agent.conf"
    config.write_text("\n".join(line.removeprefix(";") for line in text.splitlines() if line[:2] != "; "))
    assert "order-service" in run(program(), "check", "-c", config)


def test_the_test_pki_is_verified_by_openssl(tmp_path):
    for option, kind in ((), "id-ecPublicKey"), (("--rsa",), "rsaEncryption"):
        pki = tmp_path / kind
        run(TREE / "scripts/make-test-pki", *option, "--server-name", "other.example.com", pki)
        for name, purpose in ("server", "sslserver"), ("client", "sslclient"):
            leaf = pki / f"{name}.crt"
            chain = ["-CAfile", pki / "ca.crt", "-untrusted", pki / "intermediate.crt"]
            run("openssl", "verify", *chain, "-x509_strict", "-purpose", purpose, leaf)
            assert kind in run("openssl", "x509", "-in", leaf, "-noout", "-text")
            assert stat.S_IMODE((pki / f"{name}.key").stat().st_mode) == 0o600
        for host in "localhost", "other.example.com":
            run("openssl", "verify", *chain, "-verify_hostname", host, pki / "server.crt")
        for ip in "127.0.0.1", "::1":
            run("openssl", "verify", *chain, "-verify_ip", ip, pki / "server.crt")


def test_the_test_pki_is_made_whole_or_not_at_all(tmp_path):
    script = TREE / "scripts/make-test-pki"
    assert "300.1.1.1" in run(script, "--server-name", "300.1.1.1", tmp_path, status=1)
    assert not list(tmp_path.iterdir())


def test_the_test_pki_overwrites_only_by_force(tmp_path):
    script = TREE / "scripts/make-test-pki"
    run(script, tmp_path)
    before = (tmp_path / "ca.crt").read_text()
    assert "--force" in run(script, tmp_path, status=1)
    assert (tmp_path / "ca.crt").read_text() == before
    run(script, "--force", tmp_path)
    assert (tmp_path / "ca.crt").read_text() != before


# The house


VIOLATIONS = {
    "agent/tls/upward.c": '#include "worker/worker.h"',
    "agent/worker/keys.c": '#include "config/config.h"',
    "agent/net/sideways.c": '#include "tls/tls.h"',
    "agent/certs/config.c": '# include "config/config.h"',
    "agent/base/gnutls.c": "#include <gnutls/gnutls.h>",
    "agent/control/gnutls.c": "#include <gnutls/x509.h>",
    "agent/config/second.c": "#include <ini.h>",
    "agent/net/loop.h": "#include <uv.h>",
    "agent/worker/names.c": "#include <ares.h>",
    "agent/cli/notify.c": "#include <systemd/sd-daemon.h>",
    "agent/worker/near.c": '#include "relay.h"',
    "agent/attic/old.c": "",
}


@pytest.fixture
def house(tmp_path):
    shutil.copytree(TREE / "agent", tmp_path / "agent", ignore=shutil.ignore_patterns("*.o", "*.a"))
    shutil.copytree(TREE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TREE / "Makefile.am", tmp_path)
    return tmp_path


def test_the_house_is_in_order(house):
    assert run(TREE / "scripts/check-layers", house) == ""


@pytest.mark.parametrize("path", VIOLATIONS)
def test_the_house_tells_of_a_violation(house, path):
    source = house / path
    source.parent.mkdir(exist_ok=True)
    source.write_text(VIOLATIONS[path] + "\n")
    with (house / "agent/Makefile.inc").open("a") as listing:
        listing.write(f"\t{path}\n")
    said = run(TREE / "scripts/check-layers", house, status=1)
    assert said.startswith(path) and said.count("\n") == 1


def test_the_house_tells_of_a_source_that_is_not_built(house):
    (house / "agent/base/forgotten.c").write_text("")
    said = run(TREE / "scripts/check-layers", house, status=1)
    assert said == "agent/base/forgotten.c: is in no list of the build\n"
