"""Fixtures of the integration tests: a PKI, and the agent under test."""

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from harness import net
from harness.agent import Agent, config, sanitizer, service
from harness.live import FakeClock
from harness.pki import Pki

NAMES = {"dns": ["localhost"], "ips": ["127.0.0.1", "::1"]}


def pytest_configure():
    net.raise_descriptor_limit()


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def ca(pki):
    """The authority that both sides trust."""
    return pki.authority("Test CA")


@pytest.fixture(scope="session")
def other_ca(pki):
    """An authority that the other side does not trust."""
    return pki.authority("Another CA")


@pytest.fixture(scope="session")
def leaf(ca):
    """A backend's certificate for localhost, 127.0.0.1 and ::1."""
    return ca.issue("localhost", purpose="server", **NAMES)


@pytest.fixture(scope="session")
def gateway(ca):
    """The gateway's client certificate."""
    return ca.issue("gateway", purpose="client")


@pytest.fixture
def start(tmp_path):
    """start(CONFIG, **options) starts an agent that the end of the test stops."""
    with contextlib.ExitStack() as running:

        def start_agent(config, **options):
            directory = tempfile.mkdtemp(prefix="agent-", dir=tmp_path)
            return running.enter_context(Agent(directory, config, **options))

        yield start_agent


@pytest.fixture
def short_path():
    """A directory whose name is short enough for the path of a UNIX socket."""
    directory = Path(tempfile.mkdtemp(prefix="mtls-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


class Relay:
    """An agent with one service in front of one backend."""

    def __init__(self, agent, port):
        self.agent, self.port = agent, port

    def call(self):
        """A new caller's socket."""
        return net.connect(self.port)

    def ended(self, **fields):
        """The log line of a connection's end."""
        return self.agent.ended(**fields)


@pytest.fixture
def relay(start, ca, gateway):
    """relay(BACKEND, key=value…) starts an agent with one service, `backend`, leading there."""

    def start_relay(backend, agent=None, certificate=gateway, **keys):
        port = net.free_port()
        keys = {**getattr(backend, "keys", {}), **keys}
        text = service("backend", port, getattr(backend, "port", backend), ca, **keys)
        return Relay(start(config(text, certificate=certificate, agent=agent)), port)

    return start_relay


@pytest.fixture
def clock(tmp_path):
    """A wall clock that the test sets."""
    if FakeClock.library() is None:
        pytest.skip("libfaketime is not installed")
    if sanitizer():
        pytest.skip("a sanitizer wants to be the first library")
    return FakeClock(tmp_path)
