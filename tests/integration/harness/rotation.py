"""What a rotation takes: files that change under a running agent in every way in which that is
done, backends that tell which certificate they were shown, and a look at the agent's status."""

import re
import shutil
import ssl
import threading
from pathlib import Path

from cryptography import x509

from .agent import config, section, service
from .backends import TlsBackend, close_quietly, server_context
from .live import Live
from .net import HANG, connect, free_port, recv_until, wait_for
from .pki import key_pem

_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


# Files


def _serial_number(der):
    return f"{x509.load_der_x509_certificate(der).serial_number:x}"


def serial(certificate):
    """How a Teller names the certificate that it was shown."""
    return _serial_number(certificate.der)


def replace(path, content):
    """As careful programs do: a new file, renamed over the old one."""
    path = Path(path)
    fresh = path.with_name(f".{path.name}.new")
    fresh.touch(0o600)
    fresh.write_bytes(content)
    fresh.rename(path)


def rewrite(path, content):
    """As careless ones do: the file itself."""
    Path(path).write_bytes(content)


def bundle(*certificates):
    """The certificates in one PEM."""
    return b"".join(Path(certificate.cert).read_bytes() for certificate in certificates)


class Pair:
    """The files of an identity, below a directory, that begin with a certificate's."""

    def __init__(self, directory, certificate):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.directory / "tls.crt", self.directory / "tls.key"
        self.put(certificate)

    def put(self, certificate, write=replace):
        """Both files, the certificate first."""
        self.put_cert(certificate, write)
        self.put_key(certificate, write)

    def put_cert(self, certificate, write=replace):
        write(self.cert, Path(certificate.cert).read_bytes())

    def put_key(self, certificate, write=replace, password=None):
        if not self.key.exists():
            self.key.touch(0o600)
        write(self.key, key_pem(certificate.private_key, password))


class Secret(Pair):
    """The same as Kubernetes mounts a secret: links to `..data/`, which is a link that is swapped;
    what it led to is removed."""

    def __init__(self, directory, certificate):
        self._count = 0
        super().__init__(directory, certificate)
        for path in (self.cert, self.key):
            path.symlink_to(f"..data/{path.name}")

    def put(self, certificate, write=None):
        self._count += 1
        data = self.directory / "..data"
        fresh = self.directory / f"..2026_11_21_{self._count}"
        fresh.mkdir()
        (fresh / "tls.crt").write_bytes(Path(certificate.cert).read_bytes())
        (fresh / "tls.key").touch(0o600)
        (fresh / "tls.key").write_bytes(key_pem(certificate.private_key))
        old = data.resolve() if data.exists() else None
        link = self.directory / "..data_tmp"
        link.symlink_to(fresh.name)
        link.rename(data)
        if old:
            shutil.rmtree(old)


# Backends


class Teller(TlsBackend):
    """Says to each caller the serial number of the certificate that the agent presented, and then
    sends back what comes. `accepts` are the authorities of the certificates that it takes."""

    def __init__(self, leaf, *accepts, **options):
        self._leaf, self._accepts, self._options = leaf, accepts, options
        super().__init__(self._tell, leaf, **options)
        self._renew()

    def accept(self, *authorities):
        """From now on takes the certificates of these authorities, and no others."""
        self._accepts = authorities
        self._renew()

    def show(self, leaf):
        """From now on presents this certificate."""
        self._leaf = leaf
        self._renew()

    def _renew(self):
        context = server_context(self._leaf, tls=self._options.get("tls"))
        if self._accepts:
            context.load_verify_locations(cadata=bundle(*self._accepts).decode())
            context.verify_mode = ssl.CERT_REQUIRED
        self.context = context

    @staticmethod
    def _tell(connection):
        certificate = connection.tls.getpeercert(True)
        connection.write(f"{_serial_number(certificate) if certificate else 'none'}\n".encode())
        while data := connection.read():
            connection.write(data)
        connection.close_notify()


class Caller:
    """A long-lived connection to a Teller, through the agent."""

    def __init__(self, port):
        self.sock = connect(port)
        self.shown = recv_until(self.sock, b"\n").decode().strip()

    def say(self, text=b"hello\n"):
        """Sends a line and has it back."""
        self.sock.sendall(text)
        assert recv_until(self.sock, b"\n") == text

    def is_over(self):
        """Whether the connection has ended, without a byte to it."""
        self.sock.setblocking(False)
        try:
            return self.sock.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        finally:
            self.sock.settimeout(HANG)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        close_quietly(self.sock)


def shown(port):
    """The serial number that a new connection presents; None when the backend was not reached."""
    try:
        with Caller(port) as caller:
            return caller.shown
    except (OSError, AssertionError):
        return None


def wait_shown(port, certificate, timeout=HANG):
    """Waits until new connections present this certificate."""
    wanted = serial(certificate)
    wait_for(lambda: shown(port) == wanted, timeout, f"port {port} to present {wanted}")


class Steady:
    """Calls a port without a pause, and fails when one call does."""

    def __init__(self, port):
        self.port, self.seen, self.failed = port, [], 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.is_set():
            name = shown(self.port)
            self.failed += name is None
            if name and name not in self.seen:
                self.seen.append(name)

    def __enter__(self):
        self._thread.start()
        wait_for(lambda: self.seen or self.failed, what="the first call")
        return self

    def __exit__(self, kind, *_):
        self._stop.set()
        self._thread.join()
        if kind is None:
            assert self.failed == 0, f"{self.failed} calls have failed"


# The agent


class Rig(Live):
    """An agent with a status socket, an identity, given by the keys of its section, and one service
    for each of the `backends`, {name: port}."""

    def __init__(self, start, directory, identity, ca, backends, agent=None, **keys):
        socket = Path(directory) / "status.sock"
        self.ports = {name: free_port() for name in backends}
        services = [
            service(name, port, backends[name], ca, **keys) for name, port in self.ports.items()
        ]
        text = config(
            section("certificate gateway", **identity),
            *services,
            agent={"status": f"unix:{socket}", **(agent or {})},
            defaults={"certificate": "gateway"},
        )
        super().__init__(start(text), socket)

    @property
    def port(self):
        """That of the first service."""
        return next(iter(self.ports.values()))

    def problem(self):
        """What is wrong with the files of the identity, or None."""
        return self.status()["certificates"][0]["problem"]

    def ca_problem(self):
        return self.status()["cas"][0]["problem"]

    def held(self, name="backend"):
        """Why a service keeps an identity or CAs that are not its files' any more, or None."""
        return self.service(name)["held"]

    def metric(self, family, **labels):
        """The value of the one sample with these labels."""
        status, text = self.ask("GET", "/metrics")
        assert status == 200, text
        found = [
            float(match.group(3))
            for match in map(_SAMPLE.fullmatch, text.splitlines())
            if match and match.group(1) == family
            and labels.items() <= dict(_LABEL.findall(match.group(2) or "")).items()
        ]
        assert len(found) == 1, f"{len(found)} samples of {family} with {labels}"
        return found[0]
