"""A TLS backend on the GnuTLS library itself, for what neither Python's ssl nor a server program
does on command: key updates, floods of tickets, renegotiation and re-authentication."""

import ctypes
import socket
import struct
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_void_p

from .backends import Backend, Truncated
from .net import HANG

_SERVER, _NO_SIGNAL = 1, 1 << 6
_CRD_CERTIFICATE, _PEM, _CERT_REQUIRE = 1, 1, 2
_KU_PEER, _SHUT_WR = 1, 1
_AGAIN, _INTERRUPTED, _PREMATURE, _REHANDSHAKE = -28, -52, -110, -37

_lib = None


class _Datum(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("size", c_uint)]


def library():
    """The GnuTLS library, with the types of what is used here."""
    global _lib
    if _lib is None:
        _lib = ctypes.CDLL("libgnutls.so.30")
        for name, arguments in {
            "gnutls_init": [POINTER(c_void_p), c_uint],
            "gnutls_deinit": [c_void_p],
            "gnutls_certificate_allocate_credentials": [POINTER(c_void_p)],
            "gnutls_certificate_free_credentials": [c_void_p],
            "gnutls_certificate_set_x509_key_file": [c_void_p, c_char_p, c_char_p, c_int],
            "gnutls_certificate_set_x509_trust_file": [c_void_p, c_char_p, c_int],
            "gnutls_certificate_server_set_request": [c_void_p, c_int],
            "gnutls_credentials_set": [c_void_p, c_int, c_void_p],
            "gnutls_priority_set_direct": [c_void_p, c_char_p, c_void_p],
            "gnutls_session_ticket_key_generate": [POINTER(_Datum)],
            "gnutls_session_ticket_enable_server": [c_void_p, POINTER(_Datum)],
            "gnutls_session_ticket_send": [c_void_p, c_uint, c_uint],
            "gnutls_session_key_update": [c_void_p, c_uint],
            "gnutls_transport_set_int2": [c_void_p, c_int, c_int],
            "gnutls_handshake": [c_void_p],
            "gnutls_rehandshake": [c_void_p],
            "gnutls_record_send": [c_void_p, c_char_p, c_size_t],
            "gnutls_record_recv": [c_void_p, c_char_p, c_size_t],
            "gnutls_alert_send": [c_void_p, c_int, c_int],
            "gnutls_bye": [c_void_p, c_int],
        }.items():
            getattr(_lib, name).argtypes = arguments
        for name in ("gnutls_record_send", "gnutls_record_recv"):
            getattr(_lib, name).restype = ctypes.c_ssize_t
        _lib.gnutls_transport_set_int2.restype = None
        _lib.gnutls_deinit.restype = None
        _lib.gnutls_strerror_name.restype = c_char_p
    return _lib


class GnutlsError(OSError):
    """A call that failed; `errno` is GnuTLS's code."""


def _call(name, *arguments):
    while True:
        code = getattr(library(), name)(*arguments)
        if code == _PREMATURE:
            raise Truncated
        if code >= 0:
            return code
        if code != _INTERRUPTED:
            raise GnutlsError(code, library().gnutls_strerror_name(code).decode(), name)


class GnutlsBackend(Backend):
    """A TLS server; `handler(connection)` gets a GnutlsConnection after the handshake."""

    def __init__(self, handler, leaf, client_ca, tls="1.3", port=None, host="127.0.0.1"):
        super().__init__(handler, port, host)
        self.priority = f"NORMAL:-VERS-ALL:+VERS-TLS{tls}".encode()
        self._credentials = c_void_p()
        _call("gnutls_certificate_allocate_credentials", byref(self._credentials))
        _call(
            "gnutls_certificate_set_x509_key_file",
            self._credentials, leaf.cert.encode(), leaf.key.encode(), _PEM,
        )
        _call(
            "gnutls_certificate_set_x509_trust_file",
            self._credentials, client_ca.cert.encode(), _PEM,
        )
        self._ticket_key = _Datum()
        _call("gnutls_session_ticket_key_generate", byref(self._ticket_key))

    def handle(self, session):
        connection = GnutlsConnection(session, self)
        try:
            _call("gnutls_handshake", connection.tls)
            session.handshaken.set()
            self.handler(connection)
        finally:
            library().gnutls_deinit(connection.tls)

    def prepare(self, tls):
        """Gives a new session what this backend's sessions have in common."""
        _call("gnutls_credentials_set", tls, _CRD_CERTIFICATE, self._credentials)
        _call("gnutls_priority_set_direct", tls, self.priority, None)
        _call("gnutls_session_ticket_enable_server", tls, byref(self._ticket_key))
        library().gnutls_certificate_server_set_request(tls, _CERT_REQUIRE)


class GnutlsConnection:
    """The server's end of a TLS connection. One thread at a time."""

    def __init__(self, session, backend):
        self.session, self.sock = session, session.sock
        self.sock.setblocking(True)  # GnuTLS waits in the kernel; these bound it
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 4 * HANG, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = c_void_p()
        _call("gnutls_init", byref(self.tls), _SERVER | _NO_SIGNAL)
        backend.prepare(self.tls)
        library().gnutls_transport_set_int2(self.tls, self.sock.fileno(), self.sock.fileno())
        self._buffer = ctypes.create_string_buffer(1 << 14)

    def read(self):
        """Some plaintext, or b"" after close_notify. Raises Truncated."""
        while True:
            try:
                size = _call("gnutls_record_recv", self.tls, self._buffer, len(self._buffer))
            except GnutlsError as error:
                if error.errno in (_AGAIN, _REHANDSHAKE):
                    continue  # a handshake message was handled, or a refused request for one
                raise
            self.session.received += size
            return self._buffer.raw[:size]

    def read_exact(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.read()
            assert part, f"close_notify {size - len(data)} bytes before the end of {size}"
            data += part
        return bytes(data)

    def read_all(self):
        parts = []
        while part := self.read():
            parts.append(part)
        return b"".join(parts)

    def write(self, data):
        data = bytes(data)
        while data:
            data = data[_call("gnutls_record_send", self.tls, data, len(data)) :]

    def close_notify(self):
        _call("gnutls_bye", self.tls, _SHUT_WR)

    def alert(self, number, fatal=True):
        """Sends an alert (RFC 8446 section 6)."""
        _call("gnutls_alert_send", self.tls, 2 if fatal else 1, number)

    def key_update(self):
        """Changes our key and asks the peer to change its own."""
        _call("gnutls_session_key_update", self.tls, _KU_PEER)

    def send_tickets(self, count):
        _call("gnutls_session_ticket_send", self.tls, count, 0)

    def request_renegotiation(self):
        """TLS 1.2: sends a HelloRequest."""
        _call("gnutls_rehandshake", self.tls)
