"""A comparison of algorithms in words and pictures; no number is made here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from envs.core.decision import Calibration, Decision
from ppo_marketing.comparison import Comparison, Competitor
from ppo_marketing.evaluation import Evidence, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADINGS = (
    "algorithm",
    "of the ceiling, IQM of seeds [95 %]",
    "every seed",
    "value [95 %]",
    "lift of the first [95 %]",
    "steps",
    "largest drop",
    "largest KL",
    "entropy",
    "forbidden",
    "CPU s",
)
LEGEND = (
    "Shares are of what hindsight or the optimal policy could have earned on the judged episodes. "
    "IQM: interquartile mean over seeds, its interval a stratified bootstrap of them. Value and "
    "lift average over seeds; their intervals are over episodes, paired. Largest drop: points of "
    "the ceiling from one point of a seed's curve to the next. Largest KL: nats between the "
    "policies before and after one update; a dash: it has none, or one too large for a number. "
    "Entropy: nats of the final policy, of a continuous "
    "action before clipping it to its range; a dash: the policy is deterministic. "
    "Forbidden: share of decisions in which the policy preferred what it may not do, and the "
    "first allowed choice stood in. CPU s: seconds of one core a training, scoring left out. "
    "A star: in the other form of actions than the decision's own."
)


def comparison_table(comparison: Comparison) -> Table:
    """One row a competitor, the best first, then the rules, the log's own policy and the floor."""
    table = Table(title=_title(comparison.evidence), title_justify="left")
    for place, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if place == 0 else "right")
    for one in comparison.ranked:
        table.add_row(*_line(one, comparison), style="bold" if one.algorithm == "ppo" else None)
    for row in comparison.beside:
        table.add_row(*_rule_line(row))
    return table


def conclusion(comparison: Comparison) -> str:
    """The finding in a sentence or two."""
    best, reference = comparison.ranked[0], comparison.reference
    assert best.share is not None, "where all diverged there is no comparison"
    rule = comparison.evidence.row(comparison.evidence.best_rule)
    said = f"{best.title} ({best.label}) earns most: {100 * best.share.value:.2f} % of the ceiling"
    said += f", the best tuned rule ({rule.name}) {100 * rule.share_of_ceiling.value:.2f} %."
    lift = None if best is reference else comparison.evidence.row(best.label).policy_lift
    if lift is not None:
        told = "cannot be told apart from" if lift.low <= 0 <= lift.high else "differs from"
        said += (
            f" {reference.title} {told} it: {100 * lift.value:+.2f} points, 95 % "
            f"{100 * lift.low:+.2f} to {100 * lift.high:+.2f}."
        )
    failed = [one.label for one in comparison.competitors if one.failures]
    return said + (f" Trainings of {', '.join(failed)} diverged." if failed else "")


def markdown(decision: Decision, comparison: Comparison, calibration: Calibration) -> str:
    """The comparison as a page of Markdown."""
    lines = [f"# {decision.title}: which algorithm?", "", conclusion(comparison), ""]
    lines += [_title(comparison.evidence), ""]
    rows = [_line(one, comparison) for one in comparison.ranked]
    rows += [_rule_line(row) for row in comparison.beside]
    lines += _markdown_rows(HEADINGS, rows)
    lines += ["", LEGEND, "", "![curves](comparison.png)", "", "## Sample efficiency", ""]
    grid = _shown_steps(comparison)
    efficient = [
        [one.label, *(_at(one, step) for step in grid)]
        for one in comparison.ranked
        if one.curve is not None
    ]
    lines += _markdown_rows(("share at step", *(f"{step:,}" for step in grid)), efficient)
    if _gaps(comparison):
        lines += ["", "A dash: a seed broke the limit there, and has no share."]
    for name, places in comparison.sweeps.items():
        lines += ["", f"## Sweep of {name}", "", "![sweep](sweep.png)", ""]
        swept = [
            [f"{value:g}", *_swept_numbers(comparison.named(label))] for value, label in places
        ]
        lines += _markdown_rows((name, "of the ceiling", "mean KL", "clip fraction"), swept)
    lines += ["", "## Settings", ""]
    for one in comparison.competitors:
        lines += [f"* **{one.label}** ({one.source}), {one.form} actions: `{one.settings}`"]
        lines += [f"  * diverged: {failure}" for failure in one.failures]
    if not calibration.fidelity.passed:
        lines += ["", "**The simulator failed its fidelity checks: read this with that in mind.**"]
    return "\n".join(lines) + "\n"


def figure(comparison: Comparison) -> Figure:
    """Curves at common steps with the spread of seeds: all, and the first that everyone took."""
    lengths = {one.steps for one in comparison.competitors}
    parts = {"all steps": max(lengths)}
    if len(lengths) > 1:
        parts[f"first {min(lengths):,} steps"] = min(lengths)
    drawn = _figure(len(parts))
    for panel, (part, last) in zip(drawn.axes, parts.items(), strict=True):
        for one in comparison.competitors:
            if one.curve is None or one.overrides:
                continue
            (line,) = panel.plot(one.curve.steps, one.curve.value, label=one.label)
            panel.fill_between(
                one.curve.steps, one.curve.low, one.curve.high, color=line.get_color(), alpha=0.15
            )
        panel.set(xlabel="environment steps", ylabel="share of the ceiling", title=part)
        if last < max(lengths):
            panel.set_xlim(0, last)
    rule = comparison.evidence.row(comparison.evidence.best_rule).share_of_ceiling.value
    for panel in drawn.axes:
        # Rules are judged on the later part, curves scored on the earlier: near, not the same.
        panel.axhline(rule, color="grey", linestyle=":", label="best rule, judged")
    drawn.axes[0].legend(fontsize=7)
    return drawn


def sweep_figure(comparison: Comparison) -> Figure:
    """Return, KL and clip fraction against each swept setting; one row a setting."""
    from matplotlib.figure import Figure  # slow to import, and only reports draw

    drawn = Figure(figsize=(10, 3 * len(comparison.sweeps)), layout="constrained")
    grid = drawn.subplots(len(comparison.sweeps), 3, squeeze=False)
    for panels, (name, places) in zip(grid, comparison.sweeps.items(), strict=True):
        values = [value for value, _ in places]
        ones = [comparison.named(label) for _, label in places]
        shares = [one.share for one in ones]
        panels[0].errorbar(
            values,
            [float("nan") if s is None else s.value for s in shares],
            yerr=[
                [0.0 if s is None else s.value - s.low for s in shares],
                [0.0 if s is None else s.high - s.value for s in shares],
            ],
            marker="o",
        )
        panels[1].plot(values, [_nan(one.mean_kl) for one in ones], marker="o")
        panels[2].plot(values, [_nan(one.clip_fraction) for one in ones], marker="o")
        named = ("share of the ceiling", "mean KL, nats", "clip fraction")
        for panel, label in zip(panels, named, strict=True):
            panel.set(xlabel=name, ylabel=label)
            if min(values) > 0 and max(values) / min(values) > 8:
                panel.set_xscale("log")
    return drawn


def _figure(panels: int) -> Figure:
    from matplotlib.figure import Figure  # slow to import, and only reports draw

    drawn = Figure(figsize=(8, 3.8 * panels), layout="constrained")
    drawn.subplots(panels, 1)
    return drawn


def _title(evidence: Evidence) -> str:
    return (
        f"{evidence.world}, {evidence.episodes:,} episodes, the same for all; values in "
        f"{evidence.policy.value.unit}, lifts in points of the ceiling"
    )


def _line(one: Competitor, comparison: Comparison) -> list[str]:
    if one.share is None:
        return [one.label, "diverged", *[""] * (len(HEADINGS) - 2)]
    row = comparison.evidence.row(one.label)
    marked = " *" if one.form != "own" else ""
    return [
        f"{one.label}{marked}",
        f"{100 * one.share.value:.2f} [{100 * one.share.low:.2f}, {100 * one.share.high:.2f}] %",
        " ".join(f"{100 * share:.2f}" for share in one.shares),
        _estimate(row),
        _lift(row),
        f"{one.steps:,}",
        _number(one.largest_drop, 100, ".2f"),
        _number(one.largest_kl, 1, ".3g"),
        _number(one.entropy, 1, ".2f"),
        _number(one.forbidden_share, 100, ".1f", " %"),
        _number(one.cpu_seconds, 1, ",.0f"),
    ]


def _rule_line(row: Row) -> list[str]:
    share = row.share_of_ceiling
    interval = f"{100 * share.value:.2f} [{100 * share.low:.2f}, {100 * share.high:.2f}] %"
    kinds = {"logging": "the log's own policy", "floor": f"{row.name} (floor)"}
    named = kinds.get(row.kind, f"rule: {row.name}")
    return [named, interval, "", _estimate(row), _lift(row), *[""] * (len(HEADINGS) - 5)]


def _estimate(row: Row) -> str:
    return f"{row.value.value:.4g} [{row.value.low:.3g}, {row.value.high:.3g}]"


def _lift(row: Row) -> str:
    lift = row.policy_lift
    if lift is None:
        return "the first"
    return f"{100 * lift.value:+.2f} [{100 * lift.low:+.2f}, {100 * lift.high:+.2f}]"


def _number(value: float | None, factor: float, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{factor * value:{form}}{unit}"


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _swept_numbers(one: Competitor) -> list[str]:
    share = "diverged" if one.share is None else f"{100 * one.share.value:.2f} %"
    return [share, _number(one.mean_kl, 1, ".3g"), _number(one.clip_fraction, 1, ".3f")]


def _shown_steps(comparison: Comparison) -> list[int]:
    """At most eight steps that all or most curves have."""
    steps = sorted({s for one in comparison.competitors if one.curve for s in one.curve.steps})
    every = max(1, len(steps) // 7)
    return sorted({*steps[::every], steps[-1]})


def _at(one: Competitor, step: int) -> str:
    assert one.curve is not None
    if step not in one.curve.steps:
        return ""
    share = one.curve.value[one.curve.steps.index(step)]
    return "-" if math.isnan(share) else f"{100 * share:.2f}"


def _gaps(comparison: Comparison) -> bool:
    """Whether any curve has a point without a share."""
    curves = [one.curve for one in comparison.competitors if one.curve is not None]
    return any(math.isnan(share) for curve in curves for share in curve.value)


def _markdown_rows(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [f"| {' | '.join(headings)} |", f"|---{'|---:' * (len(headings) - 1)}|"]
    return [*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)]
