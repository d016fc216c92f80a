"""An identity from a PKCS#12 file and its password file, as consoles hand them out: towards real
servers that know only the root, so that the chain in the file must have been presented."""

import subprocess

import pytest
from harness import servers
from harness.agent import config, section, service
from harness.net import connect, expect_no_service, free_port

FORMS = {"modern": (), "legacy": ("-legacy",)}
ENDINGS = {"lf": "\n", "crlf": "\r\n", "bare": ""}


def options_of(form):
    """The openssl command's options for it; skips where OpenSSL does not have it."""
    probe = ["openssl", "list", "-providers", "-provider", "legacy"]
    if form == "legacy" and subprocess.run(probe, capture_output=True).returncode != 0:
        pytest.skip("OpenSSL's legacy provider is not installed")
    return FORMS[form]


@pytest.fixture
def password_file(tmp_path):
    """password_file(TEXT) writes a file that only its owner may read."""

    def write(text):
        path = tmp_path / "password.txt"
        path.write_bytes(text.encode())
        path.chmod(0o600)
        return path

    return write


@pytest.fixture
def serve(tmp_path):
    """serve(NAME, leaf, client_ca, tls) makes a server of the harness, not yet started."""

    def make(name, *args):
        server = servers.ALL[name]
        if not servers.is_installed(server):
            pytest.skip(f"{name} is not installed")
        return server(tmp_path, *args)

    return make


@pytest.fixture
def relay_with(start):
    """relay_with(SERVER, CA, key=value…) starts an agent with this identity; returns it, and the
    port where it leads to the server."""

    def start_relay(server, ca, **identity):
        port = free_port()
        text = section("certificate gateway", **identity) + service(
            "backend", port, server.port, ca, certificate="gateway", **server.keys)
        return start(config(text)), port

    return start_relay


def ask(server, port):
    """One exchange through the agent."""
    with connect(port) as sock:
        assert server.dialect(sock).ask(b"hello") == b"hello"


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("name", ["nginx", "s_server"])
@pytest.mark.parametrize("key", ["p256", "rsa2048"])
@pytest.mark.parametrize("form", FORMS)
def test_the_chain_is_presented(
        serve, relay_with, password_file, ca, leaf, form, key, name, tls):
    client = ca.intermediate("Client CA").issue("gateway", purpose="client", key=key)
    path = client.pkcs12(*options_of(form))
    with serve(name, leaf, ca, tls) as server:
        _, port = relay_with(server, ca, pkcs12=path, password_file=password_file("secret\n"))
        ask(server, port)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_end_of_the_password_file(serve, relay_with, password_file, ca, leaf, gateway, ending):
    path = gateway.pkcs12()
    password = password_file("secret" + ENDINGS[ending])
    with serve("s_server", leaf, ca, "1.3") as server:
        _, port = relay_with(server, ca, pkcs12=path, password_file=password)
        ask(server, port)


def test_without_a_password(serve, relay_with, ca, leaf, gateway):
    with serve("s_server", leaf, ca, "1.3") as server:
        _, port = relay_with(server, ca, pkcs12=gateway.pkcs12(password=""))
        ask(server, port)


def test_nothing_but_the_chain_of_the_file_is_presented(
        serve, relay_with, password_file, ca, leaf):
    """The servers above would have refused a client whose intermediate is missing."""
    client = ca.intermediate("Client CA").issue("gateway", purpose="client", chain=())
    path = client.pkcs12()
    with serve("s_server", leaf, ca, "1.3") as server:
        agent, port = relay_with(server, ca, pkcs12=path, password_file=password_file("secret"))
        expect_no_service(port, b"hello")
        agent.ended(reason="client_cert_untrusted", side="they_refused")


def test_no_certificate_of_the_file_is_trusted(serve, relay_with, password_file, ca, other_ca):
    """Neither the root in it, nor the intermediate, under which the backend is."""
    middle = other_ca.intermediate("Client CA")
    path = middle.issue("gateway", purpose="client").pkcs12("-certfile", other_ca.cert)
    leaf = middle.issue("localhost", dns=["localhost"])
    with serve("s_server", leaf, other_ca, "1.3") as server:
        agent, port = relay_with(server, ca, pkcs12=path, password_file=password_file("secret"))
        expect_no_service(port, b"hello")
        agent.ended(reason="cert_untrusted", side="we_refused")
