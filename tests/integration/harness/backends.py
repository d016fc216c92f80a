"""Backends written here, because no real server behaves so badly: TLS with every step under the
test's control, bare TCP, and the plaintext services that stand behind the real servers."""

import contextlib
import errno
import http.server
import socket
import ssl
import threading

from .net import HANG, digest, free_port, payload, reset, wait_for

VERSIONS = {"1.0": "TLSv1", "1.1": "TLSv1_1", "1.2": "TLSv1_2", "1.3": "TLSv1_3"}
_BACKLOG = 1024


class Truncated(Exception):
    """The stream ended without close_notify."""


class Session:
    """One connection that a backend accepted."""

    def __init__(self, sock, peer):
        self.sock, self.peer = sock, peer
        self.received = 0  # bytes of plaintext (of anything, for a bare TCP backend)
        self.handshaken = threading.Event()
        self.over = threading.Event()  # its handler has returned
        self.error = None  # what ended its handler, if not a return
        self.released = threading.Event()  # the test is over: for handlers that hold a connection


class Backend:
    """Accepts TCP connections and gives each, in a thread of its own, to `handler(sock)`.

    `sessions` lists all connections so far. Sockets are closed when their handler returns.
    """

    def __init__(self, handler, port=None, host="127.0.0.1"):
        self.handler, self.host = handler, host
        self.port = port or free_port()
        self.sessions = []
        self._news = threading.Condition()
        self._listener = socket.create_server(
            (host, self.port),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
            backlog=_BACKLOG,
        )

    def __enter__(self):
        self._doorman = threading.Thread(target=self._accept, daemon=True)
        self._doorman.start()
        return self

    def _accept(self):
        while True:
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return
            sock.settimeout(4 * HANG)
            session = Session(sock, peer)
            with self._news:
                self.sessions.append(session)
                self._news.notify_all()
            threading.Thread(target=self._serve, args=(session,), daemon=True).start()

    def _serve(self, session):
        try:
            self.handle(session)
        except (OSError, ssl.SSLError, Truncated, AssertionError) as error:
            session.error = error
        finally:
            close_quietly(session.sock)
            with self._news:
                session.over.set()
                self._news.notify_all()

    def handle(self, session):
        self.handler(CountingSocket(session))

    @property
    def used(self):
        """The connections on which something was received: of a TLS backend, plaintext."""
        return [session for session in self.sessions if session.received > 0]

    def wait_sessions(self, count=1, timeout=HANG):
        """Waits until so many connections were accepted; returns all of them."""
        what = f"{count} connections at the backend"
        wait_for(lambda: len(self.sessions) >= count, timeout, what)
        return self.sessions

    def wait_over(self, count=1, timeout=HANG):
        """Waits until the handlers of so many connections have returned; returns those."""

        def over():
            done = [session for session in self.sessions if session.over.is_set()]
            return done if len(done) >= count else None

        return wait_for(over, timeout, f"{count} connections at the backend to be over")

    def __exit__(self, *_):
        # Nobody is let in while those who are in are sent away: an agent comes back at once.
        _shut_down(self._listener)
        self._doorman.join(HANG)
        self._listener.close()
        for session in self.sessions:
            session.released.set()
            _shut_down(session.sock)
        for session in self.sessions:
            session.over.wait(HANG)


def _shut_down(sock):
    """Closing alone would not wake a thread that sleeps in accept() or recv()."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def close_quietly(sock):
    try:
        sock.close()
    except OSError as error:
        if error.errno not in (errno.ECONNRESET, errno.ENOTCONN):
            raise


class CountingSocket:
    """A socket that counts, in its session, what it receives."""

    def __init__(self, session):
        self.session, self.sock = session, session.sock

    def recv(self, size):
        data = self.sock.recv(size)
        self.session.received += len(data)
        return data

    def __getattr__(self, name):
        return getattr(self.sock, name)


def server_context(leaf, client_ca=None, tls=None, ciphers=None, alpn=None, session_tickets=2):
    """A server's ssl.SSLContext. With `client_ca` a client certificate is demanded; `tls` is a
    version or a pair of them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.cert, leaf.key)
    context.num_tickets = session_tickets
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # truncation must not look like close_notify
    if client_ca:
        context.load_verify_locations(getattr(client_ca, "cert", client_ca))
        context.verify_mode = ssl.CERT_REQUIRED
    if tls:
        low, high = (tls, tls) if isinstance(tls, str) else tls
        context.minimum_version = ssl.TLSVersion[VERSIONS[low]]
        context.maximum_version = ssl.TLSVersion[VERSIONS[high]]
    if ciphers:
        context.set_ciphers(ciphers)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


class TlsConnection:
    """The server's end of a TLS connection, each step of its end under control.

    One thread may read while another writes.
    """

    def __init__(self, session, context):
        self.session, self.sock = session, session.sock
        self._in, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self.outgoing, server_side=True)
        self._tls_lock, self._send_lock = threading.Lock(), threading.Lock()

    def handshake(self):
        self._until_done(self.tls.do_handshake)
        self.session.handshaken.set()

    def read(self, size=1 << 18):
        """Some plaintext, or b"" after close_notify. Raises Truncated, or ConnectionResetError."""
        try:
            data = self._until_done(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            if error.reason == "UNEXPECTED_EOF_WHILE_READING":
                raise Truncated from None
            raise
        self.session.received += len(data)
        return data

    def read_exact(self, size):
        parts, missing = [], size
        while missing:
            part = self.read(min(missing, 1 << 18))
            assert part, f"close_notify {missing} bytes before the end of {size}"
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def read_all(self):
        """All plaintext up to close_notify."""
        parts = []
        while part := self.read():
            parts.append(part)
        return b"".join(parts)

    def write(self, data, piece=1 << 16):
        view = memoryview(data)
        for start in range(0, len(view), piece):
            with self._tls_lock:
                self.tls.write(view[start : start + piece])
            self._flush()

    def begin_write(self, data):
        """Writes in a thread, which is returned, and ends when the peer has gone, too."""

        def write():
            with contextlib.suppress(OSError):
                self.write(data)

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        return writer

    def close_notify(self):
        """Ends our direction; the other goes on."""
        with self._tls_lock:
            try:
                self.tls.unwrap()
            except ssl.SSLError:
                pass  # the peer's close_notify has not come: just what is wanted
        self._flush()

    def fin(self):
        """Ends our TCP stream as it stands, without close_notify."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        reset(self.sock)

    def wait_closed(self):
        """Reads until the peer has closed its TCP stream; returns "close_notify", "eof" or "reset",
        whichever came first."""
        first = None
        try:
            while self.read():
                pass
            first = "close_notify"
            while self.sock.recv(1 << 16):
                pass
        except Truncated:
            first = "eof"
        except (ConnectionResetError, BrokenPipeError):
            first = first or "reset"
        return first

    def _until_done(self, step):
        while True:
            try:
                with self._tls_lock:
                    answer = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
                continue
            except ssl.SSLError:
                self._flush()  # our alert
                raise
            self._flush()
            return answer

    def _flush(self):
        # The send lock is taken first, so that records leave in the order in which they were made.
        with self._send_lock:
            with self._tls_lock:
                data = self.outgoing.read()
            if data:
                self.sock.sendall(data)

    def _feed(self):
        data = self.sock.recv(1 << 18)
        with self._tls_lock:
            if data:
                self._in.write(data)
            else:
                self._in.write_eof()


class TlsBackend(Backend):
    """A TLS server; `handler(connection)` gets a TlsConnection after the handshake."""

    def __init__(self, handler, leaf, client_ca=None, port=None, host="127.0.0.1", **options):
        super().__init__(handler, port, host)
        self.context = server_context(leaf, client_ca, **options)

    def handle(self, session):
        session.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = TlsConnection(session, self.context)
        connection.handshake()
        self.handler(connection)


# What handlers do.


def echo(connection):
    """Sends back what comes, and says goodbye after the caller has."""
    while data := connection.read():
        connection.write(data)
    connection.close_notify()


def answer_digest(connection):
    """Reads all there is and answers with its SHA-256 in hex."""
    connection.write(digest(connection.read_all()).encode())
    connection.close_notify()


def swallow(connection):
    """Reads to the end and answers nothing."""
    connection.read_all()
    connection.close_notify()


def send(data):
    """A handler that sends `data`, says goodbye and waits for the other side's."""

    def handler(connection):
        connection.write(data)
        connection.close_notify()
        connection.wait_closed()

    return handler


def stay_silent(sock):
    """For a bare TCP backend: answers nothing until the peer's stream has ended."""
    while sock.recv(1 << 16):
        pass


# The plaintext services behind the real servers.


class Echo(Backend):
    """A TCP service that sends back what comes."""

    def __init__(self):
        super().__init__(self._echo)

    @staticmethod
    def _echo(sock):
        while data := sock.recv(1 << 16):
            sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)


class Origin:
    """An HTTP/1.1 service: GET /bytes/N gives payload(N), POST /digest the body's SHA-256,
    POST /echo the body."""

    def __enter__(self):
        self.port = free_port()
        self._server = _OriginServer(("127.0.0.1", self.port), _OriginRequest)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class _OriginServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = _BACKLOG

    def handle_error(self, request, client_address):
        """A proxy that leaves in the middle is not this test's subject."""


class _OriginRequest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        word, _, size = self.path.strip("/").partition("/")
        self._answer(payload(int(size)) if word == "bytes" else b"hello\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(digest(body).encode() if self.path == "/digest" else body)

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
