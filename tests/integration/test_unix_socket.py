"""Services that listen on a UNIX socket: who may connect, what happens to the file, and that bytes
travel as they do over TCP."""

import grp
import os
import pwd
import signal
import socket
import stat

import pytest
from harness.agent import Agent, config, service
from harness.backends import TlsBackend, answer_digest, echo, send, swallow
from harness.net import (
    Sender,
    connect,
    digest,
    expect_eof,
    free_port,
    payload,
    recv_all,
    recv_exact,
    wait_for,
)

MIB = 1 << 20


@pytest.fixture
def path(short_path):
    return short_path / "service.sock"


@pytest.fixture
def listen(start, path, ca, gateway):
    """listen(BACKEND, key=value…) starts an agent that serves it on the socket at `path`."""

    def start_agent(backend, **keys):
        port = getattr(backend, "port", backend)
        text = service("backend", f"unix:{path}", port, ca, **keys)
        return start(config(text, certificate=gateway))

    return start_agent


def word(path, text=b"hello"):
    with connect(path) as sock:
        sock.sendall(text)
        assert recv_exact(sock, len(text)) == text


def test_exchange(listen, path, leaf, ca):
    with TlsBackend(echo, leaf, ca) as backend:
        agent = listen(backend)
        word(path)
        assert agent.ended(reason="ok")["caller"].startswith("unix:")


def test_large_both_ways(listen, path, leaf, ca):
    data = payload(16 * MIB)
    up = (answer_digest, data, digest(data).encode())
    down = (send(data), b"", data)
    for handler, said, answer in (up, down):
        with TlsBackend(handler, leaf, ca) as backend:
            agent = listen(backend)
            with connect(path) as sock:
                sender = Sender(sock, said, half_close=True)
                assert digest(expect_eof(sock)) == digest(answer)
                sender.finish()
            agent.ended(reason="ok")
            assert agent.stop() == 0


def test_half_close(listen, path, leaf, ca):
    with TlsBackend(answer_digest, leaf, ca) as backend:
        listen(backend)
        with connect(path) as sock:
            sock.sendall(b"question")
            sock.shutdown(socket.SHUT_WR)
            assert expect_eof(sock).decode() == digest(b"question")


def test_a_refused_backend_gives_no_byte(listen, path, ca, other_ca):
    """A UNIX socket knows no reset when all was read: the end must at least carry nothing."""
    leaf = other_ca.issue("localhost", dns=["localhost"])
    with TlsBackend(swallow, leaf, ca) as backend:
        agent = listen(backend)
        with connect(path) as sock:
            sock.sendall(b"secret")
            try:
                assert recv_all(sock) == b""
            except ConnectionResetError:
                pass
        assert agent.ended(reason="cert_untrusted").get("sent", "0") == "0"
        assert backend.wait_over()[0].received == 0


def test_mode_is_0600_by_default(listen, path, leaf, ca):
    listen(free_port())
    status = path.lstat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())


@pytest.mark.parametrize("mode", ["0660", "0666", "0600"])
def test_mode(listen, path, mode):
    """As it says, whatever the umask is."""
    before = os.umask(0o077)
    try:
        listen(free_port(), socket_mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.lstat().st_mode) == int(mode, 8)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_owner(listen, path):
    user, group = pwd.getpwnam("nobody"), grp.getgrnam("daemon")
    listen(free_port(), socket_user="nobody", socket_group="daemon", socket_mode="0660")
    status = path.lstat()
    assert (status.st_uid, status.st_gid) == (user.pw_uid, group.gr_gid)
    assert stat.S_IMODE(status.st_mode) == 0o660


def test_removed_at_exit(listen, path):
    agent = listen(free_port())
    assert path.exists()
    assert agent.stop() == 0
    assert not os.path.lexists(path)
    assert list(path.parent.iterdir()) == []  # nothing temporary is left beside it


def test_a_stale_file_is_replaced(listen, path, leaf, ca):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
        dead.listen()
    assert path.exists()
    with TlsBackend(echo, leaf, ca) as backend:
        listen(backend)
        word(path)


def test_what_a_killed_agent_left_is_replaced(listen, path, leaf, ca):
    with TlsBackend(echo, leaf, ca) as backend:
        agent = listen(backend)
        assert agent.stop(signal.SIGKILL) == -signal.SIGKILL
        assert path.exists()
        listen(backend)
        word(path)


def expect_no_start(tmp_path, text, path, why=""):
    with Agent(tmp_path / "refused", text, ready=False) as agent:
        assert agent.wait() != 0
        wait_for(lambda: str(path) in agent.dump(), what="the log to name the path")
        assert why in agent.dump()


@pytest.fixture
def text(path, ca, gateway):
    return config(service("backend", f"unix:{path}", free_port(), ca), certificate=gateway)


def test_a_live_socket_is_refused(tmp_path, text, path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as live:
        live.bind(str(path))
        live.listen()
        expect_no_start(tmp_path, text, path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.connect(str(path))  # still its owner's


def test_a_second_agent_is_refused(tmp_path, listen, text, path, leaf, ca):
    with TlsBackend(echo, leaf, ca) as backend:
        listen(backend)
        expect_no_start(tmp_path, text, path)
        word(path)


@pytest.mark.parametrize("make", ["file", "directory", "symlink"])
def test_what_is_no_socket_is_left_alone(tmp_path, text, path, make):
    target = path.parent / "precious"
    target.write_text("keep me")
    if make == "file":
        path.write_text("keep me")
    elif make == "directory":
        path.mkdir()
    else:
        path.symlink_to(target)
    expect_no_start(tmp_path, text, path, "what stands there is no socket")
    assert target.read_text() == "keep me"
    assert make != "file" or path.read_text() == "keep me"
    assert make != "directory" or path.is_dir()
    assert make != "symlink" or path.is_symlink()


def test_a_missing_directory_is_refused(tmp_path, ca, gateway, short_path):
    path = short_path / "missing" / "service.sock"
    text = config(service("backend", f"unix:{path}", free_port(), ca), certificate=gateway)
    expect_no_start(tmp_path, text, path)


def test_another_ones_socket_is_not_removed_at_exit(listen, path):
    """Somebody took the place over while we ran."""
    agent = listen(free_port())
    path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(path))
        assert agent.stop() == 0
        assert path.exists()


@pytest.mark.threads
def test_with_several_workers_and_beside_a_port(start, path, leaf, ca, gateway):
    port = free_port()
    with TlsBackend(echo, leaf, ca) as backend:
        agent = start(
            config(
                service("backend", f"127.0.0.1:{port}\nlisten = unix:{path}", backend.port, ca),
                certificate=gateway,
                agent={"workers": 4},
            )
        )
        for _ in range(40):
            word(path)
            word(port)
        agent.wait_logs(80, msg="connection ended", reason="ok")
        assert agent.stop() == 0
        assert not os.path.lexists(path)
