"""The systems that the mission comes from, rebuilt: certificates by the documents' own commands,
real servers with the documents' own settings, and a gateway host whose operator has copied
conf/examples."""

import fcntl
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from .agent import TREE, program
from .net import HANG, free_port
from .servers import Nothing, Server

EXAMPLES = sorted((TREE / "conf/examples").glob("*.conf"))
PKI = "/etc/mtls-agent/pki/"


def make_once(tmp_path_factory, folder):
    """The directory in which a folder's certificates.sh has run: once for all processes of a test
    run, since RSA-4096 keys take seconds. It is for reading."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    made = root / f"seed-{folder.name}"
    with open(f"{made}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            new = Path(f"{made}.new")
            shutil.rmtree(new, ignore_errors=True)  # a run that failed
            new.mkdir()
            run("sh", folder / "certificates.sh", cwd=new)
            new.rename(made)
    return made


def run(*command, **options):
    """Runs a command that must succeed; returns what it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * HANG,
        **options,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def replace(text, changes):
    """`text` with each old of `changes` replaced by its new; one that is not there has rotted."""
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in:\n{text}"
        text = text.replace(old, str(new))
    return text


def gather(directory, *sources):
    """Copies into `directory` what is in other directories, and the files of dicts {name: path}."""
    directory.mkdir(parents=True, exist_ok=True)
    for source in sources:
        if not isinstance(source, dict):
            source = {path.name: path for path in source.iterdir()}
        for name, path in source.items():
            shutil.copy(path, directory / name)


# The servers


class SeedServer(Server):
    """A server with a seed's configuration: the text of a file, in which `changes` gives ports and
    addresses that are free here. Its files lie beside it."""

    frame = "@TEXT@"

    def __init__(self, directory, source, files, port, changes):
        self.directory = Path(directory) / self.name
        gather(self.directory, *files)
        self.port, self.behind = port, Nothing()
        self.text = replace(source.read_text(), changes)

    def command(self):
        text = replace(self.frame, {"@TEXT@": self.text}).replace("@DIR@", str(self.directory))
        return [*self.program, self.write("configuration", text)]


class SeedNginx(SeedServer):
    """Its access log says who came, and by which names."""

    name = "nginx"
    program = ("nginx", "-e", "stderr", "-c")
    frame = """
daemon off; master_process off; pid @DIR@/pid; error_log stderr info; events {}
http {
log_format seed '"$request" $status client=$ssl_client_s_dn host=$host sni=$ssl_server_name';
access_log @DIR@/access.log seed;
client_body_temp_path @DIR@; proxy_temp_path @DIR@; fastcgi_temp_path @DIR@;
uwsgi_temp_path @DIR@; scgi_temp_path @DIR@;
@TEXT@
}
"""

    def accesses(self):
        """The lines of the access log so far."""
        return (self.directory / "access.log").read_text().splitlines()


class SeedHaproxy(SeedServer):
    name = "haproxy"
    program = ("haproxy", "-db", "-f")


class SeedCaddy(SeedServer):
    name = "caddy"
    program = ("caddy", "run", "--adapter", "caddyfile", "--config")
    frame = """{
	admin off
	auto_https disable_redirects
	skip_install_trust
}
@TEXT@
"""


# The gateway host


class GatewayHost:
    """A host with mtls-agent, into whose conf.d its operator copies examples."""

    def __init__(self, directory, start):
        self.directory = Path(directory)
        self.ports = {}  # service name to the port on which it listens
        self._start, self._enter = start, None
        (self.directory / "conf.d").mkdir(parents=True)

    def see(self, etc):
        """From now on programs here have this PrivateResolver's view of /etc."""
        self._enter = etc.enter

    def copy(self, example, *files, changes, name=None, **keys):
        """Copies conf/examples/EXAMPLE.conf, and `files` to where it has them.

        Paths and ports become this host's own, `changes` does the same for addresses. `keys` are
        given to its last service in place of all keys of these names; None only takes those out.
        """
        text = (TREE / f"conf/examples/{example}.conf").read_text()
        gather(self.directory / "pki" / re.search(f"{PKI}([^/]+)/", text).group(1), *files)
        text = replace(text, {PKI: f"{self.directory}/pki/", **changes})
        text = re.sub(r"(?<=^listen      = 127\.0\.0\.1:)\d+", _free_port, text, flags=re.M)
        for key, value in keys.items():
            text = re.sub(rf"^{key} *=.*\n", "", text, flags=re.M)
            text += "" if value is None else f"{key} = {value}\n"
        for service, port in re.findall(r"^\[service (.*)\]\nlisten .*:(\d+)$", text, re.M):
            self.ports[service] = int(port)
        (self.directory / f"conf.d/{name or example}.conf").write_text(text)

    def run(self):
        """Starts the agent."""
        self.agent = self._start(self._main(), preexec=self._enter)
        return self

    def _main(self):
        return f"[agent]\nworkers = 1\ninclude = {self.directory}/conf.d/*.conf\n"

    def command(self, name, *options):
        """Runs another of mtls-agent's commands on the same configuration."""
        path = self.directory / "mtls-agent.conf"
        path.write_text(self._main())
        return subprocess.run(
            [program(), name, "-c", path, *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * HANG,
            preexec_fn=self._enter,
        )

    def probe(self):
        """What `mtls-agent probe --json` tells of each service, by name."""
        done = self.command("probe", "--json")
        assert done.stdout, done
        services = json.loads(done.stdout)["services"]
        bad = any(service["verdict"] != "ok" for service in services)
        assert done.returncode == (1 if bad else 0), done
        return {service["service"]: service for service in services}

    def curl(self, service, path, *options):
        """Has curl call a service in plaintext."""
        return Answer(f"http://127.0.0.1:{self.ports[service]}{path}", options)

    def refused(self, service, reason, path="/"):
        """The log line of a call that must fail for this reason, without an answer."""
        answer = self.curl(service, path)
        assert answer.status == 0 and answer.text == "", vars(answer)
        return self.agent.ended(service=service, reason=reason)


def _free_port(_):
    return str(free_port())


class Answer:
    """What curl got: `status` (0: no answer), HTTP `version`, `text`."""

    def __init__(self, url, options=()):
        done = subprocess.run(
            ["curl", "-sS", "--noproxy", "*", "--max-time", str(HANG), *options, url,
             "-w", "\n%{http_code} %{http_version}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        self.text, _, last = done.stdout.rpartition("\n")
        status, self.version = last.split()
        self.status, self.error = int(status), done.stderr
