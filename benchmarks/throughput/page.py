"""The tables and the picture of docs/throughput.md, from the results file alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cells import REPOSITORY

PAGE = REPOSITORY / "docs" / "throughput.md"
IMAGE = REPOSITORY / "docs" / "images" / "throughput.png"
NOT_MEASURED = "*not measured yet*"
COLOURS = ("#0072B2", "#D55E00", "#777777")


def write_page(parts: Mapping[str, Any]) -> None:
    """Fill every table of the page, and draw the picture where there is something to draw."""
    text = PAGE.read_text(encoding="utf-8")
    for part, table in TABLES.items():
        text = filled(text, part, table(parts[part]) if part in parts else NOT_MEASURED)
    PAGE.write_text(text, encoding="utf-8")
    if "quality" in parts and "layouts" in parts:
        draw(parts["quality"], parts["layouts"]["rows"], IMAGE)


def filled(text: str, name: str, content: str) -> str:
    """The page with `content` between the two markers of that name.

    Raises ValueError where the page has no such markers.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    head, found_begin, rest = text.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"the page has no {begin} ... {end}")
    return f"{head}{begin}\n{content}\n{end}{tail}"


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def quality_table(part: Mapping[str, Any]) -> str:
    """Medians over seeds, and how many of the runs reached the target."""
    own = next(iter(part["rows"].values()))
    rows = []
    for name, row in part["rows"].items():
        missed = row["reached"] < row["runs"]
        rows.append(
            [
                name,
                f"{'≥ ' if missed else ''}{row['median_seconds']:.2f}",
                f"{row['median_seconds'] / own['median_seconds']:.1f}",
                f"{row['median_steps']:,.0f}",
                f"{row['reached']} of {row['runs']}",
            ]
        )
    head = ["", "seconds", "times ours", "environment steps", "runs that reached it"]
    return f"Target: {part['target']:.2%} of the ceiling.\n\n{table_of(head, rows)}"


def layouts_table(part: Mapping[str, Any]) -> str:
    """One row a contender, fastest first, layout by layout."""
    tables = []
    for layout, found in part["rows"].items():
        order = sorted(found, key=lambda name: -found[name]["steps_per_second"])
        rows = [
            [name, f"{found[name]['steps_per_second']:,}", f"{found[name]['ours_over_it']:.2f}"]
            for name in order
        ]
        tables.append(f"{layout}:\n\n{table_of(['', 'steps/s', 'ours / it'], rows)}")
    return "\n\n".join(tables)


def stages_table(part: Mapping[str, Any]) -> str:
    """CPU-seconds of a million steps, and their shares."""
    rows = [
        [stage, f"{seconds:.3f}", f"{seconds / part['total']:.0%}"]
        for stage, seconds in part["cpu_seconds"].items()
    ]
    rows.append(["all", f"{part['total']:.3f}", "100%"])
    rows.append(
        [
            "matrix products alone",
            f"{part['products']:.3f}",
            f"{part['products'] / part['total']:.0%}",
        ]
    )
    head = ["stage", "CPU-seconds a million steps", "share"]
    return (
        f"{table_of(head, rows)}\n\nProducts: {part['flops_per_step'] / 1e3:.1f} kFLOP a step, at "
        f"{part['flops_per_second'] / 1e9:.0f} GFLOP/s on one core."
    )


def memory_table(part: Mapping[str, Any]) -> str:
    """Megabytes at three moments."""
    rows = [
        [name, *(f"{row[when]:,}" for when in ("imported", "with_market", "peak"))]
        for name, row in part["rows"].items()
    ]
    return table_of(
        ["training", "imports, MB", "with 256 days, peak", "whole training, peak"], rows
    )


def engines_table(part: Mapping[str, Any]) -> str:
    """The last return of every seed with either engine."""
    rows = [
        [str(seed), f"{fused:.3%}", f"{torch:.3%}"]
        for seed, (fused, torch) in enumerate(zip(part["fused"], part["torch"], strict=True), 1)
    ]
    low, high = (1e4 * bound for bound in part["interval"])
    return (
        f"{table_of(['seed', 'fused engine', 'torch engine'], rows)}\n\nDifference "
        f"{1e4 * part['difference']:+.2f} basis points, 95 % interval [{low:+.2f}, {high:+.2f}]."
    )


TABLES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "quality": quality_table,
    "layouts": layouts_table,
    "stages": stages_table,
    "memory": memory_table,
    "engines": engines_table,
}


def draw(quality: Mapping[str, Any], layouts: Mapping[str, Any], path: Path) -> None:
    """Share of the ceiling against seconds (every seed a line), and steps a second as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (name, row), colour in zip(quality["rows"].items(), COLOURS, strict=True):
        for seed, run in enumerate(row["curves"]):
            _, seconds, share = zip(*run[1:], strict=True)
            left.plot(seconds, share, color=colour, linewidth=1, label=None if seed else name)
    left.axhline(quality["target"], color="black", linestyle=":", label="target")
    left.set(xscale="log", xlabel="seconds of training", ylabel="R / R* on fresh days")
    left.legend(fontsize=8)

    names = list(next(iter(layouts.values())))
    height = 0.8 / len(layouts)
    for which, (layout, found) in enumerate(layouts.items()):
        present = [name for name in names if name in found]
        place = np.array([names.index(name) for name in present]) + (which - 0.5) * height
        rates = [found[name]["steps_per_second"] for name in present]
        right.barh(place, rates, height, color=COLOURS[which], label=layout)
    right.set_yticks(range(len(names)), names, fontsize=8)
    right.invert_yaxis()
    right.set(xscale="log", xlabel="training steps a second")
    right.legend(fontsize=8)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
