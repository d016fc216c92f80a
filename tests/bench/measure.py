"""What a program costs: CPU time in nanoseconds of all its processes and threads, and memory."""

import contextlib
import os
import re
import time
from pathlib import Path

from processes import UNDER_TEST, family_of

_TICK = 1 / os.sysconf("SC_CLK_TCK")


def _clock_of(pid):
    """The id of the clock that tells user and system time of a process, all its threads, also
    those that have ended; see clock_getcpuclockid(3)."""
    return ~pid << 3 | 2


def cpu_seconds(pid):
    """User and system time of a process and its descendants so far, also of those that it has
    waited for."""
    total = 0.0
    for each in family_of(pid):
        with contextlib.suppress(OSError):
            total += time.clock_gettime_ns(_clock_of(each)) / 1e9
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[13]) + int(fields[14])) * _TICK
    return total


def busy_seconds(cpu=UNDER_TEST):
    """How long a CPU has been busy so far, with anything."""
    fields = re.search(rf"^cpu{cpu} (.*)$", Path("/proc/stat").read_text(), re.M).group(1).split()
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) * _TICK


def _rollup(pid, field):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1))


def pss_kib(pid):
    """Memory of a process and its descendants; what is shared counts in parts."""
    return sum(_rollup(each, "Pss") for each in family_of(pid))


def resident_kib(pid):
    """Resident memory of a process; of several, what they share among themselves counts once."""
    family = family_of(pid)
    return max(pss_kib(pid), *(_rollup(each, "Rss") for each in family))


class Span:
    """What a program used between the beginning and the end of a block."""

    def __init__(self, pid):
        self._pid = pid

    def __enter__(self):
        self._busy, self._cpu, self._time = self._read()
        return self

    def _read(self):
        return busy_seconds(), cpu_seconds(self._pid), time.monotonic()

    def __exit__(self, *_):
        busy, cpu, now = self._read()
        self.cpu, self.seconds = cpu - self._cpu, now - self._time
        self.others = max(0.0, busy - self._busy - self.cpu) / self.seconds
