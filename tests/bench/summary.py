"""Rounds become medians, spreads and ratios, and these are held against what is wanted."""

import statistics
from typing import Callable, NamedTuple

from cells import STORM_RATE
from programs import ALL, Agent, Floor

US, FLOOR = Agent.name, Floor.name
EVERYBODY = [program.name for program in ALL]
PEERS = [name for name in EVERYBODY if name not in (US, FLOOR)]


def _was_logged(figures):
    """Whether the backend's log shows the handshakes of the connections that were made."""
    return 0 < 0.9 * figures.get("connections", 0) <= figures.get("handshakes", 0)


def _was_resumed(figures):
    return _was_logged(figures) and figures["resumed"] > 0.95


def _was_full(figures):
    return _was_logged(figures) and figures["resumed"] == 0


def _was_called(figures):
    """The first of all has no ticket, nor have those that are made ready together with it."""
    called = figures.get("count", 0)
    return 0 < called <= figures.get("handshakes", 0) and figures["resumed"] > 0.9


def _was_stormy(figures):
    return _was_full(figures) and figures["storm_rate"] > 0.95 * STORM_RATE


# What rows say of their connections.
_SAID = {
    "connect/resumed": _was_resumed,
    "connect/full": _was_full,
    "first-byte": _was_called,
    "paced/storm": _was_stormy,
}


class Summary:
    """`figures[row][program]` is a list with a dict of figures for each round."""

    def __init__(self, figures):
        self._figures = figures

    def values(self, row, program, figure):
        """A figure in all rounds that have it."""
        rounds = self._figures.get(row, {}).get(program, [])
        return [each[figure] for each in rounds if figure in each]

    def median(self, row, program, figure):
        """None without any."""
        values = self.values(row, program, figure)
        return statistics.median(values) if values else None

    def spread(self, row, program, figure):
        """Half the range as a share of the median."""
        values = self.values(row, program, figure)
        middle = statistics.median(values) if values else 0
        return (max(values) - min(values)) / 2 / middle if middle else 0

    def of_all(self, row, figure, programs):
        """The medians of those programs that have one."""
        found = {program: self.median(row, program, figure) for program in programs}
        return {program: value for program, value in found.items() if value is not None}

    def ratio(self, row, figure, best=min, peers_row=None):
        """Ours to that of the best peer; None when there is none."""
        ours = self.median(row, US, figure)
        peers = self.of_all(peers_row or row, figure, PEERS).values()
        return ours / best(peers) if ours is not None and peers and best(peers) else None

    def failures(self):
        """What did not work, for people."""
        return sorted(
            {
                f"{row}, {program}: {each['failed']}"
                for row, programs in self._figures.items()
                for program, rounds in programs.items()
                for each in rounds
                if "failed" in each
            }
        )

    def marks(self, row, program):
        """What is to be known about a figure, a character each."""
        most = {
            figure: max(self.values(row, program, figure), default=0)
            for figure in ("errors", "storm_errors")
        }
        others = self.median(row, program, "others") or 0
        return (
            ("!" if any(most.values()) else "")
            + ("?" if not self._is_what_it_says(row, program) else "")
            + ("~" if others > 0.05 else "")
        )

    def _is_what_it_says(self, row, program):
        """Whether each round had the connections that the row says. Those of the floor have no
        handshake."""
        rounds = self._figures.get(row, {}).get(program, [])
        said = next((is_so for name, is_so in _SAID.items() if row.startswith(name)), None)
        if said is None or program == FLOOR:
            return True
        return all(said(each) for each in rounds if "failed" not in each)


class Wanted(NamedTuple):
    """A figure to be reached: `bars(summary)` gives that of each program. What counts is ours to
    the best peer's, or, where it `is_absolute`, ours as it is, and with `below_peers` also that it
    is below each of theirs."""

    title: str
    unit: str
    limit: float
    bars: Callable
    is_absolute: bool = False
    below_peers: bool = False

    def judge(self, summary, sizes):
        """A dict with what is reached, what the bars' limit is, and whether that is good. `sizes`
        are the numbers that titles name."""
        bars = self.bars(summary)
        ours, peers = bars.get(US), [bars[peer] for peer in PEERS if peer in bars]
        best = min(peers, default=None)
        scale = 1 if self.is_absolute else best
        reached = ours / scale if ours is not None and scale else None
        return {
            "title": self.title.format(**sizes),
            "unit": self.unit,
            "bars": bars,
            "limit": self.limit,
            "is_absolute": self.is_absolute,
            "line": self.limit * scale if scale else None,
            "reached": reached,
            "best_peer": best,
            "is_met": None if reached is None else self._is_met(reached, best),
        }

    def _is_met(self, reached, best):
        is_below = not self.below_peers or best is None or reached < best
        return reached <= self.limit and is_below


def _of(row, figure="cpu", scale=1.0):
    def bars(summary):
        medians = summary.of_all(row, figure, EVERYBODY)
        return {program: value * scale for program, value in medians.items()}

    return bars


def _first_bytes(summary):
    cold, warm = (_of(f"first-byte/{how}", "p50_us", 1e-3)(summary) for how in ("cold", "warm"))
    cold.pop(US, None)
    return {**warm, **cold}


def _quotient(above, below, figure):
    def bars(summary):
        one, other = _of(above, figure)(summary), _of(below, figure)(summary)
        return {program: one[program] / other[program] for program in one if other.get(program)}

    return bars


WANTED = [
    Wanted("CPU per keep-alive request, 50 connections", "µs", 0.85, _of("keep-alive/50/100")),
    Wanted("CPU per new connection, resumed, RSA-2048", "µs", 0.55, _of("connect/resumed/rsa")),
    Wanted("CPU per new connection, full, P-256", "µs", 1.0, _of("connect/full/p256")),
    Wanted("CPU per GB, download", "s", 0.8, _of("bulk/download")),
    Wanted("CPU per GB, upload", "s", 0.8, _of("bulk/upload")),
    Wanted("memory per idle connection", "KiB", 0.25, _of("idle/many", "each")),
    Wanted("first byte, new connection, 20 ms link, warm", "ms", 0.4, _first_bytes),
    Wanted(
        "p99 of established connections, storm to quiet", "×", 2.0,
        _quotient("paced/storm", "paced/quiet", "p99_us"), is_absolute=True, below_peers=True,
    ),
    Wanted(
        "CPU per request, 2 workers to 1", "×", 1.15,
        _quotient("workers/2", "workers/1", "cpu"), is_absolute=True,
    ),
    Wanted("CPU to start, {services} services", "ms", 300, _of("services/start"), is_absolute=True),
    Wanted(
        "resident, {services} services", "MiB", 40, _of("services/start", "resident"),
        is_absolute=True,
    ),
]
