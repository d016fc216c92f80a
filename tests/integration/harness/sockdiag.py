"""The kernel's TCP sockets, asked for one by one (sock_diag(7)). /proc/net/tcp tells the same, but
it goes through each connection that ended within the last minute, and tests leave thousands."""

import os
import socket
import struct
from typing import NamedTuple

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
TCP_LISTEN = 10
ANY_STATE = 0xFFFFFFFF
LOOPBACK = socket.inet_aton("127.0.0.1")

HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, number, sender
REQUEST = struct.Struct("=BBBxI")  # struct inet_diag_req_v2: family, protocol, extras, states
IDENTITY = struct.Struct("!HH16s16s4x8s")  # struct inet_diag_sockid: ports, addresses, cookie
ANSWER = struct.Struct("=xB2x2s46x4xI8xI")  # struct inet_diag_msg: state, port, unread, inode
ERROR = struct.Struct("=i")
NO_COOKIE = b"\xff" * 8


class Socket(NamedTuple):
    state: int
    port: int
    unread: int  # bytes; of a listener: connections that wait to be accepted
    inode: int


def find(port, peer_port):
    """The end at `port` of a TCP connection of 127.0.0.1 whose other end is at `peer_port`, or None
    when there is no such end: the kernel answers with the listener then, if there is one."""
    identity = IDENTITY.pack(port, peer_port, LOOPBACK, LOOPBACK, NO_COOKIE)
    try:
        found = next(_ask(socket.AF_INET, ANY_STATE, identity))
    except FileNotFoundError:
        return None
    return None if found.state == TCP_LISTEN else found


def listeners(port):
    """The listening sockets of a TCP port, whatever their addresses."""
    identity = IDENTITY.pack(port, 0, b"", b"", NO_COOKIE)
    return [
        found
        for family in (socket.AF_INET, socket.AF_INET6)
        for found in _ask(family, 1 << TCP_LISTEN, identity, NLM_F_DUMP)
    ]


def _ask(family, states, identity, flags=0):
    request = REQUEST.pack(family, socket.IPPROTO_TCP, 0, states) + identity
    size = HEADER.size + len(request)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.send(HEADER.pack(size, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | flags, 0, 0) + request)
        while True:
            for kind, body in _messages(kernel.recv(1 << 16)):
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    (code,) = ERROR.unpack_from(body)
                    raise OSError(-code, os.strerror(-code))
                state, port, unread, inode = ANSWER.unpack_from(body)
                yield Socket(state, int.from_bytes(port, "big"), unread, inode)


def _messages(data):
    while data:
        size, kind, *_ = HEADER.unpack_from(data)
        yield kind, data[HEADER.size : size]
        data = data[size + -size % 4 :]
