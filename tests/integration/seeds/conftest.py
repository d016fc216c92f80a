"""Fixtures of the systems: a gateway host, and DNS of its own."""

import pytest
from harness.dns import DnsServer, PrivateResolver, why_not
from harness.seeds import GatewayHost

WHY_NOT = why_not()


@pytest.fixture
def host(tmp_path, start):
    return GatewayHost(tmp_path / "gateway", start)


@pytest.fixture
def dns(tmp_path, host):
    """A DNS server that the gateway host asks."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    with DnsServer() as server:
        host.see(PrivateResolver(tmp_path / "etc", [server]))
        yield server
