"""A status endpoint that serves documents made up by a test, and documents to make up."""

import copy
import http.server
import json
import os
import socketserver
import threading


class _Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "a UNIX socket"

    def log_message(self, *_):
        pass

    def answer(self):
        self.server.requests.append(f"{self.command} {self.path}")
        status, body = self.server.answers[self.command]
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """One who asks may leave before the answer."""


class Endpoint:
    """Listens at `path` inside the context. `status` and `reload` are (HTTP status, body)."""

    def __init__(self, path, status=None, reload=None):
        self.path = str(path)
        self.answers = {"GET": (200, status), "POST": reload}
        self.requests = []

    def __enter__(self):
        self._server = _Server(self.path, _Handler)
        self._server.answers, self._server.requests = self.answers, self.requests
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def serve(self, document):
        """From now on the status is this one."""
        self.answers["GET"] = (200, document)

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        os.unlink(self.path)


_SERVICE = {
    "state": "ok",
    "listen": ["127.0.0.1:9001"],
    "address": ["api.example.com:443"],
    "certificate": "gateway",
    "ca": "/etc/mtls-agent/pki/ca.crt",
    "endpoints": ["10.0.0.1:443"],
    "dns": {"age_seconds": 12.0, "failure": None},
    "connections": {"active": 3, "opened": 120, "limit": 10000, "ended": {"ok": 117}},
    "bytes": {"sent": 1, "received": 2},
    "handshakes": {"full": 120, "resumed": 0, "failed": {}},
    "warm": {"ready": 0, "used": 0, "aged": 0, "closed": 0, "failed": 0, "dropped": 0},
    "attempts_failed": {},
    "last_success": "2026-11-21T11:59:22Z",
    "last_failure": None,
    "days_left": {"own": 81, "ca": 3000, "backend": 45},
    "backend_not_after": "2027-01-05T00:00:00Z",
    "held": None,
}

REFUSED = {
    "time": "2026-11-21T11:59:50Z",
    "age_seconds": 12.3,
    "reason": "connect_refused",
    "side": "network",
    "detail": "10.0.0.1:443: Connection refused",
    "advice": "nothing listens on that port",
}


def made_up_service(name, **keys):
    """One element of `services`: good, but for what is given."""
    return {"name": name, **copy.deepcopy(_SERVICE), **keys}


def failing_service(name, **failure):
    """One that fails."""
    return made_up_service(name, state="failing", last_failure={**REFUSED, **failure})


def made_up_status(*services, **keys):
    """A whole document."""
    return {
        "version": "0.1.0",
        "pid": 1234,
        "state": "running",
        "ready": True,
        "started": "2026-11-18T11:42:22Z",
        "uptime_seconds": 262345.3,
        "workers": 2,
        "configuration": {
            "file": "/etc/mtls-agent/mtls-agent.conf",
            "generation": 3,
            "changed": "2026-11-21T11:42:22Z",
            "last_reload": {"time": None, "result": "none", "faults": []},
        },
        "log": {"dropped": 0},
        "process": {
            "resident_bytes": 12345678,
            "cpu_seconds": 1.5,
            "open_descriptors": 123,
            "max_descriptors": 65536,
        },
        "certificates": [],
        "cas": [],
        "services": list(services),
        **keys,
    }
