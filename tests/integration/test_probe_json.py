"""The JSON of `probe` is what its man page says."""

import re

from harness import probe
from harness.agent import TREE


def test_the_man_page_lists_the_keys():
    """All of them, in their order; tests of everything else compare output with the same lists."""
    page = (TREE / "agent/probe/mtls-agent-probe.8").read_text()
    section = page[page.index(".Sh JSON") : page.index(".Sh ENVIRONMENT")]
    listed = [
        word
        for line in re.findall(r"^\.It Li (.*)$", section, re.M)
        for word in line.replace(" ,", "").split()
    ]
    service = nest(probe.SERVICE_KEYS, dns=probe.DNS_KEYS, http=probe.HTTP_KEYS)
    endpoint = nest(
        probe.ENDPOINT_KEYS, tls=probe.TLS_KEYS, client_certificate=probe.CLIENT_CERTIFICATE_KEYS
    )
    assert listed == [
        *probe.KEYS.split(), *service, *endpoint, *probe.CERTIFICATE_KEYS.split()
    ]


def nest(keys, **inner):
    """The keys, each followed by those of the object that it has."""
    return [word for key in keys.split() for word in (key, *inner.get(key, "").split())]


def test_the_document_is_of_today(tmp_path, ca, gateway):
    text = probe.config(probe.service("backend", 1, 2, ca), certificate=gateway)
    document = probe.Probe(tmp_path, text).json("--no-http")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["time"])
    assert document["services"][0]["http"] is None
