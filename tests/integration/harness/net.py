"""Ports, sockets and waiting: for a condition, never for a time."""

import errno
import hashlib
import random
import resource
import select
import socket
import struct
import threading
import time

from . import sockdiag

HANG = 30  # seconds: longer than anything takes that works; only a hang meets it

_reserved = []  # keeps this process's claims on ports
_claims = threading.Lock()


def raise_descriptor_limit():
    """Lets this process open as many files as it ever may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    """A TCP port that is free on both loopbacks, and that no other test process here gets.

    It lies below the ephemeral ports, so that no outgoing connection can take it. The claim is an
    abstract UNIX socket, which the kernel forgets with this process.
    """
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0mtls-agent-test-port-{port}")
            _check_port_is_free(port)
        except OSError:
            claim.close()
            continue
        with _claims:
            _reserved.append(claim)
        return port


def _check_port_is_free(port):
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise


def wait_for(condition, timeout=HANG, what="the condition"):
    """Returns the first true answer of `condition`; fails when there is none within `timeout`."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        time.sleep(0.005)


def is_listening(port):
    """True when some process listens on this TCP port; does not connect."""
    return len(sockdiag.listeners(port)) > 0


def unread(port, peer_port):
    """How much lies unread at the end at `port` of a TCP connection of this host whose other end is
    at `peer_port`. None when there is no such end: one that was reset is gone at once, one that was
    closed remains until the kernel is done."""
    end = sockdiag.find(port, peer_port)
    return None if end is None else end.unread


def acknowledged(sock):
    """How many bytes the kernel of a TCP connection's other end has taken."""
    return int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)[120:], "little")


def is_readable(sock, seconds=0):
    """True when something, or an end, comes within `seconds`. select() would stop at 1024 files."""
    return _poll(sock, select.POLLIN, seconds)


def is_writable(sock, seconds=0):
    """True when the socket takes something within `seconds`, or has failed."""
    return _poll(sock, select.POLLOUT, seconds)


def _poll(sock, events, seconds):
    poll = select.poll()
    poll.register(sock, events)
    return bool(poll.poll(seconds * 1000))


def connect(where, timeout=HANG, host="127.0.0.1"):
    """Connects to a port, or to the path of a UNIX socket. Every later operation is bounded."""
    if isinstance(where, int):
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        address = (host, where)
    else:
        sock = socket.socket(socket.AF_UNIX)
        address = str(where)
    # Bounded by the kernel: with settimeout() a reset that follows at once would fail connect().
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", timeout, 0))
    try:
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(timeout)
    return sock


def recv_exact(sock, size):
    """Reads exactly `size` bytes; fails when the stream ends before."""
    parts, missing = [], size
    while missing:
        part = sock.recv(min(missing, 1 << 18))
        if not part:
            raise AssertionError(f"the stream ended {missing} bytes before its end of {size}")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def recv_all(sock):
    """Reads to a clean end of file. A reset raises ConnectionResetError."""
    parts = []
    while part := sock.recv(1 << 18):
        parts.append(part)
    return b"".join(parts)


def recv_until(sock, mark):
    """Reads until `mark` has come; returns all that was read."""
    data = bytearray()
    while mark not in data:
        part = sock.recv(1 << 16)
        if not part:
            raise AssertionError(f"the stream ended before {mark!r}: {bytes(data)!r}")
        data += part
    return bytes(data)


def expect_reset(sock):
    """Reads to a reset and returns the bytes that came before it; a clean end of file fails."""
    parts = []
    while True:
        try:
            part = sock.recv(1 << 18)
        except ConnectionResetError:
            return b"".join(parts)
        if not part:
            size = sum(map(len, parts))
            raise AssertionError(f"a clean end of file, not a reset, after {size} bytes")
        parts.append(part)


def expect_no_service(where, say=b""):
    """Calls, says something, and is reset without an answer. The reset may come as early as in
    connect() or send()."""
    try:
        with connect(where) as sock:
            sock.sendall(say)
            assert expect_reset(sock) == b""
    except (ConnectionResetError, BrokenPipeError):
        pass


def expect_eof(sock):
    """Reads to a clean end of file and returns what came before; a reset fails."""
    try:
        return recv_all(sock)
    except ConnectionResetError:
        raise AssertionError("a reset, not a clean end of file") from None


def reset(sock):
    """Closes a TCP socket by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def payload(size, seed=0):
    """Bytes that tell loss, repetition and reordering: random, the same for the same arguments."""
    return random.Random(f"{size}/{seed}").randbytes(size)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Sender(threading.Thread):
    """Sends `data` from a thread of its own, in pieces, and then half-closes if told to.

    `sent` counts what the kernel took; `error` is what stopped it, if anything did.
    """

    def __init__(self, sock, data, piece=1 << 18, half_close=False):
        super().__init__(daemon=True)
        self.sent, self.error = 0, None
        self._sock, self._data, self._piece, self._half_close = sock, data, piece, half_close
        self._stop_it = False
        self.start()

    def run(self):
        view = memoryview(self._data)
        try:
            while self.sent < len(view):
                if self._stop_it:
                    return
                # Never asleep in send(): that would keep the socket open when it is closed.
                if is_writable(self._sock, 0.05):
                    self.sent += self._sock.send(view[self.sent : self.sent + self._piece])
            if self._half_close:
                self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.error = error

    def finish(self):
        """Waits until all is sent; fails with what stopped it."""
        self.join(HANG)
        assert not self.is_alive(), f"sending hangs after {self.sent} of {len(self._data)} bytes"
        if self.error:
            raise self.error

    def stop(self):
        """Gives up where it is."""
        self._stop_it = True
        self.join(HANG)


def in_parallel(calls):
    """Runs all calls at once, each in its own thread; returns their results, or raises the first
    exception of any."""
    results, errors = [None] * len(calls), []

    def run(i, call):
        try:
            results[i] = call()
        except BaseException as error:  # handed to the caller below
            errors.append(error)

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(4 * HANG)
        assert not thread.is_alive(), "a parallel call hangs"
    if errors:
        raise errors[0]
    return results


class Blackhole:
    """A port that drops every SYN: a listening socket whose queue is full and never emptied."""

    def __init__(self, port=None, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.host = host
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port = port or free_port()
        self._listener.bind((host, self.port))
        self._listener.listen(0)
        self._fillers = []

    def __enter__(self):
        wait_for(self._fill_one_more, what="the queue to fill")
        return self

    def _fill_one_more(self):
        sock = socket.socket(self._listener.family, socket.SOCK_STREAM)
        self._fillers.append(sock)
        sock.setblocking(False)
        sock.connect_ex((self.host, self.port))
        return not is_writable(sock, 0.2)

    def __exit__(self, *_):
        for sock in self._fillers:
            sock.close()
        self._listener.close()
