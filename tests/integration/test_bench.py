"""That the benchmark works and calculates right; never how fast anything is."""

import importlib.machinery
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from harness.agent import TREE, program
from harness.net import HANG, free_port, recv_until, wait_for

BENCH = TREE / "tests/bench"
sys.path.insert(0, str(BENCH))

import cells  # noqa: E402
import link  # noqa: E402
import load  # noqa: E402
import processes  # noqa: E402
import report  # noqa: E402
import svg  # noqa: E402
from backend import Backend, make_files  # noqa: E402
from pki import Identity  # noqa: E402
from programs import ALL, Agent, Nginx  # noqa: E402
from summary import WANTED, Summary  # noqa: E402

MACHINE = {
    "date": "2026-01-02",
    "cpu": "a CPU",
    "kernel": "a kernel",
    "system": "a system",
    "cpus": "alone",
    "versions": {"mtls-agent": "mtls-agent 1", "nginx stream": "2"},
}
SIZES = {"services": "1,000", "few": "2,000", "many": "10,000"}
STORM = {"storm_rate": [300, 300], "resumed": [0, 0]}
CALLS = {"count": [90, 100]}


def rounds(**figures):
    """rounds(cpu=[1, 2]) is what two rounds measured."""
    return [dict(zip(figures, values)) for values in zip(*figures.values())]


def tables(summary):
    """The report's lines, each a list of its cells, by their first."""
    text = report.render(summary, ALL, MACHINE, SIZES, [])
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def judge(title, figures):
    wanted = next(each for each in WANTED if each.title.startswith(title))
    return wanted.judge(Summary(figures), SIZES)


class TestSummary:
    figures = {
        "keep-alive/50/100": {
            "mtls-agent": rounds(cpu=[8.0, 9.0, 13.0], errors=[0, 0, 0], others=[0, 0, 0.5]),
            "nginx": rounds(cpu=[12.0, 10.0, 11.0], errors=[0, 3, 0]),
            "stunnel": rounds(cpu=[30.0, 30.0, 30.0]),
            "floor": rounds(cpu=[1.0, 1.0, 1.0]),
        }
    }

    def test_median_spread_and_ratio_to_the_best_peer_with_tls(self):
        summary = Summary(self.figures)
        assert summary.median("keep-alive/50/100", "mtls-agent", "cpu") == 9
        assert summary.spread("keep-alive/50/100", "mtls-agent", "cpu") == pytest.approx(5 / 18)
        assert summary.ratio("keep-alive/50/100", "cpu") == pytest.approx(9 / 11)

    def test_what_was_not_measured_has_no_figure(self):
        summary = Summary(self.figures)
        assert summary.median("keep-alive/50/100", "haproxy", "cpu") is None
        assert summary.ratio("connect/full/rsa", "cpu") is None
        assert judge("CPU per GB, upload", {})["is_met"] is None

    def test_table(self):
        cells = tables(Summary(self.figures))["request, 50 connections, 100 B [µs]"]
        assert cells == ["9.00 ±28%", "11.0 ±9%!", "–", "30.0 ±0%", "1.00 ±0%", "0.82"]

    def test_one_disturbed_round_is_no_disturbed_median(self):
        many = rounds(cpu=[1.0, 1.0, 1.0], others=[0.1, 0.0, 0.1])
        assert Summary(self.figures).marks("keep-alive/50/100", "mtls-agent") == ""
        assert Summary({"bulk/upload": {"nginx": many}}).marks("bulk/upload", "nginx") == "~"

    @pytest.mark.parametrize(
        "row, figures, mark",
        [
            ("connect/resumed/rsa", {"resumed": [0.99, 1.0]}, ""),
            ("connect/resumed/rsa", {"resumed": [0.99, 0.0]}, "?"),
            ("connect/full/rsa", {"resumed": [0.0, 0.0]}, ""),
            ("connect/full/rsa", {"resumed": [0.0, 0.01]}, "?"),
            ("connect/full/rsa", {"resumed": [0.0, 0.0], "handshakes": [90, 90]}, ""),
            ("connect/full/rsa", {"resumed": [0.0, 0.0], "handshakes": [100, 89]}, "?"),
            ("connect/resumed/rsa", {"resumed": [1.0, 1.0], "handshakes": [89, 100]}, "?"),
            ("paced/storm", {**STORM, "storm_rate": [300, 299]}, ""),
            ("paced/storm", {**STORM, "storm_rate": [300, 200]}, "?"),
            ("paced/storm", {**STORM, "storm_errors": [0, 1]}, "!"),
            ("paced/quiet", {}, ""),
            ("first-byte/cold", {**CALLS, "resumed": [0.98, 0.91]}, ""),
            ("first-byte/cold", {**CALLS, "resumed": [0.98, 0.9]}, "?"),
            ("first-byte/warm", {**CALLS, "resumed": [0.98, 0.98], "count": [101, 100]}, "?"),
        ],
    )
    def test_a_row_that_is_not_what_it_says_is_marked(self, row, figures, mark):
        seen = {"cpu": [1.0, 1.0], "handshakes": [100, 100], "connections": [100, 100]}
        many = rounds(**{**seen, **figures})
        assert Summary({row: {"haproxy": many}}).marks(row, "haproxy") == mark

    @pytest.mark.parametrize(
        "row", ["connect/resumed/rsa", "connect/full/rsa", "first-byte/cold", "paced/storm"]
    )
    @pytest.mark.parametrize(
        "figures",
        [
            {},
            {"handshakes": [0, 0], "connections": [100, 100], "resumed": [0, 0]},
            {"handshakes": [100, 100], "resumed": [0, 0]},
            {"handshakes": [0, 0], "connections": [0, 0], "resumed": [0, 0]},
        ],
    )
    def test_what_the_log_does_not_show_is_not_so(self, row, figures):
        many = rounds(cpu=[1.0, 1.0], storm_rate=[300, 300], **figures)
        assert Summary({row: {"haproxy": many}}).marks(row, "haproxy") == "?"
        assert Summary({row: {"floor": many}}).marks(row, "floor") == ""

    def test_failures_are_told(self):
        failed = [{"failed": "it fell over"}]
        summary = Summary({"bulk/upload": {"nginx": failed, "mtls-agent": rounds(cpu=[1.0])}})
        assert summary.failures() == ["bulk/upload, nginx: it fell over"]
        assert "it fell over" in report.render(summary, ALL, MACHINE, SIZES, [])

    def test_work_per_second_is_held_against_the_highest(self):
        rates = {"mtls-agent": rounds(rate=[3.0]), "nginx": rounds(rate=[2.0])}
        cells = tables(Summary({"bulk/upload": {**rates, "stunnel": rounds(rate=[4.0])}}))
        assert cells["GB, upload [GB/s]"][-1] == "0.75"


class TestWanted:
    @pytest.mark.parametrize("ours, is_met", [(8.5, True), (8.6, False)])
    def test_ratio_to_the_best_peer(self, ours, is_met):
        told = judge(
            "CPU per keep-alive",
            {
                "keep-alive/50/100": {
                    "mtls-agent": rounds(cpu=[ours]),
                    "nginx": rounds(cpu=[20.0]),
                    "haproxy": rounds(cpu=[10.0]),
                }
            },
        )
        assert told["reached"] == pytest.approx(ours / 10) and told["line"] == 8.5
        assert told["is_met"] is is_met

    @pytest.mark.parametrize(
        "ours, peers, is_met", [(15, 30, True), (21, 30, False), (15, 14, False)]
    )
    def test_storm_is_held_against_quiet_and_the_peers(self, ours, peers, is_met):
        times = {"mtls-agent": ours, "nginx": peers}
        told = judge(
            "p99",
            {
                "paced/quiet": {name: rounds(p99_us=[10.0]) for name in times},
                "paced/storm": {name: rounds(p99_us=[time]) for name, time in times.items()},
            },
        )
        assert told["reached"] == ours / 10 and told["is_met"] is is_met

    def test_warm_is_held_against_cold_peers(self):
        told = judge(
            "first byte",
            {
                "first-byte/cold": {
                    "mtls-agent": rounds(p50_us=[60000]),
                    "nginx": rounds(p50_us=[62500]),
                },
                "first-byte/warm": {"mtls-agent": rounds(p50_us=[25000])},
            },
        )
        assert told["reached"] == pytest.approx(0.4) and told["is_met"]
        assert told["bars"] == {"mtls-agent": 25, "nginx": 62.5}

    def test_plot_is_whole(self):
        figures = {
            "bulk/upload": {"mtls-agent": rounds(cpu=[0.5]), "nginx": rounds(cpu=[1.0])},
            "bulk/download": {"mtls-agent": rounds(cpu=[0.7])},
        }
        judged = [each.judge(Summary(figures), SIZES) for each in WANTED]
        root = ElementTree.fromstring(svg.render(judged, "here & now"))
        space = "{http://www.w3.org/2000/svg}"
        bars = [each for each in root.iter(f"{space}rect") if each.get("class") != "back"]
        lines = list(root.iter(f"{space}line"))
        widths = [float(bar.get("width")) for bar in bars]
        assert len(bars) == 3 and widths[1] * 2 == pytest.approx(widths[2], abs=0.2)
        ratio_line = float(lines[0].get("x1")) - float(bars[1].get("x"))
        assert ratio_line == pytest.approx(0.8 * widths[2], abs=0.2)
        assert root.get("width") == "900" and "here & now" in [each.text for each in root.iter()]


class TestRun:
    @pytest.fixture(scope="class")
    def run(self):
        loader = importlib.machinery.SourceFileLoader("bench_run", str(BENCH / "run"))
        spec = importlib.util.spec_from_loader(loader.name, loader)
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
        return module

    @pytest.mark.parametrize(
        "failures, figures",
        [
            (0, [{"cpu": 1}, {"cpu": 2}]),
            (1, [{"cpu": 1}, {"cpu": 2}]),
            (2, [{"failed": "BenchError: 2"}] * 2),
        ],
    )
    def test_what_fails_is_tried_twice(self, run, failures, figures):
        tries = []

        def measure(_stage):
            tries.append(1)
            if len(tries) <= failures:
                raise processes.BenchError(len(tries))
            return [{"cpu": 1}, {"cpu": 2}]

        resets = []
        stage = SimpleNamespace(reset=lambda: resets.append(1))
        assert run.measure(cells.Cell(["one", "other"], measure), stage) == figures
        assert len(resets) == failures

    @pytest.mark.parametrize("prewarm", [None, "auto"])
    def test_a_first_byte_that_fails_is_no_figure(self, prewarm):
        def fail(*_, **__):
            raise processes.BenchError("no start")

        stage = SimpleNamespace(kind=Agent, services=lambda *_, **__: [], new_program=fail)
        near = SimpleNamespace(near=None)
        with pytest.raises(processes.BenchError):
            cells.first_byte_of(stage, None, near, prewarm)
        stage.kind = Nginx
        assert cells.first_byte_of(stage, None, near, "auto") is None

    @pytest.mark.parametrize("spare, n_notes", [([], 1), ([2], 0)])
    def test_workers_that_share_a_cpu_are_told(self, run, monkeypatch, spare, n_notes):
        monkeypatch.setattr(run, "SPARE_CPUS", spare)
        for globs, n in (("workers/*", n_notes), ("bulk/*", 0)):
            notes = []
            assert run.choose_cells(globs, notes)
            assert len([note for note in notes if "workers shared CPU" in note]) == n


WRK = """Running 2s test @ http://127.0.0.1:1/
  1 threads and 50 connections
  Latency Distribution
     50%  987.00us
     75%    1.50ms
     90%    2.00ms
     99%    1.02s 
  10 requests in 2.00s, 1KB read
"""


class TestLoad:
    def test_what_wrk_says(self):
        times, errors = load.read_wrk(WRK)
        assert times == {"p50_us": 987, "p90_us": 2000, "p99_us": 1020000} and errors == 0
        more = "  Socket errors: connect 1, read 2, write 3, timeout 4\n"
        more += "  Non-2xx or 3xx responses: 5\n"
        assert load.read_wrk(WRK + more)[1] == 11

    def test_what_wrk_does_not_say_is_a_fault(self):
        with pytest.raises(processes.BenchError):
            load.read_wrk("unable to connect")

    @pytest.fixture(scope="class")
    def generator(self, tmp_path_factory):
        return load.compile_load(tmp_path_factory.mktemp("load"))

    @pytest.fixture
    def server(self):
        with Server() as server:
            yield server

    def ask(self, generator, mode, port, *arguments):
        words = [str(word) for word in (generator, mode, port, *arguments)]
        done = subprocess.run(words, capture_output=True, check=True, timeout=60)
        return json.loads(done.stdout)

    def test_paced_asks_as_often_as_told(self, generator, server):
        told = self.ask(generator, "paced", server.port, "/100", 3, 100, 0.5)
        assert told["count"] == 50 and told["errors"] == 0
        assert server.connections == 3 and len(server.requests) == 53

    def test_a_late_answer_makes_those_behind_it_late(self, generator, server):
        server.delay = 0.1
        told = self.ask(generator, "paced", server.port, "/100", 1, 100, 0.1)
        assert told["count"] == 10 and told["p50_us"] > 300_000

    def test_connections_are_new_each_time(self, generator, server):
        told = self.ask(generator, "connect", server.port, "/100", 50, 0.4)
        assert told["count"] == 20 and server.connections == 20 and told["errors"] == 0

    def test_an_answer_that_is_none_is_an_error(self, generator, server):
        server.answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
        told = self.ask(generator, "connect", server.port, "/100", 50, 0.2)
        assert told["count"] == 0 and told["errors"] == 10

    def test_nobody_there_is_an_error(self, generator):
        told = self.ask(generator, "connect", free_port(), "/100", 50, 0.2)
        assert told["count"] == 0 and told["errors"] == 10

    def test_a_connection_that_failed_may_be_opened_anew(self, generator):
        """There are more of them than connections that may be open at once."""
        told = self.ask(generator, "connect", free_port(), "/100", 100_000, 0.25)
        assert told["count"] == 0 and told["errors"] == 25_000

    def test_a_connection_that_ends_is_one_error(self, generator, server):
        server.leaves_after = 2
        told = self.ask(generator, "paced", server.port, "/100", 2, 20, 0.5)
        assert told["errors"] == 1 and told["count"] >= 9

    def test_bodies_are_counted(self, generator, tmp_path):
        make_files(tmp_path)
        backend = Backend(tmp_path / "backend", tmp_path, {"plain": (None, False)}, 1000)
        with backend:
            port = backend.doors["plain"].port
            told = self.ask(generator, "bulk", port, 1, 1, 1 << 20, 0.1)
        assert told["errors"] == 0
        assert told["downloaded"] % (64 << 20) == 0 < told["downloaded"]
        assert told["uploaded"] % (1 << 20) == 0 < told["uploaded"]


class Server:
    """Answers each request on each connection the same, after a while if told so. The first
    connection it may leave, a moment after so many answers."""

    def __init__(self):
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.delay = self.connections = self.leaves_after = 0
        self.requests = []

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            count = self.leaves_after if self.connections == 1 else 0
            threading.Thread(target=self._serve, args=(sock, count), daemon=True).start()

    def _serve(self, sock, count):
        with sock:
            try:
                while recv_until(sock, b"\r\n\r\n").endswith(b"\r\n\r\n"):
                    self.requests.append(1)
                    threading.Event().wait(self.delay)
                    sock.sendall(self.answer)
                    count -= 1
                    if count == 0:
                        threading.Event().wait(0.02)  # nothing is under way
                        return
            except (OSError, AssertionError):
                pass

    def __exit__(self, *_):
        self._listener.close()


def test_the_backend_tells_of_its_handshakes(tmp_path):
    make_files(tmp_path)
    identity = Identity(tmp_path, "p256")
    with Backend(tmp_path / "backend", tmp_path, {"door": (identity, True)}, 1000) as backend:
        port = backend.doors["door"].port
        before = backend.requests()
        done = subprocess.run(
            [
                "curl", "-s", "--cacert", identity.ca, "--cert", identity.client,
                "--key", identity.client_key, "--connect-to", f"::127.0.0.1:{port}",
                f"https://backend.bench:{port}/100",
            ],
            capture_output=True,
            check=True,
            timeout=HANG,
        )
        assert done.stdout == b"x" * 100 and backend.requests() == before + 1
        told = wait_for(backend.handshakes, what="the log")
    assert [(line[0], line[1], line[2]) for line in told] == [(port, False, "TLSv1.3")]


def test_the_link_delays_the_first_packet_too(tmp_path):
    if link.why_not():
        pytest.skip(link.why_not())
    script = (
        "import socket, sys, time\n"
        "start = time.monotonic()\n"
        "sock = socket.create_connection((sys.argv[1], 7000), 20)\n"
        "connected = time.monotonic()\n"
        "sock.sendall(b'x'); sock.recv(1); answered = time.monotonic()\n"
        "sock.shutdown(socket.SHUT_WR); sock.recv(1)\n"
        "print(connected - start, answered - connected, time.monotonic() - answered)\n"
    )
    echo = (
        "import socket, sys\n"
        "listener = socket.create_server((sys.argv[1], 7000))\n"
        "print('up', flush=True)\n"
        "sock = listener.accept()[0]\n"
        "sock.sendall(sock.recv(1)); sock.recv(1)\n"
    )
    with link.Link(0.02) as way:
        command = [sys.executable, "-c", echo, way.far_host]
        with processes.Process(command, tmp_path, network=way.far, stdout=-1) as far:
            assert far.process.stdout.readline() == b"up\n"
            command = [sys.executable, "-c", script, way.far_host]
            with processes.Process(command, tmp_path, network=way.near, stdout=-1) as near:
                times = [float(word) for word in near.process.stdout.readline().split()]
    assert len(times) == 3 and all(each >= 0.0199 for each in times), times


def run_bench(tmp_path, *options):
    command = [BENCH / "run", "--agent", program(), *options]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.Popen(
        command, env=environment, preexec_fn=heed_interrupts,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def heed_interrupts():
    """Also where a shell runs the tests in its background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_quick_run(tmp_path):
    made = [tmp_path / "figures.json", tmp_path / "plot.svg"]
    only = "keep-alive/1/100,connect/full/p256,bulk/upload"
    with run_bench(
        tmp_path, "--quick", "--only", only, "--programs", "mtls-agent",
        "--json", made[0], "--svg", made[1],
    ) as run:
        output, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    told = json.loads(made[0].read_text())
    for row in only.split(","):
        figures = told["figures"][row]["mtls-agent"][0]
        assert figures["cpu"] > 0 and figures["errors"] == 0, figures
    connect = told["figures"]["connect/full/p256"]["mtls-agent"][0]
    assert connect["handshakes"] > 0 and connect["resumed"] == 0
    assert connect["tls"][0].startswith("TLSv1.3 ")
    assert "| new connection, full, P-256 [µs] |" in output and "GnuTLS" in output
    assert "kernel" in told["machine"] and ElementTree.parse(made[1]) is not None
    assert set(tmp_path.iterdir()) == set(made)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_leaves_nothing(tmp_path, number):
    """In the middle of a row that would go on for an hour."""
    only = ["--only", "bulk/*", "--programs", "mtls-agent", "--seconds", "3600"]
    with run_bench(tmp_path, *only) as run:
        mine = f"{tmp_path}/mtls-agent-bench-"
        wait_for(lambda: processes_with(mine, "/load\0bulk"), 60, "the load")
        run.send_signal(number)
        run.communicate(timeout=30)
    assert run.returncode == 128 + number
    assert not processes_with(mine) and not list(tmp_path.iterdir())


def processes_with(*texts):
    """The processes that name all of this on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_text(errors="replace")
            if all(text in line for text in texts):
                found.append(path.parent.name)
        except OSError:
            pass
    return found


def test_what_is_not_there_is_told(tmp_path):
    command = [BENCH / "run", "--agent", tmp_path / "none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2 and str(tmp_path / "none") in done.stderr
