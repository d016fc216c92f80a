"""Restart and upgrade under load: sockets that systemd holds, and an older agent that still serves
while the newer one begins. Nobody is refused, and nothing is lost."""

import contextlib
import http.client
import json
import os
import socket
import threading
from signal import SIGKILL, SIGTERM

import pytest
from harness.agent import Agent, config, service
from harness.backends import TlsBackend, echo
from harness.net import HANG, connect, free_port, recv_exact, wait_for

WORD = b"nothing is lost\n"
LONG = {"shutdown_timeout": "30s"}


@pytest.fixture
def backend(leaf, ca):
    with TlsBackend(echo, leaf, ca) as backend:
        yield backend


@pytest.fixture
def socket_of():
    """socket_of(WHERE) listens there as a manager would: at a port of 127.0.0.1, or a path."""
    with contextlib.ExitStack() as held:

        def listen(where=0, host="127.0.0.1"):
            if isinstance(where, int):
                sock = socket.create_server((host, where), backlog=1024)
            else:
                sock = socket.socket(socket.AF_UNIX)
                sock.bind(str(where))
                sock.listen(1024)
            return held.enter_context(sock)

        yield listen


def port_of(sock):
    return sock.getsockname()[1]


def say(sock, word=WORD):
    sock.sendall(word)
    assert recv_exact(sock, len(word)) == word


class Callers:
    """Threads that call without a pause, each time anew. Leaving the context fails with whatever
    went wrong for any of them."""

    def __init__(self, *wheres):
        self.served = [0] * len(wheres)
        self._errors, self._over = [], threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=item, daemon=True)
            for item in enumerate(wheres)
        ]

    def _call(self, i, where):
        while not self._over.is_set():
            try:
                with connect(where) as sock:
                    say(sock)
                self.served[i] += 1
            except (OSError, AssertionError) as error:
                self._errors.append(f"caller {i} after {self.served[i]} calls: {error!r}")

    def wait_for_more(self, count=5):
        """Until each of them was served so many times more."""
        wanted = [served + count for served in self.served]

        def are_served():
            self.check()
            return all(now >= then for now, then in zip(self.served, wanted))

        wait_for(are_served, what="all callers to be served")

    def check(self):
        assert not self._errors, "\n".join(self._errors[:20])

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(2 * HANG)
            assert not thread.is_alive(), "a caller hangs"
        if kind is None:
            self.check()


# Sockets that systemd holds


def test_a_service_listens_where_it_is_told(start, backend, ca, gateway, socket_of, short_path):
    """Several addresses under one name, and two services; a socket of another name is not taken."""
    path = short_path / "s.sock"
    first, second, local, other = socket_of(), socket_of(), socket_of(path), socket_of()
    text = config(
        service("orders", "systemd:orders", backend.port, ca),
        service("bills", "systemd:bills", backend.port, ca),
        certificate=gateway,
        agent={"workers": 2},
    )
    agent = start(
        text,
        sockets=[("orders", first), ("bills", local), ("orders", second), ("unused", other)],
    )
    for where, name in [(first, "orders"), (second, "orders"), (local, "bills")]:
        with connect(path if where is local else port_of(where)) as sock:
            say(sock)
        agent.ended(service=name, reason="ok")
    assert agent.stop() == 0
    assert path.exists()  # it belongs to who has made it


def refused(start, text, sockets=None):
    """What the agent says when it does not start."""
    agent = start(text, sockets=sockets, ready=False)
    assert agent.wait() in (1, 2)
    return agent.dump()


def test_a_socket_that_nobody_handed_over_is_named(start, ca, gateway, socket_of):
    text = config(service("orders", "systemd:orders", 443, ca), certificate=gateway)
    assert "orders" in refused(start, text) and "FileDescriptorName=" in refused(start, text)
    assert "FileDescriptorName=" in refused(start, text, [("other", socket_of())])


def test_only_what_listens_for_streams_is_taken(start, ca, gateway):
    text = config(service("orders", "systemd:orders", 443, ca), certificate=gateway)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        assert "stream" in refused(start, text, [("orders", datagrams)])
    with socket.socket(socket.AF_INET) as silent:
        assert "does not listen" in refused(start, text, [("orders", silent)])


def test_a_socket_that_other_hosts_can_reach_takes_expose(start, backend, ca, gateway, socket_of):
    sock = socket_of(host="0.0.0.0")
    keys = dict(name="orders", port="systemd:orders", backend_port=backend.port, ca=ca)
    text = config(service(**keys), certificate=gateway)
    assert "expose" in refused(start, text, [("orders", sock)])
    start(config(service(**keys, expose="yes"), certificate=gateway), sockets=[("orders", sock)])
    with connect(port_of(sock)) as caller:
        say(caller)


def test_variables_for_another_process_are_ignored(start, ca, gateway):
    text = config(service("s", free_port(), 443, ca), certificate=gateway)
    start(text, env={"LISTEN_PID": "1", "LISTEN_FDS": "3"})


@pytest.mark.parametrize("sig", [SIGTERM, SIGKILL])
def test_restart_under_load_refuses_nobody(start, backend, ca, gateway, socket_of, short_path, sig):
    """Not even when it is killed, of those who come afterwards: they wait in the socket's queue."""
    path = short_path / "s.sock"
    sockets = [("orders", socket_of()), ("orders", socket_of(path))]
    text = config(
        service("orders", "systemd:orders", backend.port, ca),
        certificate=gateway,
        agent={**LONG, "workers": 2},
    )
    wheres = [port_of(sockets[0][1]), path]
    agent = start(text, sockets=sockets)
    if sig == SIGTERM:
        with Callers(*wheres, *wheres) as callers:
            for _ in range(6):
                callers.wait_for_more()
                assert agent.stop() == 0
                agent = start(text, sockets=sockets)
            callers.wait_for_more()
        return
    agent.stop(SIGKILL)
    with Callers(*wheres) as callers:
        start(text, sockets=sockets)
        callers.wait_for_more()


# An older and a newer agent


@pytest.fixture
def generation(tmp_path, ca, gateway):
    """generation(TEXT) starts one more agent, beside those that run already."""
    with contextlib.ExitStack() as running:
        number = iter(range(1000))

        def begin(text, overlap=True, **options):
            directory = tmp_path / f"generation-{next(number)}"
            flags = ["--overlap"] if overlap else []
            arguments = ["run", "-c", str(directory / "mtls-agent.conf"), *flags]
            agent = Agent(directory, text, arguments=arguments, **options)
            return running.enter_context(agent)

        yield begin


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 2])
def test_an_overlap_under_load_loses_nothing(generation, backend, ca, gateway, short_path, workers):
    port, path = free_port(), short_path / "s.sock"
    text = config(
        service("orders", f"127.0.0.1:{port}, unix:{path}", backend.port, ca),
        certificate=gateway,
        agent={**LONG, "workers": workers},
    )
    agent = generation(text, overlap=False)
    with Callers(port, port, port, path) as callers:
        for _ in range(8):
            callers.wait_for_more()
            newer = generation(text)
            callers.wait_for_more(1)
            assert agent.stop() == 0
            agent = newer
        callers.wait_for_more()
    with connect(port) as sock:
        say(sock)


def test_open_connections_stay_with_the_older_agent(generation, backend, ca, gateway, short_path):
    port, path = free_port(), short_path / "s.sock"
    text = config(
        service("orders", f"127.0.0.1:{port}, unix:{path}", backend.port, ca),
        certificate=gateway,
        agent=LONG,
    )
    older = generation(text, overlap=False)
    with connect(port) as tcp, connect(path) as local:
        say(tcp)
        say(local)
        newer = generation(text)
        older.signal(SIGTERM)
        older.wait_log(msg="stopping", connections="2")
        with connect(path) as sock:
            say(sock)
        newer.wait_log(msg="connection ended", caller="unix:", reason="ok")
        while not newer.find_log(msg="connection ended", caller=lambda addr: "unix" not in addr):
            with connect(port) as sock:
                say(sock)
        say(tcp)
        say(local)
        assert older.process.poll() is None
    assert older.wait() == 0
    assert path.exists()
    assert newer.stop() == 0
    assert not path.exists()


def test_without_it_a_second_agent_does_not_start(generation, backend, ca, gateway, short_path):
    port, path = free_port(), short_path / "s.sock"
    for where in (f"127.0.0.1:{port}", f"unix:{path}"):
        text = config(service("orders", where, backend.port, ca), certificate=gateway)
        older = generation(text, overlap=False)
        second = generation(text, overlap=False, ready=False)
        assert second.wait() == 1
        assert "another program listens there" in second.dump()
        with connect(port if "127" in where else path) as sock:
            say(sock)
        assert older.stop() == 0


def test_a_port_of_another_program_is_not_shared(generation, ca, gateway):
    with socket.create_server(("127.0.0.1", port := free_port())):
        text = config(service("orders", port, 443, ca), certificate=gateway)
        agent = generation(text, ready=False)
        assert agent.wait() == 1
        assert "another program listens there" in agent.dump()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=HANG)
        self._path = path

    def connect(self):
        self.sock = connect(self._path)


def pid_at(path):
    """Who answers at the status endpoint."""
    with contextlib.closing(_UnixConnection(path)) as connection:
        connection.request("GET", "/status")
        return json.loads(connection.getresponse().read())["pid"]


def test_the_status_endpoint_is_the_newer_agents(generation, backend, ca, gateway, short_path):
    path = short_path / "status.sock"
    text = config(
        service("orders", free_port(), backend.port, ca),
        certificate=gateway,
        agent={**LONG, "status": f"unix:{path}"},
    )
    older = generation(text, overlap=False)
    assert pid_at(path) == older.pid
    newer = generation(text)
    assert pid_at(path) == newer.pid
    assert older.stop() == 0
    assert pid_at(path) == newer.pid


def test_a_killed_agents_socket_is_in_nobodys_way(generation, backend, ca, gateway, short_path):
    path = short_path / "s.sock"
    text = config(service("orders", f"unix:{path}", backend.port, ca), certificate=gateway)
    generation(text, overlap=False).stop(SIGKILL)
    assert path.exists()
    for overlap in (False, True):
        agent = generation(text, overlap=overlap)
        with connect(path) as sock:
            say(sock)
        os.kill(agent.pid, SIGKILL)
        assert agent.wait() == -SIGKILL
