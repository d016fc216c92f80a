"""A link with a round trip of its own: two network namespaces, a TUN device in each, and a process
between them that delivers every packet late, SYN and FIN too. What is in the namespaces is gone as
soon as the last process in them has ended.

    with Link(0.020) as link:
        link.near, link.far       # descriptors for Process(network=...)
        link.far_host             # the address of the far end, as the near one sees it
"""

import collections
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import time

from processes import THE_REST, BenchError, die_with_parent

NEAR_HOST, FAR_HOST = "10.213.57.1", "10.213.57.2"
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_DEVICE, _MTU = "bench0", 1500
_libc = ctypes.CDLL(None, use_errno=True)


def why_not():
    """Why there can be no link here; empty when there can."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    try:
        with Link(0):
            return ""
    except BenchError as error:
        return str(error)


class Link:
    """A context manager; `round_trip` in seconds."""

    far_host = FAR_HOST

    def __init__(self, round_trip):
        self._one_way = round_trip / 2

    def __enter__(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            _become_link(theirs, self._one_way)
        theirs.close()
        with ours:
            message, descriptors, _, _ = socket.recv_fds(ours, 1000, 2)
        if len(descriptors) != 2:
            os.waitpid(self._pid, 0)
            raise BenchError(f"no link: {message.decode()}")
        self.near, self.far = descriptors
        return self

    def __exit__(self, *_):
        os.close(self.near)
        os.close(self.far)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _become_link(parent, one_way):
    """What the child does; it never returns."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        die_with_parent()
        os.sched_setaffinity(0, {THE_REST})
        near, near_tun = _make_end(NEAR_HOST)
        far, far_tun = _make_end(FAR_HOST)
        socket.send_fds(parent, [b"ready"], [near, far])
        _carry(near_tun, far_tun, one_way)
    except (OSError, subprocess.SubprocessError) as error:
        parent.send(str(error).encode())
    finally:
        os._exit(1)


def _make_end(host):
    """Moves into a new namespace with an end of the link; returns descriptors of both."""
    if _libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", _DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    for words in (
        "link set lo up",
        f"addr add {host}/24 dev {_DEVICE}",
        f"link set {_DEVICE} mtu {_MTU} up",
    ):
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY), tun


class _Way:
    """One direction: packets in the order in which they came, each with the time it is due."""

    def __init__(self, source, sink, delay):
        self.source, self._sink, self._delay = source, sink, delay
        self._packets = collections.deque()

    def read(self):
        while True:
            try:
                packet = os.read(self.source, _MTU + 100)
            except BlockingIOError:
                return
            self._packets.append((time.monotonic() + self._delay, packet))

    def deliver(self):
        """Writes what is due; returns how long the next one has, or None."""
        while self._packets:
            left = self._packets[0][0] - time.monotonic()
            if left > 0:
                return left
            try:
                os.write(self._sink, self._packets.popleft()[1])
            except OSError:
                pass  # a device that is going away, as a packet on a broken link
        return None


def _carry(near, far, one_way):
    ways = [_Way(near, far, one_way), _Way(far, near, one_way)]
    _libc.prctl(29, 1, 0, 0, 0)  # PR_SET_TIMERSLACK: wake up when told to
    while True:
        waits = [left for left in (way.deliver() for way in ways) if left is not None]
        ready = select.select([near, far], [], [], min(waits, default=None))[0]
        for way in ways:
            if way.source in ready:
                way.read()
