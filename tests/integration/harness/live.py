"""A running agent and its operator: one who edits the configuration, has it reloaded in each of the
ways there are, and looks at the agent from outside."""

import http.client
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from signal import SIGHUP

from . import sockdiag
from .agent import program
from .net import HANG, connect, wait_for


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the UNIX socket at `path`."""

    def __init__(self, path):
        super().__init__("localhost", timeout=4 * HANG)
        self._path = str(path)

    def connect(self):
        self.sock = connect(self._path, self.timeout)


class Live:
    """An agent that is changed while it runs; `socket` is the path of its status endpoint."""

    def __init__(self, agent, socket):
        self.agent, self.socket = agent, Path(socket)

    # The configuration

    def write(self, text):
        """Another configuration, as a careful editor saves it."""
        fresh = self.agent.config.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.agent.config)

    def line_of(self, text):
        """FILE:LINE of the first line of the configuration that begins so."""
        lines = self.agent.config.read_text().split("\n")
        number = next(i for i, line in enumerate(lines, 1) if line.startswith(text))
        return f"{self.agent.config}:{number}"

    # Reloading

    def reload(self, *arguments):
        """`mtls-agent reload`, ended."""
        arguments = arguments or ("-c", str(self.agent.config))
        return subprocess.run(
            [program(), "reload", *arguments], capture_output=True, text=True, timeout=4 * HANG
        )

    def apply(self, text):
        """Writes another configuration and has it reloaded, which must work; the counts."""
        self.write(text)
        return self.post(200)

    def refuse(self, text):
        """The same for one that must be refused; the faults."""
        self.write(text)
        return self.post(422)["faults"]

    def post(self, status=200):
        """POST /reload, which is to be answered with `status`; the document."""
        answer, body = self.ask("POST", "/reload")
        assert answer == status, f"{answer}: {body}\n{self.agent.dump()[-4000:]}"
        return json.loads(body)

    def hang_up(self):
        """Sends SIGHUP and waits until the log tells what came of it; that line."""
        before = self.outcomes()
        self.agent.signal(SIGHUP)
        wait_for(lambda: len(self.outcomes()) > len(before), what="the reload to end")
        return self.outcomes()[len(before)]

    def outcomes(self):
        """The log's lines about reloads that have ended."""
        return self.agent.all_log(msg=lambda text: text in ("reloaded", "reload refused"))

    # Looking

    def ask(self, method, path):
        """The answer's status and its text."""
        link = UnixConnection(self.socket)
        try:
            link.request(method, path)
            answer = link.getresponse()
            return answer.status, answer.read().decode()
        finally:
            link.close()

    def status(self):
        status, body = self.ask("GET", "/status")
        assert status == 200, body
        return json.loads(body)

    def configuration(self):
        return self.status()["configuration"]

    def service(self, name):
        """What the status says of one service."""
        return next(entry for entry in self.status()["services"] if entry["name"] == name)

    def descriptors(self):
        """How many the agent has open, that of this question included; without those of sessions
        that wait for a caller."""
        status = self.status()
        waiting = sum(entry["warm"]["ready"] for entry in status["services"])
        return status["process"]["open_descriptors"] - waiting

    def connections(self, name):
        return self.service(name)["connections"]


class Installation:
    """The program in a folder of its own, where it can be replaced."""

    def __init__(self, directory, monkeypatch):
        self.path = Path(tempfile.mkdtemp(prefix="bin-", dir=directory)) / "mtls-agent"
        shutil.copy2(program(), self.path)
        monkeypatch.setenv("MTLS_AGENT", str(self.path))

    def upgrade(self):
        """As package managers do: another file under the same name."""
        fresh = self.path.with_suffix(".new")
        shutil.copy2(self.path, fresh)
        fresh.rename(self.path)

    def remove(self):
        self.path.unlink()


class FakeClock:
    """A wall clock of its own for one process, by libfaketime; the monotonic one is real."""

    FOLDERS = ("/usr/lib/*/faketime", "/usr/lib64/faketime", "/usr/lib/faketime")

    def __init__(self, directory):
        self._file = Path(directory) / "clock"
        self.set("+0")

    @classmethod
    def library(cls):
        """Its path, or None where it is not installed."""
        root = Path("/")
        found = (path for folder in cls.FOLDERS
                 for path in root.glob(f"{folder[1:]}/libfaketimeMT.so.1"))
        return next(found, None)

    def set(self, when):
        """"+3650d": so far from the true time. "@1970-01-01 00:00:10": then, and on from there."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(when + "\n")
        os.rename(fresh, self._file)

    def environment(self):
        return {
            "LD_PRELOAD": str(self.library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
        }


def listening_inodes(port):
    """The listening sockets of a TCP port, by their inodes."""
    return sorted(found.inode for found in sockdiag.listeners(port))
