"""Real servers as backends that demand a client certificate: nginx, HAProxy, Caddy, stunnel,
`openssl s_server` and gnutls-serv, each in a directory of its own, without privileges, on a free
port, and killed at the end.

Behind those that forward stands the same HTTP origin (or TCP echo), so that one suite of exchanges
fits all: a server says in `.dialect` how to talk through it.
"""

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

from .backends import Echo, Origin
from .net import HANG, digest, free_port, is_listening, payload, recv_exact, recv_until, wait_for


class Http:
    """How a caller talks HTTP/1.1 to the origin: many exchanges on one connection."""

    def __init__(self, sock):
        self.sock = sock

    def ask(self, data):
        """Sends `data` and returns the same as it came back."""
        return self._exchange("POST", "/echo", data)

    def fetch(self, size):
        """Gets payload(size) from the server."""
        return self._exchange("GET", f"/bytes/{size}")

    def upload(self, data):
        """Sends `data` and returns the SHA-256 that the server made of it."""
        return self._exchange("POST", "/digest", data).decode()

    def _exchange(self, method, path, body=b""):
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.sock.sendall(head.encode() + body)
        status, answer = self._answer()
        assert status == 200, (status, answer[:500])
        return answer

    def status(self):
        """Asks for the least and returns only the status."""
        self.sock.sendall(b"GET /bytes/1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return self._answer()[0]

    def _answer(self):
        head, _, rest = recv_until(self.sock, b"\r\n\r\n").partition(b"\r\n\r\n")
        size = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
        return int(head.split()[1]), rest + recv_exact(self.sock, size - len(rest))


class Stream:
    """How a caller talks to an echo."""

    def __init__(self, sock):
        self.sock = sock

    def ask(self, data):
        sender = threading.Thread(target=self.sock.sendall, args=(data,), daemon=True)
        sender.start()
        answer = recv_exact(self.sock, len(data))
        sender.join(HANG)
        return answer

    def fetch(self, size):
        return self.ask(payload(size))

    def upload(self, data):
        return digest(self.ask(data))


class Lines(Stream):
    """How a caller talks to gnutls-serv's echo, which understands text without NUL bytes and
    answers each record by itself: in small messages."""

    piece = 1000

    def ask(self, data):
        text, answer = data.hex().encode(), []
        for start in range(0, len(text), self.piece):
            message = text[start : start + self.piece] + b"\n"
            self.sock.sendall(message)
            answer.append(recv_exact(self.sock, len(message))[:-1])
        return bytes.fromhex(b"".join(answer).decode())


class Server:
    """A server program as a context manager.

    `tls` is "1.2" or "1.3"; without `client_ca` it asks for no client certificate.
    """

    name = ""
    dialect = Http
    serves_in_parallel = True

    @property
    def keys(self):
        """What a service that leads here has to say: a session that waits for its caller would keep
        others from a server that serves one after the other."""
        return {} if self.serves_in_parallel else {"prewarm": 0}

    def __init__(self, directory, leaf, client_ca=None, tls="1.3"):
        self.directory = Path(directory) / self.name
        self.directory.mkdir(parents=True)
        self.leaf, self.tls, self.port = leaf, tls, free_port()
        self.client_ca = getattr(client_ca, "cert", client_ca)
        self.behind = self.make_behind()
        self.process = None

    def make_behind(self):
        return Origin()

    def command(self):
        """The command line; writes what configuration it needs."""
        raise NotImplementedError

    def __enter__(self):
        self.behind.__enter__()
        self.log = open(self.directory / "output", "wb")
        self.process = subprocess.Popen(
            self.command(),
            cwd=self.directory,
            env={**os.environ, "HOME": str(self.directory)},
            **self.pipes(),
        )
        self.started()
        try:
            wait_for(self._is_up, what=f"{self.name} to listen")
        except BaseException:
            self.__exit__()
            raise
        return self

    def pipes(self):
        return {"stdin": subprocess.DEVNULL, "stdout": self.log, "stderr": subprocess.STDOUT}

    def started(self):
        """Called as soon as the process runs."""

    def _is_up(self):
        assert self.process.poll() is None, f"{self.name} ended at its start:\n{self.output()}"
        return is_listening(self.port)

    def output(self):
        """What the server has written."""
        return (self.directory / "output").read_text(errors="replace")

    def write(self, name, text):
        """A file in the server's directory; returns its path."""
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.behind.__exit__()


class Nginx(Server):
    name = "nginx"

    def command(self):
        verify = ""
        if self.client_ca:
            verify = f"ssl_verify_client on; ssl_client_certificate {self.client_ca};"
        paths = "".join(
            f"{kind}_temp_path {self.directory};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        path = self.write(
            "nginx.conf",
            f"""
            daemon off; master_process off; pid {self.directory}/pid; error_log stderr info;
            events {{ worker_connections 2048; }}
            http {{
                access_log off; client_max_body_size 0; keepalive_requests 1000000; {paths}
                server {{
                    listen 127.0.0.1:{self.port} ssl;
                    ssl_certificate {self.leaf.cert}; ssl_certificate_key {self.leaf.key};
                    ssl_protocols TLSv{self.tls}; {verify}
                    location / {{
                        proxy_pass http://127.0.0.1:{self.behind.port};
                        proxy_http_version 1.1; proxy_set_header Connection "";
                        proxy_request_buffering off;
                    }}
                }}
            }}
            """,
        )
        return ["nginx", "-e", "stderr", "-p", str(self.directory), "-c", str(path)]


class Haproxy(Server):
    """In HTTP mode."""

    name = "haproxy"
    mode = "http"

    def command(self):
        pem = Path(self.leaf.cert).read_text() + Path(self.leaf.key).read_text()
        verify = f"verify required ca-file {self.client_ca}" if self.client_ca else ""
        path = self.write(
            "haproxy.cfg",
            f"""
global
    maxconn 2000
defaults
    mode {self.mode}
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend tls
    bind 127.0.0.1:{self.port} ssl crt {self.write("leaf.pem", pem)} {verify} \
ssl-min-ver TLSv{self.tls} ssl-max-ver TLSv{self.tls}
    default_backend plain
backend plain
    server origin 127.0.0.1:{self.behind.port}
""",
        )
        return ["haproxy", "-db", "-f", str(path)]


class HaproxyTcp(Haproxy):
    """In TCP mode, with an echo behind it."""

    name = "haproxy-tcp"
    mode = "tcp"
    dialect = Stream

    def make_behind(self):
        return Echo()


class Caddy(Server):
    name = "caddy"

    def command(self):
        client_auth = ""
        if self.client_ca:
            client_auth = f"""
            client_auth {{
                mode require_and_verify
                trusted_ca_cert_file {self.client_ca}
            }}"""
        path = self.write(
            "Caddyfile",
            f"""{{
    admin off
    auto_https disable_redirects
    skip_install_trust
    default_sni localhost
}}
https://localhost:{self.port} {{
    bind 127.0.0.1
    tls {self.leaf.cert} {self.leaf.key} {{
        protocols tls{self.tls} tls{self.tls}{client_auth}
    }}
    reverse_proxy 127.0.0.1:{self.behind.port}
}}
""",
        )
        return ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)]


class Stunnel(Server):
    name = "stunnel"
    dialect = Stream

    def make_behind(self):
        return Echo()

    def command(self):
        verify = ""
        if self.client_ca:
            verify = f"requireCert = yes\nverifyChain = yes\nCAfile = {self.client_ca}"
        path = self.write(
            "stunnel.conf",
            f"""
foreground = yes
pid =
debug = info
[tls]
accept = 127.0.0.1:{self.port}
connect = 127.0.0.1:{self.behind.port}
cert = {self.leaf.cert}
key = {self.leaf.key}
sslVersionMin = TLSv{self.tls}
sslVersionMax = TLSv{self.tls}
{verify}
""",
        )
        return [shutil.which("stunnel4") or "stunnel", str(path)]


class OpensslServer(Server):
    """`openssl s_server` as an echo: what it writes to its output is fed back into its input. It
    serves one connection after the other."""

    name = "s_server"
    dialect = Stream
    serves_in_parallel = False

    def make_behind(self):
        return Loop()

    def command(self):
        verify = []
        if self.client_ca:
            verify = ["-Verify", "3", "-verify_return_error", "-CAfile", self.client_ca]
        version = "-tls" + self.tls.replace(".", "_")
        return [
            "openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{self.port}", version,
            "-cert", self.leaf.cert, "-key", self.leaf.key, *verify,
        ]

    def pipes(self):
        return {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log}

    def started(self):
        self.behind.join(self.process.stdout, self.process.stdin)


class Loop:
    """Feeds one pipe into another, with room for any amount between them."""

    def __enter__(self):
        self._held, self._news, self._ended = [], threading.Condition(), False
        return self

    def join(self, source, sink):
        self._threads = [
            threading.Thread(target=self._take, args=(source,), daemon=True),
            threading.Thread(target=self._give, args=(sink,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _take(self, source):
        with source:
            while data := source.read1(1 << 16):
                self._put(data)
        self._put(None)

    def _put(self, data):
        with self._news:
            self._held.append(data)
            self._news.notify()

    def _give(self, sink):
        try:
            while (data := self._next()) is not None:
                sink.write(data)
                sink.flush()
        except BrokenPipeError:
            pass
        finally:
            try:
                sink.close()
            except BrokenPipeError:
                pass

    def _next(self):
        with self._news:
            self._news.wait_for(lambda: self._held)
            return self._held.pop(0)

    def __exit__(self, *_):
        for thread in self._threads:
            thread.join(HANG)


class GnutlsServer(Server):
    """gnutls-serv as an echo of lines."""

    name = "gnutls-serv"
    dialect = Lines
    mode = ("--echo", "--crlf")

    def make_behind(self):
        return Nothing()

    def command(self):
        verify = ["--disable-client-cert"]
        if self.client_ca:
            verify = ["--require-client-cert", "--verify-client-cert"]
            verify += ["--x509cafile", self.client_ca]
        return [
            "gnutls-serv", *self.mode, "--port", str(self.port), *verify,
            "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{self.tls}",
            "--x509certfile", self.leaf.cert, "--x509keyfile", self.leaf.key,
        ]


class Nothing:
    """What stands behind a server that answers by itself."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


ALL = {
    server.name: server
    for server in (Nginx, Haproxy, HaproxyTcp, Caddy, Stunnel, OpensslServer, GnutlsServer)
}


def is_installed(server):
    """Whether the machine has this server's program."""
    program = {"haproxy-tcp": "haproxy", "s_server": "openssl"}.get(server.name, server.name)
    return shutil.which(program) is not None or shutil.which(program + "4") is not None
