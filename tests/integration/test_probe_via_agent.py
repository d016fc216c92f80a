"""`probe --via-agent`: the request goes through the running agent; and no probe disturbs that."""

from datetime import timedelta

import pytest
from harness import servers
from harness.agent import config, service
from harness.backends import Backend, stay_silent
from harness.net import free_port, reset
from harness.probe import HttpsOrigin, Probe

LONG = {"not_after": timedelta(days=400)}


@pytest.fixture(scope="module")
def gateway(ca):
    return ca.issue("gateway", purpose="client", **LONG)


@pytest.fixture
def origin(ca):
    with HttpsOrigin(ca.issue("localhost", dns=["localhost"], **LONG), ca) as server:
        yield server


class ViaAgent:
    """An agent in front of a backend, and a probe of the same configuration."""

    def __init__(self, tmp_path, backend, ca, gateway, listen=None, **keys):
        port = getattr(backend, "port", backend)
        self.listen = listen or free_port()
        self.text = config(service("backend", self.listen, port, ca, **keys), certificate=gateway)
        self.probe = Probe(tmp_path, self.text)

    def diagnose(self, *options):
        return self.probe.diagnose("--via-agent", *options)


def test_through_a_running_agent(tmp_path, start, origin, ca, gateway):
    link = ViaAgent(tmp_path, origin, ca, gateway)
    agent = start(link.text)
    found = link.diagnose("--path", "/404", "--host", "shop.test").expect("ok", None, ": 404")
    assert f"through the agent at 127.0.0.1:{link.listen}" in found.line("http")
    assert found["http"]["via_agent"]
    assert found["http"]["address"] == f"127.0.0.1:{link.listen}"
    assert {(path, head["Host"]) for _, path, head in origin.requests} == {("/404", "shop.test")}
    agent.wait_log(msg="connection ended", service="backend")


def test_through_a_unix_socket(tmp_path, start, origin, ca, gateway, short_path):
    path = f"{short_path}/orders.sock"
    link = ViaAgent(tmp_path, origin, ca, gateway, listen=f"unix:{path}")
    start(link.text)
    link.diagnose().expect("ok", None, f"through the agent at unix:{path}", ": 200")


def test_no_agent_runs(tmp_path, origin, ca, gateway):
    link = ViaAgent(tmp_path, origin, ca, gateway)
    found = link.diagnose()
    found.expect("connect_refused", "network", "is the agent running?", f"127.0.0.1:{link.listen}")
    assert found.endpoint["reason"] == "ok" and "accepted" not in found.line("to do")
    assert "port in `address`" not in found.line("to do"), str(found)
    assert origin.requests == []


def test_no_agent_at_a_unix_socket(tmp_path, origin, ca, gateway, short_path):
    link = ViaAgent(tmp_path, origin, ca, gateway, listen=f"unix:{short_path}/none.sock")
    link.diagnose().expect("connect_refused", "network", "is the agent running?", "none.sock")


def test_an_agent_that_resets(tmp_path, origin, ca, gateway):
    """What listens there resets callers, as an agent with an older configuration may."""

    def slam(sock):
        sock.recv(1)
        reset(sock)

    with Backend(slam) as agent:
        link = ViaAgent(tmp_path, origin, ca, gateway, listen=agent.port)
        found = link.diagnose()
    found.expect("upstream_reset", "network", "through the agent at", "see the agent's log")


def test_something_else_listens_there(tmp_path, origin, ca, gateway):
    def speak(sock):
        sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        stay_silent(sock)

    with Backend(speak) as other:
        link = ViaAgent(tmp_path, origin, ca, gateway, listen=other.port)
        found = link.diagnose()
    assert "not HTTP" in found["http"]["failure"], str(found)


def test_nginx_refuses_through_the_agent(tmp_path, start, ca, other_ca, leaf):
    stranger = other_ca.issue("gateway", purpose="client", **LONG)
    with servers.Nginx(tmp_path, leaf, ca) as backend:
        link = ViaAgent(tmp_path, backend, ca, stranger)
        start(link.text)
        found = link.diagnose()
    found.expect("client_cert_untrusted", "they_refused", "The SSL certificate error")


def test_a_bad_backend_is_not_asked_through_the_agent(tmp_path, start, ca, other_ca, gateway):
    leaf = other_ca.issue("localhost", dns=["localhost"])
    with HttpsOrigin(leaf, ca) as origin:
        link = ViaAgent(tmp_path, origin, ca, gateway)
        start(link.text)
        found = link.diagnose().expect("cert_untrusted", "we_refused")
        assert origin.requests == [] and found["http"] is None


def test_a_probe_does_not_disturb_the_agent(tmp_path, start, origin, ca, gateway):
    """It opens nothing that the agent has, and its sessions are no callers."""
    link = ViaAgent(tmp_path, origin, ca, gateway, prewarm=0)  # descriptors are counted
    agent = start(link.text)
    agent.wait_log(msg="ready")
    before = agent.fds(), len(agent.log)
    for _ in range(3):
        link.probe.diagnose().expect("ok")
    assert (agent.fds(), len(agent.log)) == before, agent.dump()
    link.diagnose().expect("ok")
    agent.wait_logs(2, msg="connection ended", reason="ok")
