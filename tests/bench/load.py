"""What calls the programs: wrk for requests as fast as they go, and our own load.c for the rest."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from processes import BenchError, Process

HERE = Path(__file__).resolve().parent
_SOURCES = ["load.c", "exchange.c", "histogram.c"]
_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


def compile_load(directory):
    """Builds the load generator; returns its path."""
    path = directory / "load"
    sources = [str(HERE / name) for name in _SOURCES]
    command = ["cc", "-std=gnu17", "-O2", "-D_GNU_SOURCE", "-o", str(path), *sources]
    subprocess.run(command, env={**os.environ, "TMPDIR": str(directory)}, check=True)
    return path


class Wrk(Process):
    """wrk on one thread, from the beginning of a block to its end; then `.times` and `.errors`."""

    def __init__(self, directory, port, path, connections, keep):
        close = [] if keep else ["-H", "Connection: close"]
        url = f"http://127.0.0.1:{port}{path}"
        command = ["wrk", "-t1", f"-c{connections}", "-d600", "--latency", *close, url]
        super().__init__(command, directory, stdout=subprocess.PIPE)

    def end(self):
        """Ends it, and takes what it says."""
        self.signal(signal.SIGINT)
        text = self.process.communicate(timeout=20)[0].decode()
        self.times, self.errors = read_wrk(text)


def read_wrk(text):
    """The times that wrk tells of, and how many errors; an answer that took long is none."""
    times = {
        f"p{share}_us": float(number) * _UNITS[unit]
        for share, number, unit in re.findall(r"^ +(50|90|99)% +([\d.]+)(us|ms|s|m) *$", text, re.M)
    }
    if len(times) != 3:
        raise BenchError(f"wrk said: {' '.join(text.split())[-300:]}")
    errors = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    of_sockets = re.search(r"Socket errors: (.*), timeout", text)
    return times, errors + sum(map(int, re.findall(r"\d+", of_sockets[1] if of_sockets else "")))


class Load(Process):
    """load.c as a context manager; `mode` and what it takes are told there."""

    def __init__(self, bench, mode, port, *arguments, **where):
        command = [bench.load_program, mode, port, *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        super().__init__(command, bench.directory, **pipes, **where)

    def ask(self, wanted):
        """In the mode `idle`: has so many connections opened, and returns what is told then."""
        self.process.stdin.write(f"{wanted}\n".encode())
        self.process.stdin.flush()
        return self.result()

    def result(self):
        """The next line of JSON."""
        line = self.process.stdout.readline()
        if not line:
            raise BenchError(f"the load generator ended: {self.said()}")
        return json.loads(line)
