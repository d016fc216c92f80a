"""What the agent signs, in which of its threads; and a gate at which RSA signatures wait."""

import os
import shutil
import subprocess
from pathlib import Path

from .agent import sanitizer
from .net import wait_for

COMPILER = shutil.which("cc")
_MANY = 4096  # more than ever wait; a pipe takes as many at once


def compile_library(directory):
    """The library that is preloaded into the agent; its path."""
    library = Path(directory) / "signatures.so"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(
        [COMPILER, "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror",
         "-fPIC", "-shared", "-o", str(library), str(source), "-ldl"],
        check=True,
    )
    return library


class Signatures:
    """Those of one agent, which is to be started with `environment()`."""

    def __init__(self, directory, library):
        self._library = library
        self._log, self._gate = Path(directory) / "signatures", Path(directory) / "gate"
        self._log.touch()
        self._tokens = None

    def environment(self):
        env = {
            "LD_PRELOAD": str(self._library),
            "SIGNATURES": str(self._log),
            "GATE": str(self._gate),
        }
        if sanitizer() == "address":  # it would be the first library; nothing here is in its way
            env["ASAN_OPTIONS"] = "detect_leaks=1:verify_asan_link_order=0"
        return env

    def made(self):
        """Pairs of a kind, as "rsa2048" or "ecdsa", and the thread's name: of those that were made,
        and those that wait."""
        return [tuple(line.split()) for line in self._log.read_text().splitlines()]

    def count(self, kind="rsa"):
        return sum(made.startswith(kind) for made, _ in self.made())

    def wait_count(self, count):
        wait_for(lambda: self.count() >= count, what=f"{count} RSA signatures")
        assert self.count() == count, self.made()

    def hold(self):
        """From now on an RSA signature waits."""
        os.mkfifo(self._gate)
        self._tokens = os.open(self._gate, os.O_RDWR)

    def let(self, count):
        """Lets so many of them go on."""
        os.write(self._tokens, b"." * count)

    def release(self):
        """Lets all of them go on, and from now on none waits. Does nothing, where none does."""
        if self._gate.exists():
            self._gate.unlink()
            self.let(_MANY)

    def close(self):
        """To be called when the agent has ended."""
        if self._tokens is not None:
            os.close(self._tokens)
