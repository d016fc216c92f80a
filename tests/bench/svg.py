"""The plot: for each figure to be reached a panel of bars, one for each program, with a line where
ours is to end. Its colours follow the reader's choice of light or dark."""

import textwrap
from xml.sax.saxutils import escape

from programs import ALL
from report import number
from summary import FLOOR, US

WIDTH, COLUMNS, GAP = 900, 3, 24
PANEL = (WIDTH - GAP * (COLUMNS + 1)) / COLUMNS
LABEL, VALUE, BAR, STEP, HEAD = 72, 62, 12, 18, 50
LABELS = {program.name: program.label or program.title for program in ALL}
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.back { fill: #ffffff }
.title { font-weight: 600 }
.small { font-size: 11px; fill: #57606a }
.us { fill: #0969da } .peer { fill: #9aa4af } .floor { fill: #d8dee4 }
.line { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.back { fill: #0d1117 }
.small { fill: #9da7b1 }
.us { fill: #4493f8 } .peer { fill: #6e7681 } .floor { fill: #373e47 }
.line { stroke: #ff7b72 }
}
"""


def _text(x, y, text, kind="", anchor="start"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _bar(left, top, program, value, scale, unit):
    kind = "us" if program == US else "floor" if program == FLOOR else "peer"
    return [
        _text(left + LABEL - 6, top + BAR - 2, LABELS[program], "small", "end"),
        f'<rect x="{left + LABEL:.1f}" y="{top:.1f}" width="{max(value * scale, 1):.1f}"'
        f' height="{BAR}" rx="2" class="{kind}"/>',
        _text(left + PANEL, top + BAR - 2, f"{number(value)} {unit}", "small", "end"),
    ]


def _wanted_text(told):
    if told["reached"] is None:
        return "not measured"
    of_what = f" {told['unit']}" if told["is_absolute"] else " of the best peer"
    return f"wanted ≤ {told['limit']:g}{of_what}, reached {number(told['reached'])}"


def _panel(left, top, told):
    """A panel and its height."""
    bars, limit = told["bars"], told["line"]
    title = textwrap.wrap(told["title"], 38)[:2]
    lines = [_text(left, top + 12 + 15 * i, line, "title") for i, line in enumerate(title)]
    lines.append(_text(left, top + 12 + 15 * len(title), _wanted_text(told), "small"))
    room = PANEL - LABEL - VALUE
    scale = room / max([*bars.values(), limit or 0, 1e-9])
    top += HEAD
    for i, (program, value) in enumerate(bars.items()):
        lines += _bar(left, top + i * STEP, program, value, scale, told["unit"])
    if limit is not None:
        x = left + LABEL + limit * scale
        end = top + len(bars) * STEP - 3
        lines.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 3:.1f}" y2="{end:.1f}" class="line"/>'
        )
    return lines


def render(judged, caption):
    """An SVG document of what Wanted.judge() gave; `caption` goes below."""
    height, lines = GAP, []
    for first in range(0, len(judged), COLUMNS):
        row = judged[first : first + COLUMNS]
        for column, told in enumerate(row):
            lines += _panel(GAP + column * (PANEL + GAP), height, told)
        height += HEAD + STEP * max(len(told["bars"]) for told in row) + GAP
    lines.append(_text(GAP, height, caption, "small"))
    height += GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" role="img"><style>{STYLE}</style>'
        f'<rect class="back" width="{WIDTH}" height="{height}"/>\n'
        + "\n".join(lines)
        + "\n</svg>\n"
    )
