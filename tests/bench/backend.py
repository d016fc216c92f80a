"""The backend: nginx, which requires a client certificate, and without TLS for the floor."""

import socket
from typing import NamedTuple

import pki
from processes import Server, free_ports

LARGE = 64 * 1024 * 1024
_FILES = {"16k": 16 * 1024, "large": LARGE}


class Door(NamedTuple):
    """A port of the backend. Without an identity it speaks no TLS."""

    port: int
    identity: object
    tickets: bool


def make_files(directory):
    """The bodies that are served from files."""
    for name, size in _FILES.items():
        (directory / name).write_bytes(b"x" * size)


class Backend(Server):
    """nginx with one worker. A key of `doors` is a name, its value a pair of an identity (or None)
    and whether sessions may be resumed."""

    title = "the backend"

    def __init__(self, directory, files, doors, descriptors, host="127.0.0.1", **where):
        directory.mkdir()
        self._files, self._descriptors, self.host = files, descriptors, host
        ports = free_ports(len(doors) + 1)
        self._status_port = ports.pop()
        self.doors = {name: Door(port, *door) for (name, door), port in zip(doors.items(), ports)}
        config = directory / "nginx.conf"
        command = ["nginx", "-p", directory, "-c", config, "-e", "stderr"]
        super().__init__(command, directory, config, **where)
        self._log, self._log_read = directory / "handshakes", 0
        self._asked = 0

    def ports(self):
        return {door.port for door in self.doors.values()}

    def text(self):
        doors = "".join(self._server(door) for door in self.doors.values())
        return f"""
            daemon off;
            user root;
            worker_processes 1;
            worker_rlimit_nofile {self._descriptors};
            pid nginx.pid;
            events {{ worker_connections {self._descriptors - 100}; }}
            http {{
                map $connection_requests $is_first {{ 1 1; default 0; }}
                log_format handshake "$server_port $ssl_session_reused $ssl_protocol $ssl_cipher";
                access_log {self._log} handshake buffer=64k flush=100ms if=$is_first;
                keepalive_requests 1000000000;
                keepalive_timeout 1h;
                client_max_body_size 0;
                client_body_temp_path body;
                proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
                scgi_temp_path scgi;
                open_file_cache max=10;
                ssl_protocols TLSv1.2 TLSv1.3;
                server {{
                    listen 127.0.0.1:{self._status_port};
                    access_log off;
                    location / {{ stub_status; }}
                }}
                {doors}
            }}"""

    def _server(self, door):
        tls = "ssl" if door.identity else ""
        return f"""
            server {{
                listen {self.host}:{door.port} {tls} backlog=4096;
                root {self._files};
                {self._tls(door) if door.identity else ""}
                location = /100 {{ return 200 "{'x' * 100}"; }}
                location = /upload {{ return 200 "thrown away"; }}
            }}"""

    @staticmethod
    def _tls(door):
        identity = door.identity
        reuse = "" if door.tickets else "ssl_session_tickets off; ssl_session_cache off;"
        return f"""
                server_name {pki.HOST};
                ssl_certificate {identity.server};
                ssl_certificate_key {identity.server_key};
                ssl_client_certificate {identity.ca};
                ssl_verify_client on;
                {reuse}"""

    def requests(self):
        """How many requests have been answered so far."""
        return self._counters()[1]

    def connections(self):
        """How many connections there are now."""
        return self._counters()[0]

    def _counters(self):
        """Both, without those of the question."""
        with socket.create_connection(("127.0.0.1", self._status_port), 10) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: sock.recv(4096), b""))
        self._asked += 1
        words = answer.partition(b"Active connections: ")[2].split()
        return int(words[0]) - 1, int(words[words.index(b"requests") + 3]) - self._asked

    def handshakes(self):
        """What the log tells of the connections since it was asked last: a list of their port,
        whether the session was resumed, protocol and cipher."""
        with open(self._log, encoding="ascii") as log:
            log.seek(self._log_read)
            lines = log.read()
        whole = lines.rfind("\n") + 1
        self._log_read += whole
        return [
            (int(port), reused == "r", protocol, cipher)
            for port, reused, protocol, cipher in map(str.split, lines[:whole].splitlines())
        ]
