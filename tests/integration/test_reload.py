"""Another configuration under a running agent: all of it or nothing, told in full, and what has not
changed does not notice."""

import json
import os
import re
import resource
import shutil
import socket
import stat
import threading
import time
from pathlib import Path
from signal import SIGHUP, SIGTERM

import pytest
from harness import dns
from harness.agent import config, sanitizer, section, service
from harness.backends import Backend, TlsBackend, echo, stay_silent
from harness.live import Live, listening_inodes
from harness.load import EchoProcess, Load
from harness.net import (
    Blackhole,
    connect,
    expect_no_service,
    expect_reset,
    free_port,
    in_parallel,
    recv_all,
    recv_exact,
    wait_for,
)
from harness.rotation import Caller, Pair, Teller, serial, shown

UNHEARD = {"NOTIFY_SOCKET": ""}  # nobody would read what the agent tells of each reload


def name_teller(name):
    """A handler that says a word first, and then sends back what comes."""

    def handler(connection):
        connection.write(name)
        echo(connection)

    return handler


@pytest.fixture
def backend(leaf, ca):
    with TlsBackend(echo, leaf, ca) as server:
        yield server


@pytest.fixture
def two(leaf, ca):
    """Two backends that say which they are."""
    with TlsBackend(name_teller(b"1"), leaf, ca) as one:
        with TlsBackend(name_teller(b"2"), leaf, ca) as other:
            yield one, other


@pytest.fixture
def write(gateway, short_path):
    """write(SERVICE…) makes a configuration with a status socket, as text."""

    def write_text(*services, agent=None, certificate=gateway, **options):
        keys = {"status": f"unix:{short_path}/status.sock", **(agent or {})}
        return config(*services, certificate=certificate, agent=keys, **options)

    return write_text


@pytest.fixture
def live(start, write, short_path):
    """live(SERVICE…, key=value…) starts an agent with that configuration."""

    def start_live(*services, agent=None, certificate=None, options=None, **start_options):
        more = {"certificate": certificate} if certificate else {}
        text = write(*services, agent=agent, **more, **(options or {}))
        return Live(start(text, **{"env": UNHEARD, **start_options}), short_path / "status.sock")

    return start_live


def say(sock, text=b"hello"):
    sock.sendall(text)
    assert recv_exact(sock, len(text)) == text


def exchange(where, text=b"hello"):
    with connect(where) as sock:
        say(sock, text)


def answers(where):
    """The word of the backend that a new connection reaches."""
    with connect(where) as sock:
        return recv_exact(sock, 1)


def is_refused(port):
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


# What is refused


class Fault:
    """Something that is wrong with the new configuration: `spoil(TEST)` makes it so and returns the
    text, what the message's line begins with, and what it says."""

    def __init__(self, site):
        self.site = site

    def unknown_key(self):
        return self.site.text(service("extra", free_port(), 443, self.site.ca, colour="blue")), (
            "colour", "colour")

    def unknown_section(self):
        return self.site.text(section("shop x", a="b")), ("[shop x]", "shop")

    def bad_value(self):
        return self.site.text(idle_timeout="soon"), ("idle_timeout", "soon")

    def certificate_missing(self):
        self.site.cert.unlink()
        return self.site.text(), ("cert ", "not found")

    def key_missing(self):
        self.site.key.unlink()
        return self.site.text(), ("key ", "not found")

    def key_broken(self):
        self.site.key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        return self.site.text(), ("key ", str(self.site.key))

    def key_of_another(self):
        shutil.copy(self.site.other.key, self.site.key)
        return self.site.text(), ("key ", str(self.site.key))

    def ca_garbage(self):
        self.site.trusted.write_bytes(b"\x00garbage" * 100)
        return self.site.text(), ("ca ", str(self.site.trusted))

    def ca_empty(self):
        self.site.trusted.write_bytes(b"")
        return self.site.text(), ("ca ", str(self.site.trusted))

    def ca_missing(self):
        self.site.trusted.unlink()
        return self.site.text(), ("ca ", "not found")

    def include_dangling(self):
        folder = self.site.directory / "conf.d"
        folder.mkdir()
        (folder / "one.conf").symlink_to("nowhere")
        return self.site.text(agent={"include": f"{folder}/*.conf"}), ("include", "one.conf")

    def include_folder(self):
        folder = self.site.directory / "conf.d" / "one.conf"
        folder.mkdir(parents=True)
        return self.site.text(agent={"include": f"{folder}"}), ("include", "one.conf")

    def port_taken(self):
        taken = free_port()
        self.site.keep(socket.create_server(("127.0.0.1", taken)))
        extra = service("extra", taken, 443, self.site.ca)
        return self.site.text(extra), (f"listen = 127.0.0.1:{taken}", "another program")

    def port_twice(self):
        extra = service("extra", self.site.port, 443, self.site.ca)
        return self.site.text(extra), None

    def foreign_address(self):
        extra = service("extra", "192.0.2.77:9001", 443, self.site.ca, expose="yes")
        return self.site.text(extra), ("listen = 192.0.2.77:9001", "no such address")

    def folder_missing(self):
        extra = service("extra", f"unix:{self.site.directory}/no/s.sock", 443, self.site.ca)
        return self.site.text(extra), (f"listen = unix:{self.site.directory}/no", "directory")

    def status_taken(self):
        taken = free_port()
        self.site.keep(socket.create_server(("127.0.0.1", taken)))
        text = self.site.text(agent={"status": [self.site.status, f"127.0.0.1:{taken}"]})
        return text, (f"status = 127.0.0.1:{taken}", "another program")

    def file_in_the_way(self):
        path = self.site.directory / "notes.txt"
        path.write_text("of somebody else")
        extra = service("extra", f"unix:{path}", 443, self.site.ca)
        return self.site.text(extra), (f"listen = unix:{path}", "no socket")

    def path_taken(self):
        taken = self.site.listen_at("taken.sock")
        extra = service("extra", f"unix:{taken}", 443, self.site.ca)
        return self.site.text(extra), (f"listen = unix:{taken}", "another program")

    def status_path_taken(self):
        taken = self.site.listen_at("taken.sock")
        text = self.site.text(agent={"status": [self.site.status, f"unix:{taken}"]})
        return text, (f"status = unix:{taken}", "another program")

    def no_service(self):
        return section("agent", status=self.site.status), None


FAULTS = [name for name in vars(Fault) if not name.startswith("_")]


class Site:
    """A service whose files a fault can spoil, and what it needs to be written down again."""

    def __init__(self, directory, folder, write, ca, gateway, other, backend):
        self.directory, self.folder, self.ca, self.other = Path(directory), folder, ca, other
        self.port, self.status, self._write = free_port(), f"unix:{folder}/status.sock", write
        self.cert, self.key = self.directory / "own.crt", self.directory / "own.key"
        self.trusted = self.directory / "trusted.crt"
        self._originals = {self.cert: gateway.cert, self.key: gateway.key, self.trusted: ca.cert}
        self._backend, self._kept = backend, []
        self.mend()

    def keep(self, sock):
        self._kept.append(sock)

    def listen_at(self, name):
        """The path of a UNIX socket on which another program listens."""
        path, sock = self.folder / name, socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
        sock.listen()
        self.keep(sock)
        return path

    def mend(self):
        for sock in self._kept:
            sock.close()
        for path, original in self._originals.items():
            shutil.copy(original, path)
            path.chmod(0o600)

    def text(self, *more, agent=None, **keys):
        own = service("own", self.port, self._backend.port, self.trusted, **keys)
        return self._write(own, *more, agent=agent, certificate=self)


@pytest.fixture
def site(tmp_path, write, ca, gateway, backend, short_path):
    other = ca.issue("other", purpose="client")
    site = Site(tmp_path, short_path, write, ca, gateway, other, backend)
    yield site
    site.mend()


def spoil(site, fault, link):
    """Makes the fault; returns where it is told, and a word of it."""
    text, told = getattr(Fault(site), fault)()
    link.write(text)
    if told is None:
        return f"{link.agent.config}:", ""
    return f"{link.line_of(told[0])}: ", told[1]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_and_everything_stays(start, site, short_path, fault):
    link = Live(start(site.text(), env=UNHEARD), short_path / "status.sock")
    inodes, before = listening_inodes(site.port), link.configuration()
    with connect(site.port) as old:
        say(old)
        place, word = spoil(site, fault, link)

        told = link.reload()
        assert told.returncode == 2, told
        assert any(line.startswith(place) and word in line for line in told.stderr.split("\n")), (
            place, word, told.stderr)
        assert told.stdout == ""
        line = link.agent.wait_log(msg="reload refused")
        assert line["level"] == "error" and int(line["faults"]) > 0
        assert link.agent.wait_log(level="error", msg=lambda text: text.startswith(place))

        link.agent.wait_log(msg="reload refused")
        assert link.hang_up()["msg"] == "reload refused"
        now = link.configuration()
        assert now["generation"] == before["generation"]
        assert now["changed"] == before["changed"]
        assert now["last_reload"]["result"] == "refused"
        assert any(fault.startswith(place) for fault in now["last_reload"]["faults"])

        say(old)
        exchange(site.port)
        assert listening_inodes(site.port) == inodes

        site.mend()
        link.write(site.text())
        good = link.reload()
        assert (good.returncode, good.stderr) == (0, ""), good
        assert "1 unchanged" in good.stdout
        say(old)
    assert link.configuration()["last_reload"] == {
        "time": link.configuration()["last_reload"]["time"], "result": "ok", "faults": []}
    assert listening_inodes(site.port) == inodes


def test_every_fault_is_told_at_once(start, site, short_path):
    """Of the text, of two files and of a port."""
    link = Live(start(site.text(), env=UNHEARD), short_path / "status.sock")
    Fault(site).key_broken()
    Fault(site).ca_garbage()
    link.write(site.text(idle_timeout="soon", connect_timeout="never"))
    told = link.reload()
    assert told.returncode == 2
    for begin in ("idle_timeout", "connect_timeout", "key", "ca"):
        assert f"{link.line_of(begin)}: " in told.stderr, told.stderr
    # The same lines stand in the log, in the same words.
    for line in told.stderr.strip().split("\n")[:-1]:
        assert link.agent.wait_log(level="error", msg=line), line


def test_a_configuration_that_is_gone(start, site, short_path):
    link = Live(start(site.text(), env=UNHEARD), short_path / "status.sock")
    link.agent.config.unlink()
    faults = link.post(422)["faults"]
    assert str(link.agent.config) in faults[0] and "not found" in faults[0]
    exchange(site.port)


def test_nothing_of_a_refused_change_happens(start, site, two, short_path, ca):
    """One fault in one place: what else was added, changed, moved and removed does not come."""
    gone, added, moved = free_port(), free_port(), free_port()
    old_path, new_path = short_path / "old.sock", short_path / "new.sock"
    steady = service("gone", gone, two[0].port, ca)
    unix = service("unix", f"unix:{old_path}", two[0].port, ca)
    link = Live(start(site.text(steady, unix), env=UNHEARD), short_path / "status.sock")
    before = old_path.lstat()
    taken = free_port()
    with socket.create_server(("127.0.0.1", taken)):
        faults = link.refuse(site.text(
            service("added", added, two[1].port, ca),
            section("service unix", listen=[f"unix:{old_path}", f"unix:{new_path}"], ca=ca.cert,
                    address=f"localhost:{two[1].port}", socket_mode="0666"),
            service("moved", moved, two[1].port, ca),
            service("last", taken, two[1].port, ca),
            agent={"log_level": "error", "log_format": "json"},
            idle_timeout="1s",
        ))
    assert len(faults) == 1
    assert is_refused(added) and is_refused(moved) and not new_path.exists()
    assert (old_path.lstat().st_ino, old_path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert answers(gone) == b"1" and answers(old_path) == b"1"
    exchange(site.port)
    assert link.agent.ended(service="own"), "the log's level and format stay too"
    assert [entry["name"] for entry in link.status()["services"]] == ["own", "gone", "unix"]


# What does not change


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 2])
def test_unchanged_services_do_not_notice(live, write, backend, ca, short_path, workers):
    port, path = free_port(), short_path / "own.sock"
    stays = service("stays", port, backend.port, ca, prewarm=0)  # handshakes are counted
    unix = service("unix", f"unix:{path}", backend.port, ca)
    agent = {"workers": workers}
    link = live(stays, unix, agent=agent)
    inodes, file = listening_inodes(port), path.lstat()
    assert len(inodes) == workers
    with connect(port) as tcp, connect(path) as local:
        say(tcp)
        say(local)
        for i in range(5):
            exchange(port)
            more = [service(f"new-{i}-{k}", free_port(), backend.port, ca) for k in range(i + 1)]
            done = link.apply(write(*more, unix, stays, agent=agent))  # another order, too
            assert (done["unchanged"], done["added"], done["removed"]) == (2, i + 1, i)
            say(tcp)
            say(local)
        assert listening_inodes(port) == inodes
        assert path.lstat().st_ino == file.st_ino
        wait_for(lambda: link.connections("stays")["active"] == 1, what="the others to end")
    link.agent.wait_logs(7, msg="connection ended", reason="ok")
    counted = link.service("stays")
    assert (counted["connections"]["opened"], counted["connections"]["active"]) == (6, 0)
    assert counted["connections"]["ended"] == {"ok": 6}
    assert counted["bytes"] == {"sent": 5 * 11, "received": 5 * 11}
    assert counted["handshakes"]["full"] + counted["handshakes"]["resumed"] == 6


def test_counts_by_difference(live, write, backend, ca):
    ports = [free_port() for _ in range(6)]

    def make(i, **keys):
        return service(f"s-{i}", ports[i], backend.port, ca, **keys)

    link = live(make(0), make(1), make(2), make(3))
    done = link.apply(write(make(0), make(1, idle_timeout="1m"), make(4), make(3), make(5)))
    assert [done[key] for key in ("added", "changed", "removed", "unchanged")] == [2, 1, 1, 2]
    assert done["generation"] == link.configuration()["generation"] == 2
    told = link.reload()
    assert told.returncode == 0 and "0 added, 0 changed, 0 removed, 5 unchanged" in told.stdout
    line = link.hang_up()
    assert (line["msg"], line["unchanged"]) == ("reloaded", "5")


def test_the_same_in_other_words_is_unchanged(live, write, backend, ca):
    """The effective configuration counts, not its text."""
    port = free_port()
    link = live(service("own", port, backend.port, ca), service("b", free_port(), 443, ca))
    text = link.agent.config.read_text()
    text = text.replace("[service own]", "; a comment\n\n\n[service   own]")
    text = re.sub(r"sni = localhost\n", "sni = localhost\nidle_timeout = 600s\n", text)
    done = link.apply(text)
    assert (done["changed"], done["unchanged"]) == (0, 2)


def test_a_default_changes_whom_it_concerns(live, write, backend, ca):
    link = live(
        service("a", free_port(), backend.port, ca),
        service("b", free_port(), backend.port, ca, idle_timeout="1m"),
    )
    text = link.agent.config.read_text()
    done = link.apply(text.replace("[defaults]", "[defaults]\nidle_timeout = 2m"))
    assert (done["changed"], done["unchanged"]) == (1, 1)


# What changes


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 3])
def test_another_address_is_used_at_once(live, write, two, ca, workers):
    """The first connection after the answer goes to the new backend; the old ones stay."""
    port, agent = free_port(), {"workers": workers}
    link = live(service("own", port, two[0].port, ca), agent=agent)
    inodes = listening_inodes(port)
    with connect(port) as first:
        assert recv_exact(first, 1) == b"1"
        for i in range(30):
            now = (i + 1) % 2
            link.apply(write(service("own", port, two[now].port, ca), agent=agent))
            assert answers(port) == str(now + 1).encode()
        say(first)
    assert listening_inodes(port) == inodes


def test_another_name_is_verified_at_once(live, write, backend, ca):
    port = free_port()
    link = live(service("own", port, backend.port, ca))
    with connect(port) as old:
        say(old)
        link.apply(write(service("own", port, backend.port, ca, verify_name="dns:other.test")))
        expect_no_service(port, b"secret")
        link.agent.ended(reason="cert_name_mismatch")
        say(old)
        link.apply(write(service("own", port, backend.port, ca)))
        exchange(port)


def test_timeouts_count_for_new_connections(live, write, backend, ca):
    port = free_port()
    link = live(service("own", port, backend.port, ca, idle_timeout="30s"))
    with connect(port) as old:
        say(old)
        link.apply(write(service("own", port, backend.port, ca, idle_timeout="200ms")))
        with connect(port) as new:
            say(new)
            expect_reset(new)
        link.agent.ended(reason="idle_timeout")
        say(old)
        link.apply(write(service("own", port, backend.port, ca)))
        with connect(port) as newer:
            say(newer)
            say(old)
    assert len(link.agent.wait_logs(2, msg="connection ended", reason="ok")) == 2


def test_a_limit_counts_over_all_generations(live, write, backend, ca):
    port = free_port()
    link = live(service("own", port, backend.port, ca))
    with connect(port) as one, connect(port) as other:
        say(one)
        say(other)
        link.apply(write(service("own", port, backend.port, ca, max_connections=2)))
        expect_no_service(port)
        link.agent.ended(reason="limit_reached")
        say(one)
        link.apply(write(service("own", port, backend.port, ca, max_connections=3)))
        exchange(port)
        say(other)


def test_a_port_is_changed(live, write, backend, ca):
    old, new = free_port(), free_port()
    link = live(service("own", old, backend.port, ca))
    with connect(old) as sock:
        say(sock)
        link.apply(write(service("own", new, backend.port, ca)))
        exchange(new)
        assert is_refused(old)
        say(sock)
    assert link.connections("own")["opened"] == 2


def test_a_port_more_and_a_port_less(live, write, backend, ca):
    first, second = free_port(), free_port()
    one, both = f"127.0.0.1:{first}", [f"127.0.0.1:{first}", f"127.0.0.1:{second}"]

    def make(listen):
        keys = {"address": f"127.0.0.1:{backend.port}", "ca": ca.cert, "sni": "localhost"}
        return section("service own", listen=listen, **keys)

    link = live(make(one))
    inodes = listening_inodes(first)
    for listen in (both, one, both, one):
        link.apply(write(make(listen)))
        exchange(first)
        if listen is both:
            exchange(second)
        else:
            assert is_refused(second)
    assert listening_inodes(first) == inodes


def test_a_change_that_descriptors_do_not_suffice_for(live, write, backend, ca):
    """It is refused in full, and what ran runs on with those that are left."""
    port = free_port()
    own = service("own", port, backend.port, ca)
    more = [service(f"s-{i}", free_port(), backend.port, ca) for i in range(40)]
    link = live(own)
    before = link.descriptors()
    soft, hard = resource.prlimit(link.agent.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(link.agent.pid, resource.RLIMIT_NOFILE, (before + 20, hard))
    try:
        faults = link.refuse(write(own, *more))
        assert "descriptors" in faults[0] and "LimitNOFILE" in faults[0]
        exchange(port)
        wait_for(lambda: link.descriptors() <= before, what="no descriptor to be left")
    finally:
        resource.prlimit(link.agent.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert link.apply(write(own, *more))["added"] == 40
    exchange(port)


@pytest.mark.threads
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_listener_comes_and_goes_quickly(live, write, backend, ca, short_path, kind):
    """It may be opened again before every worker has closed it."""
    place = free_port() if kind == "tcp" else short_path / "own.sock"
    stays = service("stays", free_port(), backend.port, ca)
    comes = service("comes", place if kind == "tcp" else f"unix:{place}", backend.port, ca)
    link = live(stays, comes, agent={"workers": 3})
    for _ in range(50):
        link.apply(write(stays, agent={"workers": 3}))
        link.apply(write(stays, comes, agent={"workers": 3}))
        exchange(place)


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 2])
def test_two_services_swap_their_ports(live, write, two, ca, workers):
    a, b = free_port(), free_port()
    agent = {"workers": workers}
    there = [service("x", a, two[0].port, ca), service("y", b, two[1].port, ca)]
    back = [service("x", b, two[0].port, ca), service("y", a, two[1].port, ca)]
    link = live(*there, agent=agent)
    inodes = listening_inodes(a), listening_inodes(b)
    with connect(a) as first, connect(b) as second:
        assert recv_exact(first, 1) + recv_exact(second, 1) == b"12"
        for text, word in ((back, b"21"), (there, b"12"), (back, b"21")):
            done = link.apply(write(*text, agent=agent))
            assert done["changed"] == 2
            assert answers(a) + answers(b) == word
            say(first)
            say(second)
    assert (listening_inodes(a), listening_inodes(b)) == inodes, "no socket was opened anew"


def test_three_services_rotate_tcp_and_unix(live, write, two, ca, short_path):
    places = [free_port(), short_path / "a.sock", short_path / "b.sock"]

    def texts(turn):
        at = [f"127.0.0.1:{p}" if isinstance(p, int) else f"unix:{p}" for p in places]
        return [
            service(f"s-{i}", at[(i + turn) % 3], two[0 if i == 0 else 1].port, ca,
                    socket_mode=f"06{i}0")
            for i in range(3)
        ]

    link = live(*texts(0))
    for turn in range(1, 5):
        link.apply(write(*texts(turn)))
        words = [answers(place) for place in places]
        assert words.index(b"1") == turn % 3 and words.count(b"2") == 2
        for k in (1, 2):
            mode = stat.S_IMODE(places[k].lstat().st_mode)
            assert oct(mode) == f"0o6{(k - turn) % 3}0", "the mode is the service's, not the path's"


def test_a_port_goes_to_another_service(live, write, two, ca):
    """From one that is removed, and from one that is changed, to one that is new."""
    a, b = free_port(), free_port()
    link = live(service("x", a, two[0].port, ca))
    inodes = listening_inodes(a)
    with connect(a) as old:
        assert recv_exact(old, 1) == b"1"
        done = link.apply(write(service("y", a, two[1].port, ca)))
        assert (done["added"], done["removed"]) == (1, 1)
        assert answers(a) == b"2"
        done = link.apply(write(service("y", b, two[1].port, ca), service("x", a, two[0].port, ca)))
        assert answers(a) + answers(b) == b"12"
        assert listening_inodes(a) == inodes
        say(old)


@pytest.mark.threads
def test_the_mode_of_a_unix_socket_is_changed(live, write, two, ca, short_path):
    path = short_path / "own.sock"

    def text(mode, backend=two[0]):
        return service("own", f"unix:{path}", backend.port, ca, socket_mode=mode)

    link = live(text("0600"))
    with connect(path) as old:
        assert recv_exact(old, 1) == b"1"
        for mode in ("0666", "0660", "0600"):
            link.apply(write(text(mode)))
            assert stat.S_IMODE(path.lstat().st_mode) == int(mode, 8)
            assert answers(path) == b"1"
        link.apply(write(text("0644", two[1])))
        assert answers(path) == b"2" and stat.S_IMODE(path.lstat().st_mode) == 0o644
        say(old)
    assert sorted(p.name for p in short_path.iterdir()) == ["own.sock", "status.sock"]


def test_a_unix_socket_that_was_removed_by_hand_comes_back(live, write, backend, ca, short_path):
    """Somebody cleaned the folder up: a reload puts things right, even of an unchanged service."""
    path = short_path / "own.sock"
    link = live(service("own", f"unix:{path}", backend.port, ca))
    for lost in ([path], [link.socket], [path, link.socket]):
        for socket_file in lost:
            socket_file.unlink()
        assert link.hang_up()["msg"] == "reloaded"
        exchange(path)
        assert link.status()["ready"]


def test_a_service_is_exposed_and_hidden_again(live, write, backend, ca):
    """The wider address and the narrower one have the same port: the agent is in its own way."""
    port = free_port()
    narrow = service("own", port, backend.port, ca)
    wide = service("own", f"0.0.0.0:{port}", backend.port, ca, expose="yes")
    wider = service("own", f"[::]:{port}", backend.port, ca, expose="yes")
    link = live(narrow)
    with connect(port) as old:
        say(old)
        for text in (wide, narrow, wider, narrow, wide, wider, narrow):
            link.apply(write(text))
            with connect(port, host="::1" if text is wider else "127.0.0.1") as sock:
                say(sock)
            say(old)


def test_places_change_hands_with_the_status_endpoint(live, write, backend, ca, short_path):
    """A service's port and path become the status endpoint's, and the other way round."""
    port, path, other = free_port(), short_path / "own.sock", free_port()

    def own(*listens):
        return section("service own", listen=listens, address=f"127.0.0.1:{backend.port}",
                       ca=ca.cert, sni="localhost")

    link = live(own(f"127.0.0.1:{port}", f"unix:{path}"))
    first = link.socket
    link.write(write(own(f"127.0.0.1:{other}", f"unix:{first}"),
                     agent={"status": [f"unix:{path}", f"127.0.0.1:{port}"]}))
    assert link.hang_up()["msg"] == "reloaded"
    link.socket = path
    assert link.status()["ready"]
    exchange(first)
    exchange(other)
    link.write(write(own(f"127.0.0.1:{port}", f"unix:{path}")))
    assert link.hang_up()["msg"] == "reloaded"
    link.socket = first
    assert link.status()["ready"]
    exchange(path)
    exchange(port)


def test_a_listener_moves_from_unix_to_tcp_and_back(live, write, backend, ca, short_path):
    path, port = short_path / "own.sock", free_port()
    places = [(f"unix:{path}", path), (f"127.0.0.1:{port}", port)]
    link = live(service("own", places[0][0], backend.port, ca))
    for i in range(1, 4):
        link.apply(write(service("own", places[i % 2][0], backend.port, ca)))
        exchange(places[i % 2][1])
        assert path.exists() == (i % 2 == 0)
    link.apply(write(service("own", places[0][0], backend.port, ca)))
    assert is_refused(port)


def test_an_include_that_comes_changes_and_goes(live, write, two, ca, tmp_path):
    folder, port, extra = tmp_path / "conf.d", free_port(), free_port()
    folder.mkdir()
    agent = {"include": f"{folder}/*.conf"}
    link = live(service("own", port, two[0].port, ca), agent=agent)
    (folder / "extra.conf").write_text(service("extra", extra, two[0].port, ca))
    assert link.post()["added"] == 1
    assert answers(extra) == b"1"
    (folder / "extra.conf").write_text(service("extra", extra, two[1].port, ca))
    assert link.post()["changed"] == 1
    assert answers(extra) == b"2"
    (folder / "extra.conf").write_text("[service extra]\nlisten = 1\n")
    faults = link.post(422)["faults"]
    assert any(fault.startswith(f"{folder}/extra.conf:2: ") for fault in faults)
    assert answers(extra) == b"2"
    (folder / "extra.conf").unlink()
    assert link.post()["removed"] == 1
    assert is_refused(extra)


# What goes, and what comes back


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 2])
def test_a_removed_service_drains(live, write, backend, ca, short_path, workers):
    port, path, agent = free_port(), short_path / "gone.sock", {"workers": workers}
    stays = service("stays", free_port(), backend.port, ca)
    gone = section("service gone", listen=[f"127.0.0.1:{port}", f"unix:{path}"],
                   address=f"127.0.0.1:{backend.port}", ca=ca.cert, sni="localhost")
    link = live(stays, gone, agent=agent)
    with connect(port) as tcp, connect(path) as local:
        say(tcp)
        say(local)
        assert link.apply(write(stays, agent=agent))["removed"] == 1
        assert is_refused(port)
        assert not path.exists()
        for sock in (tcp, local):
            say(sock, b"x" * 100000)
            sock.shutdown(socket.SHUT_WR)
            assert recv_all(sock) == b""
    lines = link.agent.wait_logs(2, msg="connection ended", service="gone")
    assert {line["reason"] for line in lines} == {"ok"}
    assert [entry["name"] for entry in link.status()["services"]] == ["stays"]


def test_a_removed_service_comes_back(live, write, backend, ca):
    port = free_port()
    stays, comes = service("stays", free_port(), backend.port, ca), service(
        "comes", port, backend.port, ca)
    link = live(stays, comes)
    socks = []
    for i in range(4):
        socks.append(connect(port))
        for sock in socks:
            say(sock)
        link.apply(write(stays))
        assert is_refused(port)
        link.apply(write(stays, comes))
    exchange(port)
    for sock in socks:
        say(sock)
        sock.close()
    link.agent.wait_logs(5, msg="connection ended", service="comes", reason="ok")
    wait_for(lambda: link.connections("comes")["active"] == 0, what="no connection to be left")


def test_connections_of_before_count_for_a_service_that_comes_back(live, write, backend, ca):
    """Its account lasts until its last connection has ended: the limit holds for all of them."""
    port, stays = free_port(), service("stays", free_port(), backend.port, ca)
    comes = service("comes", port, backend.port, ca, max_connections=1)
    link = live(stays, comes)
    with connect(port) as old:
        say(old)
        link.apply(write(stays))
        link.apply(write(stays, comes))
        assert link.connections("comes")["active"] == 1
        expect_no_service(port)
        say(old)
    link.agent.wait_log(msg="connection ended", service="comes", reason="ok")
    wait_for(lambda: link.connections("comes")["active"] == 0, what="the place to be free")
    exchange(port)


def test_a_service_is_removed_while_it_dials(live, write, backend, ca):
    """TCP that does not answer, and a handshake that does not: each ends by its own deadline."""
    stays = service("stays", free_port(), backend.port, ca)
    ports = [free_port(), free_port()]
    with Blackhole() as hole, Backend(stay_silent) as silent:
        link = live(
            stays,
            service("hole", ports[0], hole.port, ca, connect_timeout="1s"),
            service("silent", ports[1], silent.port, ca, handshake_timeout="1s"),
        )
        socks = [connect(port) for port in ports]
        silent.wait_sessions()
        wait_for(lambda: link.connections("hole")["active"] == 1, what="the call to be taken")
        link.apply(write(stays))
        for sock in socks:
            expect_reset(sock)
            sock.close()
    link.agent.ended(service="hole", reason="connect_timeout")
    link.agent.ended(service="silent", reason="handshake_timeout")


def test_a_handshake_ends_with_what_it_began_with(live, write, two, leaf, ca):
    """The backend answers only after the service was led elsewhere."""
    port, answer = free_port(), threading.Event()

    class Late(TlsBackend):
        def handle(self, session):
            assert answer.wait(30)
            super().handle(session)

    with Late(name_teller(b"L"), leaf, ca) as late:
        keys = {"handshake_timeout": "30s", "prewarm": 0}  # nobody else calls
        link = live(service("own", port, late.port, ca, **keys))
        with connect(port) as sock:
            late.wait_sessions()
            link.apply(write(service("own", port, two[0].port, ca, verify_name="dns:localhost")))
            assert answers(port) == b"1"
            answer.set()
            assert recv_exact(sock, 1) == b"L"
            say(sock)


def test_files_and_configuration_change_together(start, write, leaf, ca, gateway, short_path,
                                                 tmp_path):
    """The files are watched as well: whoever comes first, the new pair is presented as soon as the
    reload has been answered, and nothing is refused."""
    port, pair = free_port(), Pair(tmp_path / "identity", gateway)
    with Teller(leaf, ca) as teller:
        own = service("own", port, teller.port, ca)
        link = Live(start(write(own, certificate=pair), env=UNHEARD), short_path / "status.sock")
        with Caller(port) as old:
            for i in range(10):
                fresh = ca.issue("gateway", purpose="client")
                pair.put(fresh)
                link.apply(write(service("own", port, teller.port, ca, idle_timeout=f"{i + 60}s"),
                                 certificate=pair))
                assert shown(port) == serial(fresh)
            old.say()
    assert not link.agent.find_log(level="error")


# Names


@pytest.fixture
def names(tmp_path):
    why = dns.why_not()
    if why:
        pytest.skip(why)
    with dns.DnsServer() as server:
        yield server, dns.PrivateResolver(tmp_path / "etc", [server])


def test_names_are_not_forgotten(live, write, names, backend, ca):
    """DNS fails at the moment of the reload: who was found before stays found."""
    server, resolver = names
    server.set("own.test", "127.0.0.1")
    port, extra = free_port(), free_port()
    own = service("own", port, f"own.test:{backend.port}", ca)
    link = live(own, preexec=resolver.enter)
    exchange(port)
    asked = len(server.queries)
    server.set("own.test", silent=True)
    changed = service("own", port, f"own.test:{backend.port}", ca, idle_timeout="1m")
    for text in (changed, own, changed):
        assert link.apply(write(text))["changed"] == 1
        exchange(port)
    added = service("added", extra, f"own.test:{backend.port}", ca)
    link.apply(write(added, changed))
    exchange(extra)
    assert len(server.queries) == asked, "nobody needed to ask again"


def test_another_name_is_asked_for(live, write, names, two, ca):
    server, resolver = names
    server.set("one.test", "127.0.0.1")
    server.set("two.test", "127.0.0.1")
    port = free_port()
    link = live(service("own", port, f"one.test:{two[0].port}", ca), preexec=resolver.enter)
    assert answers(port) == b"1"
    link.apply(write(service("own", port, f"two.test:{two[1].port}", ca)))
    assert answers(port) == b"2", "the caller waits for the name, and is not sent to the old one"
    link.apply(write(service("own", port, f"none.test:{two[1].port}", ca)))
    expect_no_service(port)
    link.agent.ended(reason="dns_failed")


def test_who_waits_for_a_name_goes_on_waiting(live, write, names, two, ca):
    """DNS answers only after the service was changed: both its old callers and its new ones are
    served, and those of one that was removed are not forgotten either."""
    server, resolver = names
    server.set("late.test", silent=True)
    server.set("gone.test", silent=True)
    ports = [free_port(), free_port()]
    keys = {"connect_timeout": "1m"}
    own = service("own", ports[0], f"late.test:{two[0].port}", ca, **keys)
    gone = service("gone", ports[1], f"gone.test:{two[0].port}", ca, connect_timeout="2s")
    link = live(own, gone, preexec=resolver.enter)
    with connect(ports[0]) as old, connect(ports[1]) as forgotten:
        wait_for(lambda: link.connections("own")["active"] == 1
                 and link.connections("gone")["active"] == 1, what="the callers to be taken")
        link.apply(write(service("own", ports[0], f"late.test:{two[0].port}", ca,
                                 idle_timeout="1m", **keys)))
        with connect(ports[0]) as new:
            server.set("late.test", "127.0.0.1")
            assert recv_exact(new, 1) == b"1"
            assert recv_exact(old, 1) == b"1"
        say(old)
        expect_reset(forgotten)
        assert link.agent.ended(service="gone")["side"] == "network"


# [agent]


def test_log_level_and_format_are_changed(live, write, backend, ca):
    port = free_port()
    own = service("own", port, backend.port, ca)
    link = live(own)
    link.apply(write(own, agent={"log_level": "error"}))
    quiet = len(link.agent.raw)
    exchange(port)
    wait_for(lambda: link.connections("own")["active"] == 0, what="the connection to end")
    link.apply(write(own, agent={"log_level": "info", "log_format": "json"}))
    exchange(port)
    link.agent.wait_log(msg="connection ended")
    later = link.agent.raw[quiet:]
    assert sum("connection ended" in line for line in later) == 1
    shown = [line for line in later if "connection ended" in line]
    assert json.loads(re.sub(r"^<\d>", "", shown[0]))["service"] == "own"
    link.apply(write(own, agent={"log_format": "text"}))
    exchange(port)
    link.agent.wait_logs(2, msg="connection ended")
    assert "msg=" in link.agent.raw[-1]


def test_the_status_address_is_changed(live, write, backend, ca, short_path):
    own = service("own", free_port(), backend.port, ca)
    link = live(own)
    old, new, port = link.socket, short_path / "new.sock", free_port()
    both = {"status": [f"unix:{new}", f"127.0.0.1:{port}"]}
    link.apply(write(own, agent=both))  # the answer comes although its socket is closed
    assert not old.exists()
    link.socket = new
    assert stat.S_IMODE(new.lstat().st_mode) == 0o660
    with connect(port) as sock:
        sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert recv_all(sock).startswith(b"HTTP/1.")
    link.write(write(own))
    told = link.reload("-s", str(new))
    assert (told.returncode, told.stderr) == (0, ""), told
    link.socket = old
    assert not new.exists()
    assert is_refused(port)
    assert link.configuration()["generation"] == 3


def test_status_is_turned_off_and_on(live, write, backend, ca):
    own = service("own", free_port(), backend.port, ca)
    link = live(own)
    link.apply(write(own, agent={"status": "off"}))
    assert not link.socket.exists()
    told = link.reload()
    assert told.returncode == 1 and "status is off" in told.stderr
    link.write(write(own))
    assert link.hang_up()["msg"] == "reloaded"
    link.post()


def test_a_change_of_workers_is_warned_of(live, write, backend, ca):
    port = free_port()
    own = service("own", port, backend.port, ca)
    link = live(own)
    link.write(write(own, agent={"workers": 2}))
    told = link.reload()
    assert told.returncode == 0
    assert re.search(r":\d+: warning: .*workers.*started anew", told.stderr), told.stderr
    assert link.agent.wait_log(level="warning", msg=lambda text: "workers has changed" in text)
    assert link.status()["workers"] == 1
    exchange(port)
    assert "workers" in link.reload().stderr, "it is still not in effect"
    link.write(write(own))
    assert link.reload().stderr == "", "that is in effect"


def test_shutdown_timeout_is_changed(live, write, backend, ca):
    port = free_port()
    own = service("own", port, backend.port, ca)
    link = live(own, agent={"shutdown_timeout": "10m"})
    link.apply(write(own, agent={"shutdown_timeout": "100ms"}))
    with connect(port) as sock:
        say(sock)
        assert link.agent.stop() == 1
        expect_reset(sock)


# systemd


class Manager:
    """The end of NOTIFY_SOCKET that systemd has."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(30)

    def next(self):
        """The next message as a dict."""
        message = self._socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in message.strip().split("\n"))

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(short_path):
    manager = Manager(short_path / "notify")
    yield manager
    manager.close()


def monotonic_us():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


@pytest.mark.parametrize("way", ["signal", "request"])
def test_systemd_is_told_of_each_reload(live, write, backend, ca, short_path, manager, way):
    own = service("own", free_port(), backend.port, ca)
    link = live(own, env={"NOTIFY_SOCKET": str(short_path / "notify")}, ready=False)
    assert manager.next()["READY"] == "1"
    link.agent.wait_log(msg="ready")

    def reload():
        begun = monotonic_us()
        link.hang_up() if way == "signal" else link.ask("POST", "/reload")
        first, second = manager.next(), manager.next()
        assert first["RELOADING"] == "1"
        assert begun <= int(first["MONOTONIC_USEC"]) <= monotonic_us()
        assert second["READY"] == "1"
        return second["STATUS"]

    more = service("more", free_port(), backend.port, ca)
    link.write(write(own, more))
    assert reload() == "Serving 2 services"
    link.write(write(own, more) + "colour = blue\n")
    status = reload()
    assert status.startswith("Reload refused") and link.line_of("colour") in status
    link.write(write(own))
    assert reload() == "Serving 1 services"


def test_a_manager_that_does_not_read_holds_nothing_up(live, write, backend, ca, short_path,
                                                       manager):
    port = free_port()
    own = service("own", port, backend.port, ca)
    link = live(own, env={"NOTIFY_SOCKET": str(short_path / "notify")})
    for _ in range(12):
        link.post()
    exchange(port)
    assert link.agent.stop() == 0
    assert manager.next()["READY"] == "1"


def test_systemd_is_told_of_the_end_of_a_reload_that_is_cut(live, write, ca, gateway, short_path,
                                                            manager):
    with Backend(stay_silent) as silent:
        link, _ = hold_up(live, write, silent, ca, handshake_timeout="2m",
                          start_options={"env": {"NOTIFY_SOCKET": str(short_path / "notify")},
                                         "ready": False})
        assert "READY" in manager.next()
        assert "RELOADING" in manager.next()
        assert link.agent.stop() == 0
        assert "STOPPING" in manager.next()


# When it is asked at an awkward time


@pytest.mark.memory
def test_a_storm_of_signals_is_coalesced(live, write, two, ca):
    port = free_port()

    def own(i):
        return service("own", port, two[i].port, ca, idle_timeout=f"{60 + i}s")

    link = live(own(0))
    link.post()
    descriptors = link.descriptors()
    memory = link.agent.rss_kib()
    with connect(port) as old:
        assert recv_exact(old, 1) == b"1"
        for i in range(100):
            link.write(write(own((i + 1) % 2) if i < 99 else own(1)))
            link.agent.signal(SIGHUP)
        wait_for(lambda: answers(port) == b"2", what="the last state to be in use")
        link.post()
        assert answers(port) == b"2"
        say(old)
    ends = link.outcomes()
    assert all(line["msg"] == "reloaded" for line in ends)
    assert len(ends) <= 102
    wait_for(lambda: link.connections("own")["active"] == 0, what="no connection to be left")
    wait_for(lambda: link.descriptors() <= descriptors, what="no descriptor to be left")
    assert sanitizer() or link.agent.rss_kib() < memory + 4096


def test_signals_during_a_reload_make_one_more(live, write, leaf, ca, gateway):
    """A canary at a backend that does not answer holds a reload up: all who ask meanwhile are
    served by one more, which reads what is on disk then."""
    with Backend(stay_silent) as silent:
        link, port = hold_up(live, write, silent, ca)
        for i in range(100):
            link.agent.signal(SIGHUP)
            link.write(write(service("own", port, silent.port, ca, canary="no",
                                     handshake_timeout="2s", idle_timeout=f"{i + 1}s")))
        asking = [threading.Thread(target=link.post, daemon=True) for _ in range(5)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(60)
        assert link.configuration()["generation"] == 3
        assert len(link.outcomes()) == 2
        assert link.apply(link.agent.config.read_text())["unchanged"] == 1


def hold_up(live, write, silent, ca, start_options=None, **keys):
    """A reload that is under way, since its canary waits for the backend's handshake."""
    port = free_port()
    keys = {"handshake_timeout": "2s", "prewarm": 0, **keys}  # nobody else calls
    link = live(service("own", port, silent.port, ca, **keys), **(start_options or {}))
    link.agent.wait_log(msg="ready")
    fresh = ca.issue("fresh", purpose="client")
    link.write(write(service("own", port, silent.port, ca, **keys), certificate=fresh))
    link.agent.signal(SIGHUP)
    silent.wait_sessions()
    return link, port


@pytest.mark.threads
def test_stopping_during_a_reload_is_prompt(live, write, backend, ca):
    services = [service(f"s-{i}", free_port(), backend.port, ca) for i in range(50)]
    for _ in range(5):
        link = live(*services, agent={"shutdown_timeout": "30s"})
        for _ in range(3):
            link.agent.signal(SIGHUP)
        assert link.agent.stop() == 0
        assert link.agent.wait_log(msg="stopped")


def test_who_asks_may_leave(live, write, leaf, ca, gateway):
    """Callers of POST /reload that are gone when the answer is there harm nobody."""
    with Backend(stay_silent) as silent:
        link, _ = hold_up(live, write, silent, ca)
        for _ in range(5):
            with connect(link.socket) as sock:
                sock.sendall(b"POST /reload HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert link.status()["configuration"]["generation"] == 1, "it can be seen meanwhile"
        link.post()
        link.post()


def test_many_ask_at_once(live, backend, ca):
    link = live(service("own", free_port(), backend.port, ca))
    answers_of_all = in_parallel([link.post] * 8)
    assert all(answer["result"] == "ok" for answer in answers_of_all)
    ends = [answer["generation"] for answer in answers_of_all]
    assert max(ends) == link.configuration()["generation"] <= 9


def test_what_the_backend_refuses_is_refused(live, write, backend, ca, other_ca):
    """The same for a certificate that the backend does not take, which only the canary finds."""
    port = free_port()
    own = service("own", port, backend.port, ca)
    link = live(own)
    stranger = other_ca.issue("stranger", purpose="client")
    link.write(write(own, certificate=stranger))
    told = link.reload()
    assert told.returncode == 2 and "own" in told.stderr, told.stderr
    assert "client_cert_untrusted" in told.stderr, told.stderr
    link.agent.wait_log(level="error", msg=lambda text: "client_cert_untrusted" in text)
    exchange(port)
    assert link.apply(write(own))["unchanged"] == 1


@pytest.mark.memory
def test_nothing_leaks(live, write, backend, ca, short_path):
    """Reloads that are applied, and those that are refused at the last step."""
    taken = free_port()
    ports = [free_port() for _ in range(20)]

    def some(turn):
        return [service(f"s-{i}", ports[i], backend.port, ca, idle_timeout=f"{60 + turn}s")
                for i in range(turn % 2, 20, 2)] + [
                    service("local", f"unix:{short_path}/local.sock", backend.port, ca,
                            socket_mode="0660" if turn % 2 else "0600")]

    def turn_over(turns):
        with socket.create_server(("127.0.0.1", taken)):
            for turn in range(turns):
                link.apply(write(*some(turn)))
                link.refuse(write(*some(turn + 1), service("last", taken, 443, ca)))
        link.apply(write(*some(0)))

    link = live(*some(0))
    turn_over(20)
    memory, descriptors = link.agent.rss_kib(), link.descriptors()
    turn_over(100)
    wait_for(lambda: link.descriptors() <= descriptors, what="no descriptor to be left")
    assert sanitizer() or link.agent.rss_kib() < memory + 1024


def test_stopping_while_a_canary_waits_is_prompt(live, write, ca, gateway):
    with Backend(stay_silent) as silent:
        link, _ = hold_up(live, write, silent, ca, handshake_timeout="2m")
        answer = []
        asking = threading.Thread(target=lambda: answer.append(link.reload()), daemon=True)
        asking.start()
        assert link.agent.stop(timeout=15) == 0
        asking.join(30)
        assert answer and answer[0].returncode != 0


def test_files_are_not_waited_for_at_the_end(live, write, backend, ca, tmp_path):
    """A file that never gives its content (a FIFO, as a dead network file system would be) holds up
    neither the traffic nor the end."""
    port, fifo = free_port(), tmp_path / "fifo"
    os.mkfifo(fifo)
    link = live(service("own", port, backend.port, ca))
    link.write(write(service("own", port, backend.port, fifo)))
    link.agent.signal(SIGHUP)
    exchange(port)
    assert link.agent.stop(timeout=15) == 0


@pytest.mark.threads
def test_draining_goes_on(live, write, backend, ca):
    port = free_port()
    own = service("own", port, backend.port, ca)
    link = live(own, agent={"shutdown_timeout": "60s"})
    with connect(port) as sock:
        say(sock)
        link.agent.signal(SIGTERM)
        link.agent.wait_log(msg="stopping")
        link.write(write(own, service("more", extra := free_port(), backend.port, ca)))
        link.agent.signal(SIGHUP)
        link.agent.wait_log(level="warning", msg=lambda text: "no reload" in text)
        told = link.reload()
        assert told.returncode == 1 and "shutting down" in told.stderr, told
        assert link.status()["state"] == "draining"
        say(sock)
        wait_for(lambda: is_refused(port), what="the port to close")
        assert is_refused(extra)
        sock.shutdown(socket.SHUT_WR)
        assert recv_all(sock) == b""
    assert link.agent.wait() == 0
    assert not link.outcomes()


def test_a_signal_before_it_is_ready_is_a_reload(live, write, backend, ca):
    """As early as can be: as soon as main() has begun. The default of SIGHUP would end it."""
    services = [service(f"s-{i}", free_port(), backend.port, ca) for i in range(100)]
    link = live(*services, ready=False)
    wait_for(lambda: is_blocked_or_caught(link.agent.pid, SIGHUP), what="main() to begin")
    link.agent.signal(SIGHUP)
    link.agent.wait_log(msg="ready")
    link.agent.wait_log(msg="reloaded", unchanged=str(len(services)))


def is_blocked_or_caught(pid, sig):
    text = Path(f"/proc/{pid}/status").read_text()
    masks = re.findall(r"Sig(?:Blk|Cgt):\s*(\w+)", text)
    return any(int(mask, 16) & 1 << (sig - 1) for mask in masks)


# A thousand


def test_one_of_a_thousand_is_changed(live, write, two, ca):
    ports = [free_port() for _ in range(1000)]

    def services(changed=None, other=0):
        return [
            # Sessions for each that wait would be too many for backends written in Python.
            service(f"s-{i}", port, two[other if i == changed else 0].port, ca, prewarm=0)
            for i, port in enumerate(ports)
        ]

    link = live(*services())
    with connect(ports[0]) as sock:
        assert recv_exact(sock, 1) == b"1"
        done = link.apply(write(*services(567, 1)))
        assert [done[key] for key in ("added", "changed", "removed", "unchanged")] == [0, 1, 0, 999]
        assert answers(ports[567]) == b"2" and answers(ports[566]) == b"1"
        done = link.apply(write(*services()[:500], *services()[501:]))
        assert [done[key] for key in ("added", "changed", "removed", "unchanged")] == [0, 1, 1, 998]
        assert is_refused(ports[500])
        done = link.apply(write(*reversed(services())))
        assert [done[key] for key in ("added", "changed", "removed", "unchanged")] == [1, 0, 0, 999]
        assert answers(ports[500]) == answers(ports[999]) == b"1"
        say(sock)


# Under load


class Fleet:
    """Services for a load, and how they change with each reload. Those in `places` stay."""

    def __init__(self, backend, ca, folder, identities):
        self._backend, self._ca, self._identities = backend, ca, identities
        self._ports = {name: free_port() for name in ("one", "two", "tuned", "renewed", "wide",
                                                      "left", "right", "second")}
        self._path = folder / "local.sock"
        self._spare = [free_port() for _ in range(3)]
        self.places = [self._path, *(port for name, port in self._ports.items()
                                     if name != "second")]

    def _make(self, name, *listens, **keys):
        """With patience: a machine that is busy is no fault."""
        keys = {"connect_timeout": "1m", "handshake_timeout": "1m", **keys}
        return section(
            f"service {name}",
            listen=[at if isinstance(at, str) else f"127.0.0.1:{at}" for at in listens],
            address=f"127.0.0.1:{self._backend.port}", ca=self._ca.cert, sni="localhost", **keys)

    def services(self, turn):
        ports = self._ports
        sides = (ports["left"], ports["right"]) if turn % 2 else (ports["right"], ports["left"])
        return [
            self._make("one", ports["one"]),
            self._make(f"guest-{turn}", self._spare[turn % 3]),
            self._make("tuned", ports["tuned"], idle_timeout=f"{300 + turn}s"),
            self._make("two", ports["two"]),
            self._make("renewed", ports["renewed"], certificate=f"c{turn // 10 % 2}"),
            self._make("wide", *([ports["wide"], ports["second"]][: 1 + turn % 2])),
            self._make("left", sides[0]),
            self._make("right", sides[1]),
            self._make("local", f"unix:{self._path}", socket_mode="0660" if turn % 2 else "0600"),
        ]

    def text(self, turn, write):
        certificates = [section(f"certificate c{i}", cert=identity.cert, key=identity.key)
                        for i, identity in enumerate(self._identities)]
        return write(*certificates, *self.services(turn), agent={"workers": 2},
                     certificate=None, defaults={"certificate": "c0"})


@pytest.mark.threads
def test_a_hundred_reloads_under_load(start, write, leaf, ca, gateway, short_path):
    """Services are added, changed, moved and removed in each: not one connection of those that stay
    fails, and not one byte is another."""
    other = ca.issue("gateway", purpose="client")
    turns, standing = (25, 50) if sanitizer() else (100, 200)
    with EchoProcess(leaf, ca) as backend:
        fleet = Fleet(backend, ca, short_path, [gateway, other])
        link = Live(start(fleet.text(0, write), env=UNHEARD), short_path / "status.sock")
        descriptors = link.descriptors()
        with Load(fleet.places, standing, rate=500) as load:
            for turn in range(1, turns + 1):
                load.wait_calls(20)
                done = link.apply(fleet.text(turn, write))
                is_renewed = turn % 10 == 0
                assert [done[key] for key in ("added", "changed", "removed", "unchanged")] == [
                    1, 5 + is_renewed, 1, 3 - is_renewed]
        assert load.errors == []
        wait_for(lambda: active(link) == 0, what="no connection to be left")
        opened = sum(entry["connections"]["opened"] for entry in link.status()["services"])
        assert opened == load.calls + standing
        assert sum(entry["bytes"]["sent"] for entry in link.status()["services"]) == load.moved
        assert sum(entry["bytes"]["received"] for entry in link.status()["services"]) == load.moved
        link.apply(fleet.text(0, write))
        wait_for(lambda: link.descriptors() <= descriptors, what="no descriptor to be left")
    ended = link.agent.all_log(msg="connection ended")
    assert {line["reason"] for line in ended} == {"ok"}


def active(link):
    return sum(entry["connections"]["active"] for entry in link.status()["services"])
