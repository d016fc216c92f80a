"""What all cells of a run share: where to write, the PKI, the programs to call, how long."""

import itertools
import resource
import shutil
import signal
import tempfile
from pathlib import Path

from backend import make_files
from load import compile_load
from pki import KINDS, Identity

TREE = Path(__file__).resolve().parents[2]


class Bench:
    """A context manager; everything it made is gone after it, also after SIGTERM."""

    def __init__(self, agent, seconds, services=1000, idle=(2000, 10000)):
        self.agent, self.seconds = Path(agent).resolve(), seconds
        self.services, self._idle = services, idle
        self._numbers = itertools.count()

    def __enter__(self):
        signal.signal(signal.SIGTERM, _stop)
        signal.signal(signal.SIGHUP, _stop)
        self.directory = Path(tempfile.mkdtemp(prefix="mtls-agent-bench-"))
        try:
            self._prepare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _prepare(self):
        self.descriptors = _raise_descriptor_limit()
        self.idle = [min(count, self._most_connections()) for count in self._idle]
        self.load_program = compile_load(self.directory)
        self.identities = {kind: Identity(self.directory, kind) for kind in KINDS}
        self.files = self.new_directory("files")
        make_files(self.files)

    def sizes(self):
        """The numbers that the report's titles name."""
        few, many = self.idle
        return {"services": f"{self.services:,}", "few": f"{few:,}", "many": f"{many:,}"}

    def _most_connections(self):
        """A connection takes two descriptors, and stunnel keeps some for itself."""
        return self.descriptors * 12 // 25 // 100 * 100

    def new_directory(self, name):
        """A directory of its own for a process."""
        path = self.path(name)
        path.mkdir()
        return path

    def path(self, name):
        """A path that nothing has yet."""
        return self.directory / f"{next(self._numbers)}-{name}"

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)


def _stop(number, _frame):
    raise SystemExit(128 + number)


def _raise_descriptor_limit():
    """As many descriptors as may be, for all that is started from here; returns the number."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
