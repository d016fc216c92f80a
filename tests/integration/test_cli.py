"""What a person types, and what it answers."""

import os
import subprocess

import pytest
from harness.agent import program
from harness.net import HANG


def run(*arguments, **options):
    return subprocess.run(
        [program(), *arguments], capture_output=True, text=True, timeout=HANG, **options
    )


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["run", "--help"], ["check", "--help"]])
def test_help_goes_to_stdout(arguments):
    result = run(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert "mtls-agent" in result.stdout and "-c" in result.stdout
    assert all(len(line) <= 100 for line in result.stdout.splitlines())


def test_the_version_names_the_libraries():
    result = run("--version")
    assert (result.returncode, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert first.startswith("mtls-agent ")
    for library in ("GnuTLS 3.", "libuv 1.", "c-ares 1.", "(GnuTLS/3.", "jansson 2."):
        assert library in second


def test_no_subcommand_is_wrong_usage():
    result = run()
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: mtls-agent")


@pytest.mark.parametrize(
    "typed, meant", [("chek", "check"), ("rum", "run"), ("--versoin", "--version")]
)
def test_an_unknown_subcommand_is_answered_with_the_nearest(typed, meant):
    result = run(typed)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"'{typed}'" in result.stderr and f"did you mean '{meant}'?" in result.stderr


def test_an_unknown_subcommand_that_is_near_to_nothing():
    result = run("frobnicate")
    assert result.returncode == 2
    assert "did you mean" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--frobnicate"],
        ["run", "surplus"],
        ["run", "-c"],
        ["run", "-c", "/dev/null", "surplus"],
        ["check", "--frobnicate"],
        ["check", "surplus"],
    ],
)
def test_wrong_arguments_are_refused(arguments):
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr


@pytest.mark.parametrize("option", [["-c"], ["--config"]])
def test_run_refuses_a_configuration_with_an_error(tmp_path, option):
    path = tmp_path / "agent.conf"
    path.write_text("[agent]\nworkres = 2\nlog_level = loud\n")
    result = run("run", *option, str(path))
    assert (result.returncode, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert lines[0].startswith(f"{path}:2: ") and "workers" in lines[0]
    assert lines[1].startswith(f"{path}:3: ")


def test_run_names_a_configuration_that_is_not_there():
    result = run("run", "-c", "/nonexistent/agent.conf")
    assert result.returncode == 2
    assert "/nonexistent/agent.conf" in result.stderr


def test_the_environment_cannot_make_it_write_secrets(tmp_path):
    keys = tmp_path / "keys"
    run("--version", env={**os.environ, "SSLKEYLOGFILE": str(keys)})
    assert not keys.exists()
