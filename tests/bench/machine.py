"""Where and with what a run was made."""

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

from processes import SPARE_CPUS, THE_REST, UNDER_TEST


def describe(agent, programs):
    """A dict of texts for people."""
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": f"{_cpu_model()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "cpus": f"program under test on CPU {UNDER_TEST}, backend and load on CPU {THE_REST}"
        + (f", the second worker on CPU {SPARE_CPUS[0]}" if SPARE_CPUS else ""),
        "versions": {
            **{program.title: program.version(agent) for program in programs if program.is_tls},
            "wrk": _wrk(),
        },
    }


def _cpu_model():
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found.group(1) if found else platform.machine()


def _wrk():
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return said.split()[1] if said else ""
