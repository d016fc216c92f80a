"""What is measured. A cell measures one or several rows of the table for one program, and returns
the figures of each: `cpu` is CPU time of the program for one unit of work, `rate` is units of work
per second, `others` the share of time in which something else used the program's CPU."""

import contextlib
import functools
import time
from typing import Callable, NamedTuple

from backend import LARGE, Backend
from link import Link
from load import Load, Wrk
from measure import Span, cpu_seconds, pss_kib, resident_kib
from pki import KINDS
from processes import SPARE_CPUS, UNDER_TEST, BenchError, free_ports, wait_for
from programs import Service

CONNECTIONS = [1, 50, 500]
ANSWERS = ["100", "16k"]
HANDSHAKES = ["resumed", "full"]
ROUND_TRIP = 0.020
STORM_RATE = 300


class Cell(NamedTuple):
    """`measure(stage)` returns the figures of each of `rows`; None: not for this program."""

    rows: list
    measure: Callable
    is_for: Callable = lambda kind: True
    once: bool = False
    takes_link: bool = False


class Stage:
    """One program in one round. Its backend has a door for each kind of key and of handshake, and
    it a service for each; both are started when first wanted."""

    def __init__(self, bench, kind):
        self.bench, self.kind = bench, kind
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reset()

    def reset(self):
        """Ends both; they are started anew when wanted again."""
        self._stack.close()
        self.__dict__.pop("backend", None)
        self.__dict__.pop("program", None)

    @functools.cached_property
    def backend(self):
        return self._stack.enter_context(self.new_backend(self._doors()))

    @functools.cached_property
    def program(self):
        return self._stack.enter_context(self.new_program(self.services(self.backend)))

    def _doors(self):
        identities = self.bench.identities if self.kind.is_tls else dict.fromkeys(KINDS)
        return {
            f"{kind}-{handshake}": (identity, handshake == "resumed")
            for kind, identity in identities.items()
            for handshake in HANDSHAKES
        }

    def new_backend(self, doors, **options):
        """A backend with these doors, to be entered."""
        bench = self.bench
        return Backend(bench.path("backend"), bench.files, doors, bench.descriptors, **options)

    def new_program(self, services, **options):
        """The program with these services, to be entered."""
        return self.kind(self.bench, services, **options)

    def services(self, backend, **options):
        """A service for each door of a backend."""
        ports = free_ports(len(backend.doors))
        return [
            self.service(name, port, backend, name, **options)
            for port, name in zip(ports, backend.doors)
        ]

    def service(self, name, port, backend, door, **options):
        """A service that leads to a door of a backend."""
        door = backend.doors[door]
        identity = door.identity or self.bench.identities["p256"]
        return Service(name, port, backend.host, door.port, identity, **options)


def requests(stage, program, name, path, connections, keep=True):
    """Requests as fast as they go, for a while after all connections have had some."""
    bench, backend = stage.bench, stage.backend
    start = backend.requests()
    with Wrk(bench.directory, program.port(name), path, connections, keep) as wrk:
        wait_for(lambda: not keep or backend.connections() >= connections, "the connections")
        wait_for(lambda: backend.requests() >= start + 3 * connections, "the first requests")
        time.sleep(0.2)
        backend.handshakes()
        first = backend.requests()
        with Span(program.pid) as span:
            time.sleep(bench.seconds)
            count = backend.requests() - first
        wrk.end()
    if count <= 0:
        raise BenchError("no request was answered")
    return {
        "cpu": span.cpu / count * 1e6,
        "rate": count / span.seconds,
        "others": span.others,
        "connections": connections if keep else count,
        "errors": wrk.errors,
        **wrk.times,
    }


def keep_alive(connections, answer):
    def measure(stage):
        return [requests(stage, stage.program, "p256-resumed", f"/{answer}", connections)]

    return Cell([f"keep-alive/{connections}/{answer}"], measure)


def new_connection(kind, handshake):
    def measure(stage):
        door = f"{kind}-{handshake}"
        figures = requests(stage, stage.program, door, "/100", 10, keep=False)
        return [{**figures, **handshakes_of(stage.backend, door)}]

    # Without TLS all of these are the same.
    is_first = (kind, handshake) == ("p256", "resumed")
    return Cell([f"connect/{handshake}/{kind}"], measure, lambda kind: kind.is_tls or is_first)


def handshakes_of(backend, door):
    """What the backend's log tells of the handshakes at a door since it was looked at last."""
    time.sleep(0.2)  # it is written every 100 ms
    port = backend.doors[door].port
    found = [line for line in backend.handshakes() if line[0] == port]
    resumed = sum(is_resumed for _, is_resumed, _, _ in found)
    return {
        "handshakes": len(found),
        "resumed": resumed / max(len(found), 1),
        "tls": sorted({f"{protocol} {cipher}" for _, _, protocol, cipher in found}),
    }


def bulk(name, downloads, uploads):
    def measure(stage):
        bench, port = stage.bench, stage.program.port("p256-resumed")
        with Span(stage.program.pid) as span:
            with Load(bench, "bulk", port, downloads, uploads, LARGE, bench.seconds) as load:
                told = load.result()
        gigabytes = (told["downloaded"] + told["uploaded"]) / 1e9
        if not gigabytes:
            raise BenchError("no byte came through")
        rate = gigabytes / told["seconds"]
        return [{"cpu": span.cpu / gigabytes, "rate": rate, "others": span.others, **told}]

    return Cell([f"bulk/{name}"], measure)


def workers(stage):
    """The same requests with one worker and with two."""
    figures = []
    for count in (1, 2):
        services = stage.services(stage.backend)
        with stage.new_program(services, workers=count, cpus=cpus_for(count)) as program:
            figures.append(requests(stage, program, "p256-resumed", "/100", 50))
    return figures


def cpus_for(count):
    """Where so many workers run: each alone, as far as there are CPUs besides the first two."""
    return (UNDER_TEST, *SPARE_CPUS[: count - 1])


def idle(stage):
    """Memory that connections take which have had one answer and wait for more."""
    bench, figures = stage.bench, []
    with stage.new_program(stage.services(stage.backend)) as program:
        port = program.port("p256-resumed")
        with Load(bench, "connect", port, "/100", 50, 0.5) as load:
            load.result()
        before = settled(lambda: pss_kib(program.pid))
        with Load(bench, "idle", port, "/100") as load:
            for wanted in bench.idle:
                told = load.ask(wanted)
                after = settled(lambda: pss_kib(program.pid))
                each = (after - before) / max(told["open"] - told["errors"], 1)
                figures.append({"each": each, "before": before, "after": after, **told})
    return figures


def settled(read, patience=5.0):
    """What `read()` gives when it stays within 1 % for half a second, or in the end."""
    value, end = read(), time.monotonic() + patience
    while time.monotonic() < end:
        time.sleep(0.5)
        last, value = value, read()
        if abs(value - last) <= 0.01 * last:
            break
    return value


def first_byte(stage):
    """Time from a caller's connect to the first byte of its answer, over a link with a round trip
    of 20 ms, with a new connection every 100 ms."""
    with Link(ROUND_TRIP) as link:
        door = {"far": (stage.bench.identities["p256"] if stage.kind.is_tls else None, True)}
        with stage.new_backend(door, host=link.far_host, network=link.far) as backend:
            warm = first_byte_of(stage, backend, link, prewarm="auto")
            return [first_byte_of(stage, backend, link), warm]


def first_byte_of(stage, backend, link, prewarm=None):
    """The second of two loads; the first is there for tickets, and for `auto` to learn from."""
    if prewarm and not stage.kind.can_prewarm:
        return None
    services = stage.services(backend, prewarm=prewarm)
    with stage.new_program(services, network=link.near) as program:
        call = ["connect", program.port("far"), "/100", 10]
        backend.handshakes()
        for seconds in (1.0, max(1.0, 2 * stage.bench.seconds)):
            with Load(stage.bench, *call, seconds, network=link.near) as load:
                told = load.result()
    return {**told, **handshakes_of(backend, "far")}


def services(stage):
    """What it takes to start with many services, and to take up one more."""
    ports = free_ports(stage.bench.services + 1)
    all_of_them = [
        stage.service(f"service-{i}", port, stage.backend, "p256-resumed")
        for i, port in enumerate(ports)
    ]
    with stage.new_program(all_of_them[:-1]) as program:
        start = settled(lambda: cpu_seconds(program.pid))
        resident = resident_kib(program.pid)
        program.reload(all_of_them)
        program.wait_ready()
        reload = settled(lambda: cpu_seconds(program.pid)) - start
        after = resident_kib(program.pid)
    return [
        {"cpu": start * 1e3, "resident": resident / 1024},
        {"cpu": reload * 1e3, "resident": after / 1024},
    ]


def storm(stage):
    """The latency of paced requests on established connections, without and with a storm of full
    RSA handshakes through another service. Their backend is not that of the storm, and what makes
    the storm gives way to what measures."""
    bench, identities = stage.bench, stage.bench.identities
    doors = {"storm": (identities["rsa"], False)}
    with stage.new_backend(doors, gives_way=True) as backend:
        together = stage.services(stage.backend) + stage.services(backend)
        with stage.new_program(together) as program:
            seconds = 2 * bench.seconds
            quiet = paced(bench, program, seconds)
            port = program.port("storm")
            length = seconds + 1.5
            call = ["connect", port, "/100", STORM_RATE, length]
            with Load(bench, *call, gives_way=True) as load:
                time.sleep(0.5)
                before, began = backend.requests(), time.monotonic()
                stormy = paced(bench, program, seconds)
                rate = (backend.requests() - before) / (time.monotonic() - began)
                told = load.result()
        made = {
            "storm_rate": rate,
            "storm_errors": told["errors"],
            "connections": told["count"],
        }
        return [quiet, {**stormy, **made, **handshakes_of(backend, "storm")}]


def paced(bench, program, seconds):
    """20 connections with 2,000 requests a second in all."""
    port = program.port("p256-resumed")
    with Load(bench, "paced", port, "/100", 20, 2000, seconds) as load:
        with Span(program.pid) as span:
            told = load.result()
    return {"cpu": span.cpu / told["count"] * 1e6, "others": span.others, **told}


def _is_tls(kind):
    return kind.is_tls


CELLS = [
    *(keep_alive(count, answer) for answer in ANSWERS for count in CONNECTIONS),
    *(new_connection(kind, how) for how in HANDSHAKES for kind in KINDS),
    bulk("download", 4, 0),
    bulk("upload", 0, 4),
    bulk("both", 2, 2),
    Cell(["idle/few", "idle/many"], idle, once=True),
    Cell(["first-byte/cold", "first-byte/warm"], first_byte, takes_link=True),
    Cell(["workers/1", "workers/2"], workers, lambda kind: kind.is_tls and kind.has_workers),
    Cell(["services/start", "services/reload"], services, _is_tls, once=True),
    Cell(["paced/quiet", "paced/storm"], storm, _is_tls),
]
