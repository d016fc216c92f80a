"""The trust table by `probe`: the same word for each row as in the agent's log, with evidence."""

import contextlib

from harness.agent import config
from harness.probe import Probe
from test_trust import BOTH, Case
from trust_table import BOUNDS, ROWS, World


def fault_of(row, tls, found):
    """What is not as the row says; None when all is."""
    if row.expected == "ok":
        good = (found.verdict, found.endpoint["tls"]["version"]) == ("ok", tls)
    else:
        good = (found.verdict, found.side) == (row.expected, "we_refused")
        good = good and found.line("why") and not found.endpoint["client_certificate"]["sent"]
    return None if good else f"{row.name} is {row.expected} in TLS {tls}:\n{found.text}"


def test_the_trust_table(tmp_path):
    """By one probe. The rows of huge certificates are left out: a sanitizer takes seconds for each,
    in which no other service is heard."""
    world = World(tmp_path / "pki")
    rows = [row for row in ROWS if row not in BOUNDS]
    made = {row.name: row.make(world) for row in rows}
    cases = [Case(row, world, made[row.name], tls) for row in rows for tls in BOTH]
    with contextlib.ExitStack() as backends:
        for case in cases:
            backends.enter_context(case.backend)
        text = config(*(case.service for case in cases), certificate=world.gateway)
        found = Probe(tmp_path, text).diagnose_all("--no-http")
        assert not any(part.received for case in cases for part in case.backend.sessions)
    faults = [fault_of(case.row, case.tls, found[case.name]) for case in cases]
    assert len(faults) > 100 and not any(faults), "\n".join(filter(None, faults))
