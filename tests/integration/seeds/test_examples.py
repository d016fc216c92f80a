"""Every example is accepted as it stands, once its files exist; all of them go together in one
conf.d; and every one is installed, short, and shown by a system of its own."""

import re
import shutil
from pathlib import Path

import pytest
from harness.agent import TREE
from harness.seeds import EXAMPLES, PKI, run

HERE = Path(__file__).parent
FILE = re.compile(r"^(cert|key|ca|pkcs12|password_file) *= *(\S+)$", re.M)

each = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One file of each kind, by the key that names it."""
    made = tmp_path_factory.mktemp("examples") / "pki"
    run(TREE / "scripts/make-test-pki", made)
    password, pfx = made / "password", made / "client.pfx"
    password.write_text("a password\n")
    run("openssl", "pkcs12", "-export", "-in", made / "client.crt", "-inkey", made / "client.key",
        "-passout", f"file:{password}", "-out", pfx)
    for secret in password, pfx:
        secret.chmod(0o600)
    return {
        "cert": made / "client.crt",
        "key": made / "client.key",
        "ca": made / "ca.crt",
        "pkcs12": pfx,
        "password_file": password,
    }


def check(host, made, *examples):
    """Runs `check` on a host with these examples, unchanged but for where the PKI is."""
    for example in examples:
        text = example.read_text()
        for key, path in FILE.findall(text):
            assert path.startswith(PKI), path
            place = Path(path.replace(PKI, f"{host.directory}/pki/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(made[key], place)
        text = text.replace(PKI, f"{host.directory}/pki/")
        (host.directory / "conf.d" / example.name).write_text(text)
    done = host.command("check")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@each
def test_check_accepts_it(host, made, example):
    said = check(host, made, example)
    for service in re.findall(r"^\[service (.*)\]$", example.read_text(), re.M):
        assert f"\nservice {service}\n" in said


def test_check_accepts_them_together(host, made):
    assert " 6 services, 5 certificates, 6 files\n" in check(host, made, *EXAMPLES)


@each
def test_it_is_short_and_says_what_is_special(example):
    lines = example.read_text().splitlines()
    assert len(lines) <= 20 and max(map(len, lines)) <= 100
    assert lines[0].startswith("; ")


@each
def test_a_system_uses_it_and_make_installs_it(example):
    folder = HERE / example.stem.replace("-", "_")
    assert f'"{example.stem}"' in (folder / f"test_{folder.name}.py").read_text()
    assert f"conf/examples/{example.name}" in (TREE / "Makefile.am").read_text()
