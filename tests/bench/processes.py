"""Processes that run where they are told to, and end with this one; free ports; waiting."""

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

_CPUS = sorted(os.sched_getaffinity(0))
UNDER_TEST, THE_REST = _CPUS[0], _CPUS[min(1, len(_CPUS) - 1)]
SPARE_CPUS = _CPUS[2:]
PATIENCE = 20

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class BenchError(Exception):
    """Something did not work; a cell without a figure, not the end of the run."""


def die_with_parent():
    """Has this process ended when the one that forked it ends, however that happens."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_for(condition, what, timeout=PATIENCE, interval=0.01):
    """Waits until `condition()` is true, and returns what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {timeout} s")
        time.sleep(interval)


def free_ports(count):
    """So many free ports of 127.0.0.1, out of those that no outgoing connection is given."""
    first, last = 61000, 65535  # above those, and apart from those that the tests take
    found, port = [], random.randrange(first, last)
    for _ in range(last - first):
        port = port + 1 if port < last else first
        with socket.socket() as sock:
            with contextlib.suppress(OSError):
                sock.bind(("127.0.0.1", port))
                found.append(port)
        if len(found) == count:
            return found
    raise BenchError(f"there are no {count} free ports")


def listening_ports(pid):
    """The TCP ports on which somebody listens in a process's network."""
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    fields = map(str.split, lines)
    return {int(each[1].split(":")[1], 16) for each in fields if each[3] == "0A"}


class Process:
    """A program as a context manager: on these CPUs, in a process group of its own.

    One that `gives_way` runs while nothing else of ours wants its CPU. That takes one session for
    all, since the kernel weighs sessions first (sched(7), autogroup). `network` is the descriptor
    of a network namespace.
    """

    def __init__(
        self, command, directory, cpus=(THE_REST,), gives_way=False, network=None, **pipes
    ):
        self._command = [str(word) for word in command]
        self.directory = Path(directory)
        self._cpus, self._gives_way = cpus, gives_way
        self._network, self._pipes = network, pipes
        self.process = None

    def __enter__(self):
        self._output = open(self.directory / "output", "ab")
        pipes = {
            "stdin": subprocess.DEVNULL,
            "stdout": self._output,
            "stderr": self._output,
            **self._pipes,
        }
        self.process = subprocess.Popen(
            self._command,
            cwd=self.directory,
            process_group=0,
            preexec_fn=self._settle,
            **pipes,
        )
        return self

    def _settle(self):
        die_with_parent()
        os.sched_setaffinity(0, self._cpus)
        if self._gives_way:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        if self._network is not None and _libc.setns(self._network, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    @property
    def pid(self):
        return self.process.pid

    def check_runs(self):
        """Fails when the program has ended, with what it said."""
        if self.process.poll() is not None:
            name = Path(self._command[0]).name
            raise BenchError(f"{name} ended with {self.process.returncode}: {self.said()}")

    def said(self):
        """The last that the program has written."""
        text = (self.directory / "output").read_text(errors="replace")
        return " | ".join(text.strip().splitlines()[-3:])[-500:]

    def signal(self, number):
        self.process.send_signal(number)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._output):
            if pipe:
                pipe.close()


class Server(Process):
    """A program with a configuration in a file; the block begins when all of its ports listen."""

    title = ""

    def __init__(self, command, directory, config, **where):
        super().__init__(command, directory, **where)
        self._config = config

    def text(self):
        """The configuration."""
        raise NotImplementedError

    def ports(self):
        """A set of what is to listen."""
        raise NotImplementedError

    def __enter__(self):
        self.write_config()
        super().__enter__()
        try:
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def write_config(self):
        self._config.write_text(self.text())

    def wait_ready(self):
        """Waits until all ports can be called."""
        wait_for(self._is_ready, f"{self.title}'s start", timeout=60)

    def _is_ready(self):
        self.check_runs()
        return self.ports() <= listening_ports(self.pid)


def family_of(pid):
    """The process ids of a process and of all that come from it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{entry}/stat").read_text()
                parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += parents.get(found[-1], [])
    return found
