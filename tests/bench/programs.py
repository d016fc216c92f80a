"""The programs under test, each set up as its own documentation advises for this job: plaintext in
on loopback, TLS out with a client certificate, the backend verified by chain and name, sessions
resumed. None writes an access log, and all log from warnings up."""

import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple, Optional

import pki
from processes import UNDER_TEST, Server


class Service(NamedTuple):
    """One way through a program: a port of 127.0.0.1 that leads to a backend's."""

    name: str
    port: int
    host: str
    backend_port: int
    identity: object
    prewarm: Optional[str] = None


class Program(Server):
    """A program under test, alone on its CPU. `title` is what people call it, `label` the same
    where there is little room."""

    name = title = label = binary = ""
    has_workers = True
    is_tls = True
    can_prewarm = False
    reload_signal = signal.SIGHUP

    def __init__(self, bench, services, workers=1, cpus=(UNDER_TEST,), network=None):
        self.services, self.workers, self._bench = list(services), workers, bench
        directory = bench.new_directory(self.name)
        config = directory / "config"
        command = self.command(directory, config)
        super().__init__(command, directory, config, cpus=cpus, network=network)

    def command(self, directory, config):
        raise NotImplementedError

    def ports(self):
        return {service.port for service in self.services}

    def port(self, name):
        """The port of a service."""
        return next(service.port for service in self.services if service.name == name)

    def reload(self, services):
        """Has the running program take these services."""
        self.services = list(services)
        self.write_config()
        self.signal(self.reload_signal)

    @staticmethod
    def version(_agent):
        """Its version and that of its libraries, for people."""
        raise NotImplementedError


def _said_by(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def _found(patterns, text):
    """What the groups of these patterns found last, with commas; what is not there is left out."""
    found = [re.findall(pattern, text) for pattern in patterns]
    return ", ".join(each[-1] for each in found if each)


class Agent(Program):
    """mtls-agent."""

    name = title = binary = "mtls-agent"
    can_prewarm = True

    def command(self, directory, config):
        return [self._bench.agent, "run", "-c", config]

    def text(self):
        identities = {service.identity.kind: service.identity for service in self.services}
        certificates = "".join(
            f"[certificate {kind}]\ncert = {each.client}\nkey = {each.client_key}\n"
            for kind, each in identities.items()
        )
        services = "".join(map(self._service, self.services))
        return (
            f"[agent]\nworkers = {self.workers}\nlog_level = warning\nstatus = off\n"
            "shutdown_timeout = 1s\n" + certificates + services
        )

    @staticmethod
    def _service(service):
        prewarm = f"prewarm = {service.prewarm}\n" if service.prewarm else ""
        # nginx waits for 60 s by default, stunnel longer, HAProxy tries again; and 500 connections
        # at once take the one backend, which accepts one in a turn, more than the agent's 5 s.
        return (
            f"[service {service.name}]\n"
            f"listen = 127.0.0.1:{service.port}\n"
            f"address = {service.host}:{service.backend_port}\n"
            f"sni = {pki.HOST}\n"
            f"ca = {service.identity.ca}\n"
            f"certificate = {service.identity.kind}\n"
            f"handshake_timeout = 60s\nmax_connections = 20000\n{prewarm}"
        )

    @staticmethod
    def version(agent):
        return ", ".join(_said_by(agent, "--version").splitlines())


_STREAM_MODULES = [
    Path(f"/usr/{folder}/nginx/modules/ngx_stream_module.so") for folder in ("lib", "lib64")
]


class Nginx(Program):
    """nginx's stream module, after its guide "Securing TCP Traffic to Upstream Servers"."""

    name = label = binary = "nginx"
    title = "nginx stream"

    def command(self, directory, config):
        return [self.binary, "-p", directory, "-c", config, "-e", "stderr"]

    def text(self):
        modules = [each for each in _STREAM_MODULES if each.exists()]
        load = f"load_module {modules[0]};" if modules else ""
        servers = "".join(map(self._server, self.services))
        return f"""
            {load}
            daemon off;
            user root;
            worker_processes {self.workers};
            worker_rlimit_nofile {self._bench.descriptors};
            error_log stderr warn;
            pid nginx.pid;
            events {{ worker_connections {self._bench.descriptors - 100}; }}
            stream {{
                proxy_ssl on;
                proxy_ssl_protocols TLSv1.2 TLSv1.3;
                proxy_ssl_session_reuse on;
                proxy_ssl_verify on;
                proxy_ssl_verify_depth 2;
                proxy_ssl_server_name on;
                proxy_ssl_name {pki.HOST};
                {servers}
            }}"""

    @staticmethod
    def _server(service):
        identity = service.identity
        return f"""
                server {{
                    listen 127.0.0.1:{service.port} backlog=4096;
                    proxy_pass {service.host}:{service.backend_port};
                    proxy_ssl_certificate {identity.client};
                    proxy_ssl_certificate_key {identity.client_key};
                    proxy_ssl_trusted_certificate {identity.ca};
                }}"""

    @staticmethod
    def version(_agent):
        patterns = [r"nginx version: nginx/(\S+)", r"built with (OpenSSL \S+)"]
        text = _said_by("nginx", "-V").replace("running with", "built with")
        return _found(patterns, text)


class Haproxy(Program):
    """HAProxy in TCP mode, with its master process, which is what makes it reload."""

    name, title, binary = "haproxy", "HAProxy", "haproxy"
    reload_signal = signal.SIGUSR2

    def command(self, directory, config):
        return [self.binary, "-W", "-f", config]

    def text(self):
        return f"""
global
    nbthread {self.workers}
    maxconn {(self._bench.descriptors - 200) // 2 - len(self.services)}
    ssl-server-verify required
    log stderr format raw local0 warning
defaults
    mode tcp
    timeout connect 5s
    timeout client 10m
    timeout server 10m
{"".join(map(self._listen, self.services))}"""

    def _listen(self, service):
        identity = service.identity
        tls = (
            f"ssl crt {identity.client_both} ca-file {identity.ca} verify required"
            f" sni str({pki.HOST}) verifyhost {pki.HOST} ssl-min-ver TLSv1.2"
        )
        return f"""
listen {service.name}
    bind 127.0.0.1:{service.port} backlog 4096
    server backend {service.host}:{service.backend_port} {tls if self.is_tls else ""}
"""

    @staticmethod
    def version(_agent):
        patterns = [r"HAProxy version (\S+)", r"Running on OpenSSL version : (OpenSSL \S+)"]
        return _found(patterns, _said_by("haproxy", "-vv"))


class Floor(Haproxy):
    """HAProxy that relays without any TLS: what a proxy costs before it does a thing."""

    name, title, label = "floor", "HAProxy without TLS", "no TLS"
    is_tls = False


class Stunnel(Program):
    """stunnel in client mode; it has no workers but a thread for each connection."""

    name = title = "stunnel"
    binary = shutil.which("stunnel4") or "stunnel"
    has_workers = False

    def command(self, directory, config):
        return [self.binary, config]

    def text(self):
        return (
            "foreground = yes\nsyslog = no\ndebug = warning\npid =\n"
            + "".join(map(self._service, self.services))
        )

    @staticmethod
    def _service(service):
        identity = service.identity
        return (
            f"[{service.name}]\nclient = yes\n"
            f"accept = 127.0.0.1:{service.port}\n"
            f"connect = {service.host}:{service.backend_port}\n"
            f"sni = {pki.HOST}\ncheckHost = {pki.HOST}\nverifyChain = yes\n"
            f"CAfile = {identity.ca}\ncert = {identity.client}\nkey = {identity.client_key}\n"
            "sessionResume = yes\nsslVersionMin = TLSv1.2\nTIMEOUTidle = 600\n"
        )

    @staticmethod
    def version(_agent):
        patterns = [r"stunnel (\S+) on", r"(?:Running|Compiled).* with +(OpenSSL \S+)"]
        return _found(patterns, _said_by(Stunnel.binary, "-version"))


ALL = [Agent, Nginx, Haproxy, Stunnel, Floor]
