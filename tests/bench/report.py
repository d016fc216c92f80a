"""The summary as text, in tables that are Markdown too."""

from typing import NamedTuple

from summary import US, WANTED

LEGEND = (
    "Medians over the rounds ± half their range; the idle connections, starts and reloads, which "
    "have no ±, were measured once. The ratio is that of mtls-agent to the best other program with "
    "TLS. `!` answers had errors; `?` the handshakes or the storm were not what the row says, or "
    "not found; `~` something else used the program's CPU for more than a twentieth of the time."
)
LOGGING = "No program writes an access log; all log from warnings up."


class Row(NamedTuple):
    """A line of a table: which figure of which row, in which unit, times `scale`."""

    name: str
    title: str
    figure: str
    unit: str
    scale: float = 1.0
    best: object = min
    peers_row: str = ""


def _requests():
    for size, answer in (("100", "100 B"), ("16k", "16 KiB")):
        for count in (1, 50, 500):
            plural = "s" if count > 1 else ""
            yield f"keep-alive/{count}/{size}", f"request, {count} connection{plural}, {answer}"


def _connections():
    for how in ("resumed", "full"):
        for kind, key in (("p256", "P-256"), ("rsa", "RSA-2048")):
            yield f"connect/{how}/{kind}", f"new connection, {how}, {key}"


_CALLS = [*_requests(), *_connections()]
_WORKERS = [("workers/1", "request, 1 worker"), ("workers/2", "request, 2 workers")]
_BULK = [(f"bulk/{name}", f"GB, {name}") for name in ("download", "upload", "both")]
_PACED = [("paced/quiet", "2,000 requests/s, quiet"), ("paced/storm", "2,000 requests/s, storm")]
_FIRST = [
    ("first-byte/cold", "first byte, 20 ms link"),
    ("first-byte/warm", "first byte, 20 ms link, warm"),
]

TABLES = {
    "CPU time per unit of work": [
        *(Row(name, title, "cpu", "µs") for name, title in _CALLS),
        *(Row(name, title, "cpu", "s") for name, title in _BULK),
        *(Row(name, title, "cpu", "µs") for name, title in _WORKERS),
        Row("services/start", "start, {services} services", "cpu", "ms"),
        Row("services/reload", "reload, {services} services", "cpu", "ms"),
    ],
    "Latency": [
        *(
            Row(name, f"{title}, {quantile}", f"{quantile}_us", "ms", 1e-3, min, peers_row)
            for name, title, peers_row in (
                (*_FIRST[0], ""), (*_FIRST[1], _FIRST[0][0]), (*_PACED[0], ""), (*_PACED[1], "")
            )
            for quantile in ("p50", "p99")
        ),
        *(Row(name, f"{title}, p50", "p50_us", "ms", 1e-3) for name, title in _CALLS),
    ],
    "Memory": [
        Row("idle/few", "each of {few} idle connections", "each", "KiB"),
        Row("idle/many", "each of {many} idle connections", "each", "KiB"),
        Row("services/start", "resident, {services} services", "resident", "MiB"),
        Row("services/reload", "resident after reload", "resident", "MiB"),
    ],
    "Work per second": [
        *(Row(name, title, "rate", "/s", 1.0, max) for name, title in _CALLS),
        *(Row(name, title, "rate", "GB/s", 1.0, max) for name, title in _BULK),
    ],
}


def number(value):
    """Three digits that count, or all before the point."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _line(cells):
    return "| " + " | ".join(cells) + " |"


def _head(first, programs, *rest):
    cells = [first, *(program.title for program in programs), *rest]
    return [_line(cells), "|---" + "|--:" * (len(cells) - 1) + "|"]


def _cell(summary, row, program):
    value = summary.median(row.name, program, row.figure)
    if value is None:
        return "–"
    spread = summary.spread(row.name, program, row.figure)
    more = f" ±{spread:.0%}" if len(summary.values(row.name, program, row.figure)) > 1 else ""
    return number(value * row.scale) + more + summary.marks(row.name, program)


def _table(summary, title, rows, programs, sizes):
    lines = []
    for row in rows:
        if not any(summary.values(row.name, program.name, row.figure) for program in programs):
            continue
        cells = [_cell(summary, row, program.name) for program in programs]
        ratio = summary.ratio(row.name, row.figure, row.best, row.peers_row)
        name = f"{row.title.format(**sizes)} [{row.unit}]"
        lines.append(_line([name, *cells, number(ratio)]))
    return ["", *_head(title, programs, "ratio"), *lines] if lines else []


def _wanted(summary, sizes):
    words = {None: "not measured", True: "yes", False: "**no**"}
    head = ["", "| To be reached | wanted | reached | best peer | |", "|---|--:|--:|--:|---|"]
    lines = []
    for each in WANTED:
        told = each.judge(summary, sizes)
        if not told["bars"]:
            continue
        unit = f" {each.unit}" if each.is_absolute else ""
        below = ", below peers" if each.below_peers else ""
        best = told["best_peer"]
        peer = "–" if best is None else f"{number(best)} {each.unit}"
        lines.append(
            _line(
                [
                    told["title"],
                    f"≤ {each.limit:g}{unit}{below}",
                    number(told["reached"]) + unit,
                    peer,
                    words[told["is_met"]],
                ]
            )
        )
    return head + lines if lines else []


def _foot(machine, notes):
    versions = "; ".join(f"{name} {text}" for name, text in machine["versions"].items())
    return [
        "",
        LEGEND,
        "",
        f"{machine['date']}; {machine['cpu']}; {machine['kernel']}, {machine['system']}; "
        f"{machine['cpus']}. {LOGGING}",
        "",
        versions.replace(f"{US} {US}", US),
        *(f"\nNote: {note}" for note in notes),
    ]


def render(summary, programs, machine, sizes, notes):
    """The whole report. `sizes` are the numbers that titles name."""
    lines = []
    for title, rows in TABLES.items():
        lines += _table(summary, title, rows, programs, sizes)
    lines += _wanted(summary, sizes)
    return "\n".join([*lines, *_foot(machine, [*notes, *summary.failures()])]).strip() + "\n"
