"""One page of HTML that stands alone: no script, no picture, no address, every text escaped.

What is said of a run or a scenario is handed over as plain values; the page can be mailed, printed
and opened years later. It fetches nothing, and says so to the browser (Content-Security-Policy).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Tone = Literal["good", "careful", "bad", "plain"]


@dataclass(frozen=True)
class Text:
    """A paragraph; `tone` marks a verdict."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Facts:
    """Numbers that stand out: (label, value, what lies around it) each."""

    facts: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; numbers come written as they are to be read."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Intervals:
    """Dots with intervals on one axis: (label, value, low, high) each, in `unit`."""

    rows: tuple[tuple[str, float, float, float], ...]
    unit: str


Block = Text | Facts | Table | Intervals


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


def page(title: str, subtitle: str, sections: Sequence[Section], *, made_at: str) -> str:
    """The whole page; `made_at` is when, as people read it."""
    body = "\n".join(_section(section) for section in sections)
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body><main><header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>\n"
        f"{body}\n<footer>Made on {escape(made_at)} by ppo-marketing.</footer></main></body></html>"
        "\n"
    )


def _section(section: Section) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    return f"<section><h2>{escape(section.title)}</h2>\n{blocks}</section>"


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return f'<p class="{block.tone}">{_lines(block.text)}</p>'
    if isinstance(block, Facts):
        return '<dl class="facts">' + "".join(_fact(*fact) for fact in block.facts) + "</dl>"
    if isinstance(block, Table):
        return _table(block)
    return _intervals(block)


def _lines(text: str) -> str:
    return "<br>".join(escape(line) for line in text.splitlines())


def _fact(label: str, value: str, around: str) -> str:
    return (
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd>"
        f'<dd class="around">{escape(around)}</dd></div>'
    )


def _table(table: Table) -> str:
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.headings)
    rows = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{escape(cell)}</th>' if place == 0 else f"<td>{escape(cell)}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="wide"><table>{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


_WIDTH, _ROW, _LABELS, _EDGE = 720, 30, 250, 20
"""Of the picture in its own units: width, height of a row, room for labels, room at the edge."""


def _intervals(block: Intervals) -> str:
    """Dots with lines, drawn; the table that goes with them says the same in numbers."""
    finite = [row for row in block.rows if all(math.isfinite(number) for number in row[1:])]
    if not finite:
        return ""
    low, high = min(row[2] for row in finite), max(row[3] for row in finite)
    low, high = min(low, 0.0), max(high, 0.0)
    span = (high - low) or 1.0

    def x(number: float) -> float:
        return _LABELS + (_WIDTH - _LABELS - _EDGE) * (number - low) / span

    height = _ROW * len(finite) + 10
    said = "; ".join(f"{name}: {value:.4g}, {a:.4g} to {b:.4g}" for name, value, a, b in finite)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(f"{said} {block.unit}")}">',
        f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="0" y2="{height}"/>',
    ]
    for place, (name, value, start, end) in enumerate(finite):
        y = _ROW * place + _ROW / 2 + 5
        parts.append(
            f'<text x="{_LABELS - 12}" y="{y + 4:.1f}" text-anchor="end">{escape(name[:34])}</text>'
            f'<line class="reach" x1="{x(start):.1f}" x2="{x(end):.1f}" y1="{y}" y2="{y}"/>'
            f'<circle cx="{x(value):.1f}" cy="{y}" r="5"/>'
        )
    return f"<figure>{''.join(parts)}</svg><figcaption>{escape(block.unit)}</figcaption></figure>"


_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d9dee6;--paper:#fff;
--card:#f5f7fa;--mark:#0072b2;--good:#00724f;--careful:#8a5a00;--bad:#b03a00}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf2;--soft:#9aa7b8;--line:#37414f;--paper:#12171e;
--card:#1b222c;--mark:#56b4e9;--good:#3ecf9a;--careful:#e6a93c;--bad:#ff8a4c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:860px;margin:0 auto;padding:40px 20px 60px}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 8px}h2{font-size:1.2rem;margin:40px 0 12px}
header p{font-size:1.1rem;color:var(--soft);margin:0}
p.good,p.careful,p.bad{padding:12px 16px;border-left:4px solid;background:var(--card);
border-radius:0 8px 8px 0}
p.good{border-color:var(--good)}p.careful{border-color:var(--careful)}p.bad{border-color:var(--bad)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:12px;margin:0}
.facts div{background:var(--card);border-radius:10px;padding:14px 16px}
dt{color:var(--soft);font-size:.85rem}dd{margin:0;font-size:1.45rem;font-weight:600}
dd.around{font-size:.85rem;font-weight:400;color:var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem;
font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding-bottom:6px}
th,td{text-align:left;padding:8px 12px 8px 0;border-bottom:1px solid var(--line);vertical-align:top}
thead th{color:var(--soft);font-weight:600}tbody th{font-weight:500}
figure{margin:0 0 12px}svg{width:100%;height:auto}svg text{fill:var(--ink);font-size:13px}
.zero{stroke:var(--line);stroke-width:1.5}.reach{stroke:var(--mark);stroke-width:3;opacity:.55}
circle{fill:var(--mark)}figcaption{color:var(--soft);font-size:.85rem;text-align:right}
footer{margin-top:48px;color:var(--soft);font-size:.85rem}
@media print{main{padding:0;max-width:none}section{break-inside:avoid}}
""".replace("\n", "")
