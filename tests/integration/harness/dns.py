"""A DNS server on loopback whose answers a test sets and changes at run time.

Speaks UDP and TCP (RFC 1035). An unknown name is NXDOMAIN. `PrivateResolver` gives one process its
own /etc/resolv.conf and /etc/hosts that point here.
"""

import ctypes
import os
import random
import socket
import struct
import threading
from pathlib import Path

from .net import HANG, wait_for

A, CNAME, AAAA = 1, 5, 28
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
_TC, _ANSWER_FLAGS = 0x0200, 0x8180


class Zone:
    """What the server knows of one name."""

    def __init__(
        self,
        addresses=(),
        cname=None,
        ttl=60,
        rcode=NOERROR,
        silent=False,
        truncate=False,
        only=None,
    ):
        self.addresses = list(addresses)
        self.cname, self.ttl, self.rcode = cname, ttl, rcode
        self.silent, self.truncate = silent, truncate
        self.only = only  # answers this type alone, and leaves the other unanswered


class DnsServer:
    """`host` is 127.0.0.x on port 53, so that a resolv.conf can name it."""

    def __init__(self, host=None):
        self.host = host or _free_host()
        self.queries = []  # (name, type, "udp" or "tcp")
        self._zones = {}
        self._news = threading.Lock()
        self._sockets = []

    # What it answers

    def set(self, name, *addresses, **zone):
        """`name` has these addresses, IPv4 and IPv6, or is otherwise as Zone says."""
        with self._news:
            self._zones[name.lower()] = Zone(addresses, **zone)

    def count(self, name=None, qtype=None, transport=None):
        """How many questions came that match."""
        wanted = (name, qtype, transport)
        with self._news:
            return sum(
                all(w is None or w == q for w, q in zip(wanted, query)) for query in self.queries
            )

    def wait_for_queries(self, count, timeout=HANG, **wanted):
        wait_for(lambda: self.count(**wanted) >= count, timeout, f"{count} questions for {wanted}")

    # Life

    def start(self):
        """Begins to listen. Before that, and after stop(), the port refuses."""
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind((self.host, 53))
        tcp.bind((self.host, 53))
        tcp.listen(16)
        self._sockets = [udp, tcp]
        self._threads = [
            threading.Thread(target=self._serve_udp, args=(udp,), daemon=True),
            threading.Thread(target=self._serve_tcp, args=(tcp,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        for sock in self._sockets:
            # A blocked accept() or recvfrom() sleeps through close(), but not through shutdown().
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        for thread in self._threads if self._sockets else []:
            thread.join(HANG)
        self._sockets = []

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _serve_udp(self, sock):
        while True:
            try:
                query, client = sock.recvfrom(4096)
                if not query:
                    return
                answer = self._answer(query, "udp")
                if answer:
                    sock.sendto(answer, client)
            except OSError:
                return

    def _serve_tcp(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_stream, args=(sock,), daemon=True).start()

    def _serve_stream(self, sock):
        with sock:
            try:
                while size := sock.recv(2, socket.MSG_WAITALL):
                    query = sock.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL)
                    answer = self._answer(query, "tcp")
                    if answer:
                        sock.sendall(struct.pack(">H", len(answer)) + answer)
            except OSError:
                pass

    # Messages

    def _answer(self, query, transport):
        name, qtype, question = _read_question(query)
        with self._news:
            self.queries.append((name, qtype, transport))
            zone = self._zones.get(name, Zone(rcode=NXDOMAIN))
            if zone.silent or (zone.only and zone.only != qtype):
                return None
            cut = zone.truncate and transport == "udp"
            rcode, records = (NOERROR, []) if cut else self._records(name, qtype)
        flags = _ANSWER_FLAGS | rcode | (_TC if cut else 0)
        header = query[:2] + struct.pack(">5H", flags, 1, len(records), 0, 0)
        return header + question + b"".join(records)

    def _records(self, name, qtype):
        """The answer section: CNAMEs followed as a recursive resolver does, loops cut."""
        records, seen = [], set()
        while name not in seen:
            seen.add(name)
            zone = self._zones.get(name, Zone(rcode=NXDOMAIN))
            if zone.cname:
                records.append(_record(name, CNAME, zone.ttl, _encode(zone.cname)))
                name = zone.cname.lower()
                continue
            for address in zone.addresses:
                kind = AAAA if ":" in address else A
                if kind == qtype:
                    family = socket.AF_INET6 if kind == AAAA else socket.AF_INET
                    data = socket.inet_pton(family, address)
                    records.append(_record(name, kind, zone.ttl, data))
            return zone.rcode, records
        return NOERROR, records


def _free_host():
    """An address of 127/8 whose port 53 nobody has."""
    while True:
        host = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((host, 53))
            return host
        except PermissionError:
            raise
        except OSError:
            continue


def _read_question(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii"))
        at += 1 + query[at]
    (qtype,) = struct.unpack(">H", query[at + 1 : at + 3])
    return ".".join(labels).lower(), qtype, query[12 : at + 5]


def _encode(name):
    labels = name.rstrip(".").split(".")
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels) + b"\0"


def _record(name, kind, ttl, data):
    return _encode(name) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


# A process of its own view

_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


class PrivateResolver:
    """/etc/resolv.conf and /etc/hosts as one process sees them, as files that a test may rewrite.

    `enter` is for the new process to call before it becomes the program; it needs root.
    """

    def __init__(self, directory, servers, hosts="", options=""):
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.resolv_conf, self.hosts = directory / "resolv.conf", directory / "hosts"
        self.point_to(servers, options)
        self.hosts.write_text(hosts)
        self._switch = directory / "nsswitch.conf"
        self._switch.write_text("hosts: files dns\n")

    def point_to(self, servers, options=""):
        """The resolvers from now on; the file stays the same one, only its text changes."""
        text = "".join(f"nameserver {getattr(s, 'host', s)}\n" for s in servers)
        self.resolv_conf.write_text(text + options)

    def enter(self):
        _check(_libc.unshare(_CLONE_NEWNS))
        _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))
        for file in (self.resolv_conf, self.hosts, self._switch):
            target = f"/etc/{file.name}"
            if os.path.exists(target):
                _check(_libc.mount(str(file).encode(), target.encode(), None, _MS_BIND, None))


def _check(result):
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def why_not():
    """Why tests with a DNS server of their own cannot run here; None when they can."""
    if os.geteuid() != 0:
        return "a resolver of its own needs root: port 53 and a mount namespace"
    pid = os.fork()
    if pid == 0:
        os._exit(0 if _libc.unshare(_CLONE_NEWNS) == 0 else 1)
    return None if os.waitpid(pid, 0)[1] == 0 else "mount namespaces are not permitted here"
