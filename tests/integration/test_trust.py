"""Whom the agent believes: the trust table as live handshakes, in TLS 1.3 and 1.2.

All rows run through one agent. Every backend demands the gateway's certificate and counts what it
decrypts; the caller sends at once, and not one of its bytes may reach a backend that fails.
"""

import socket
import ssl
import time

import pytest
from harness import net
from harness.agent import Agent, config, sanitizer, service
from harness.backends import VERSIONS, Backend, TlsBackend, echo
from harness.net import free_port, in_parallel
from trust_table import ROWS, World

SECRET = b"GET /secret HTTP/1.1\r\n\r\n"
BOTH = ("1.3", "1.2")
SLOWEST = 60 if sanitizer() else 15  # seconds: a guard against hangs, not a measure


class RowBackend(TlsBackend):
    """An echo that presents any certificate at all: OpenSSL would rather not serve the weak ones."""

    def __init__(self, certificate, client_ca, tls):
        Backend.__init__(self, echo)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_ciphers("ALL:@SECLEVEL=0")
        self.context.minimum_version = self.context.maximum_version = ssl.TLSVersion[VERSIONS[tls]]
        self.context.load_cert_chain(certificate.cert, certificate.key)
        self.context.load_verify_locations(client_ca.cert)
        self.context.verify_mode = ssl.CERT_REQUIRED


class Case:
    """One row in one version of TLS: a backend, and the service that leads to it."""

    def __init__(self, row, world, certificate, tls):
        self.row, self.tls = row, tls
        self.name = f"{row.name}-{tls.replace('.', '')}"
        self.port = free_port()
        self.backend = RowBackend(certificate, world.ca, tls)
        self.service = service(
            self.name, self.port, self.backend.port, **row.service_keys(world, certificate)
        )


class Stage:
    """The agent in front of all backends."""

    def __init__(self, directory):
        world = World(directory / "pki")
        made = {row.name: row.make(world) for row in ROWS}
        self.cases = {
            (row.name, tls): Case(row, world, made[row.name], tls)
            for row in ROWS
            for tls in BOTH
        }
        services = [case.service for case in self.cases.values()]
        self.agent = Agent(directory, config(*services, certificate=world.gateway))

    def __enter__(self):
        for case in self.cases.values():
            case.backend.__enter__()
        self.agent.__enter__()
        return self

    def __exit__(self, *exception):
        self.agent.__exit__(*exception)
        in_parallel([case.backend.__exit__ for case in self.cases.values()])


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("trust")) as built:
        yield built


def check_accepted(case, agent):
    with net.connect(case.port) as caller:
        caller.sendall(SECRET)
        caller.shutdown(socket.SHUT_WR)
        assert net.expect_eof(caller) == SECRET
    ended = agent.ended(service=case.name)
    assert ended["reason"] == "ok"
    assert ended["tls"] == case.tls


def check_refused(case, agent):
    # The reset may come as early as the connection.
    with pytest.raises(ConnectionResetError), net.connect(case.port) as caller:
        caller.sendall(SECRET)
        received = caller.recv(1 << 16)
        pytest.fail(f"the caller got {received}, not a reset")
    ended = agent.ended(service=case.name)
    assert (ended["reason"], ended["side"]) == (case.row.expected, "we_refused"), ended
    assert ended["detail"]
    for session in case.backend.wait_over():
        assert session.received == 0
        assert isinstance(session.error, (ssl.SSLError, OSError)), "the backend's handshake passed"


@pytest.mark.parametrize("tls", BOTH)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_trust(stage, row, tls):
    case = stage.cases[row.name, tls]
    started = time.monotonic()
    if row.expected == "ok":
        check_accepted(case, stage.agent)
    else:
        check_refused(case, stage.agent)
    assert time.monotonic() - started < SLOWEST


def test_the_table_is_large_and_says_why():
    assert len({row.name for row in ROWS}) == len(ROWS) >= 60
    assert all(row.why for row in ROWS)
