"""The documents say what the program does: every key with its default, every reason with its side and
advice, every option, every package; and what they show as an example works."""

import functools
import os
import re
import shutil
import subprocess

import pytest
from harness.agent import TREE, program

SCHEMA = (TREE / "agent/config/schema.c").read_text()
REASONS = (TREE / "agent/base/reason.h").read_text()
README = (TREE / "README.md").read_text()
MANUALS = (
    TREE / "agent/mtls-agent.8",
    TREE / "conf/mtls-agent.conf.5",
    TREE / "agent/probe/mtls-agent-probe.8",
    TREE / "agent/status/mtls-agent-status.8",
    TREE / "agent/status/mtls-agent-metrics.7",
)
MAN_8, MAN_5, MAN_PROBE, MAN_STATUS, MAN_METRICS = (path.read_text() for path in MANUALS)

SECTIONS = {"AGENT": "agent", "CERTIFICATE": "certificate name", "SERVICE": "service name"}
KEYS = [
    (SECTIONS[kind], key) for kind, key in re.findall(r"^ *\{SCHEMA_([A-Z]+),\s*\"(\w+)\"", SCHEMA, re.M)
]
UNAVAILABLE_VALUES = (
    "balance = round-robin",
    "balance = least-connections",
    "address = srv:_orders._tcp.example.com",
    "ca = pkcs11:token=one",
    "ca = tpmkey:uuid=1",
)


def run(*command, status=0):
    """Runs a command that must end with `status`; returns all that it wrote."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == status, done.stdout
    return done.stdout


def check(directory, text, *options):
    """Runs `mtls-agent check` on a configuration of this text."""
    path = directory / "mtls-agent.conf"
    path.write_text(text)
    return subprocess.run(
        [program(), "check", "-c", path, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "CREDENTIALS_DIRECTORY": str(directory / "pki")},
        cwd=directory,
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A directory with the PKI in which the examples' files are."""
    directory = tmp_path_factory.mktemp("documents")
    pki = directory / "pki"
    run(TREE / "scripts/make-test-pki", pki)
    for new, old in ("payments-ca.crt", "ca.crt"), ("mesh-ca.crt", "ca.crt"):
        shutil.copy(pki / old, pki / new)
    for suffix in ".crt", ".key":
        shutil.copy(pki / f"client{suffix}", pki / f"mesh{suffix}")
    return directory


def expect_good(directory, text):
    """Checks an example, its files being those of `directory`, and its group one that is here."""
    text = text.replace("/etc/mtls-agent/", f"{directory}/").replace("www-data", str(os.getegid()))
    done = check(directory, text)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


# The keys


@pytest.fixture(scope="module")
def defaults(directory):
    """What the program takes for each key that a small configuration does not have."""
    text = """[certificate gateway]\ncert = pki/client.crt\nkey = pki/client.key
        [service one]\nlisten = 127.0.0.1:9001\naddress = localhost:1\nca = pki/ca.crt
        certificate = gateway\n"""
    given = set(re.findall(r"(\w+) =", text))
    dump = check(directory, text, "--dump").stdout
    return {key: value for key, value in re.findall(r"^(\w+) = (.*)$", dump, re.M) if key not in given}


@functools.lru_cache
def is_available(directory, section, key):
    said = check(directory, f"[{section}]\n{key} = x\n").stderr
    return f"{key} is not available in this version" not in said


def manual_of(key):
    """What mtls-agent.conf(5) says of a key: as far as the next one."""
    found = re.search(rf"^\.It Ic {key}\n(.*?)(?=^\.It |^\.El)", MAN_5, re.M | re.S)
    return found and found.group(1)


def row_of(key):
    """The cells of a key in the README's table."""
    row = re.search(rf"^\| `{key}` \|(.*?)\|(.*)\|$", README, re.M)
    return row and [cell.strip() for cell in row.groups()]


def test_the_schema_is_understood():
    assert len(KEYS) == SCHEMA.count("{SCHEMA_") > 40


@pytest.mark.parametrize("section, key", KEYS, ids=[key for _, key in KEYS])
def test_every_key_is_documented(directory, defaults, section, key):
    if not is_available(directory, section, key):
        later = MAN_5[MAN_5.index(".Sh NOT AVAILABLE") :].split(".Sh ")[1]
        assert re.search(rf"\b{key}\b", later) and not manual_of(key)
        assert f"`{key}`" in README and not row_of(key)
        return
    manual, row = manual_of(key), row_of(key)
    assert manual and row and row[1]
    if key in defaults:
        assert f"\nDefault:\n.Cm {defaults[key]}\n" in manual
        assert row[0] == f"`{defaults[key]}`"
    else:
        assert re.search(r"^(Required|No default)[.:]", manual, re.M)
        assert ("Required.\n" in manual) == (row[0] == "required")


def test_no_key_is_made_up():
    known = {key for _, key in KEYS}
    assert set(re.findall(r"^\.It Ic (\w+)$", MAN_5, re.M)) <= known
    tables = README[README.index("## Keys") : README.index("## Whom")]
    assert set(re.findall(r"^\| `(\w+)` \|", tables, re.M)) <= known


@pytest.mark.parametrize("line", UNAVAILABLE_VALUES)
def test_values_of_a_later_version(directory, line):
    assert "not available in this version" in check(directory, f"[defaults]\n{line}\n").stderr
    value = re.match(r"\w+:|[\w-]+", line.split(" = ")[1]).group()
    assert value in MAN_5 and value in README


# The reasons


def reasons():
    """(word, sides, advice) of each."""
    rows = re.findall(r'row\((\w+), SIDE_(\w+),[\s\\]*"((?:[^"\\]|\\.)*)"', REASONS)
    sides = {"BY_ALERT": {"we_refused", "they_refused"}}
    return [(word, sides.get(side, {side.lower()}), advice) for word, side, advice in rows]


def letters(text):
    """The text without macros, marks and capitals."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^\.[A-Z][a-z] ", "", text, flags=re.M).lower())


def test_the_reasons_are_understood():
    assert len(reasons()) == len(re.findall(r"^ *row\(", REASONS, re.M)) > 40


@pytest.mark.parametrize("word, sides, advice", reasons(), ids=[row[0] for row in reasons()])
def test_every_reason_is_documented(word, sides, advice):
    item = re.search(rf"^\.It Li {word}\n(.*?)(?=^\.It |^\.El)", MAN_8, re.M | re.S)
    assert item and letters(item.group(1)) == letters(advice)
    heading = MAN_8[: item.start()].rpartition("\n.Ss ")[2].partition("\n")[0]
    assert set(re.findall(r"\b(local|network|we_refused|they_refused|config)\b", heading)) == sides


# The command line


@pytest.mark.parametrize(
    "arguments, manual",
    [
        ("--help", MAN_8),
        ("run --help", MAN_8),
        ("check --help", MAN_8),
        ("probe --help", MAN_PROBE),
        ("status --help", MAN_STATUS),
        ("reload --help", MAN_STATUS),
    ],
    ids=["", "run", "check", "probe", "status", "reload"],
)
def test_every_option_is_in_the_manual(arguments, manual):
    said = run(program(), *arguments.split())
    options = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", said))
    assert "--help" in options
    for option in options:
        assert re.search(rf"\bFl {option[1:]}(?![\w-])", manual), option
    for name in re.findall(r"^  mtls-agent (\w+)", said, re.M):
        assert f"\n.It Cm {name}\n" in MAN_8


# What they show


def indented(heading):
    """The first indented block behind a heading of the README."""
    lines = README[README.index(f"\n## {heading}\n") :].split("\n")[3:]
    block = []
    for line in lines:
        if line and not line.startswith("    "):
            break
        block.append(line[4:])
    return "\n".join(block)


def test_the_configuration_of_the_readme_is_good(directory):
    text = indented("A configuration")
    assert len(text.strip().splitlines()) == 10
    expect_good(directory, text)


def test_the_examples_of_the_manual_are_good(directory):
    examples = MAN_5[MAN_5.index(".Sh EXAMPLES") :]
    blocks = re.findall(r"^\.Bd .*?\n(.*?)^\.Ed", examples, re.M | re.S)
    assert len(blocks) == 3
    expect_good(directory, "\n".join(blocks))


def test_the_readme_names_the_packages():
    script = (TREE / "scripts/install-missing").read_text().replace("\\\n", " ")
    shown = README.replace("\\\n", " ")
    for tool, build in zip(("apt", "dnf"), re.findall(r"^ *build\) echo (.*?);;", script, re.M)):
        packages = re.search(rf"^ *{tool} install (.*)$", shown, re.M).group(1)
        assert packages.split() == build.split()


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"])
def test_links_and_scripts_are_there(name):
    text = (TREE / name).read_text()
    for path in re.findall(r"\]\((?!https:)([^)#]+)\)|`(scripts/[\w-]+)", text):
        assert (TREE / "".join(path)).exists(), path


@pytest.mark.skipif(not shutil.which("mandoc"), reason="needs mandoc")
def test_the_manuals_are_well_formed():
    assert run("mandoc", "-T", "lint", "-W", "warning", *MANUALS) == ""
