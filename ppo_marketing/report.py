"""Evidence and fidelity in words and tables: what a marketer reads; no number is made here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.table import Table

from envs.core.decision import Calibration, Decision
from envs.core.fidelity import FidelityReport
from ppo_marketing.constrained import keeps_limit
from ppo_marketing.drift import Drift
from ppo_marketing.evaluation import Estimate, Evidence, Judgement, Row
from ppo_marketing.gate import GateRules, Verdict, advice, sentence
from ppo_marketing.guardrails import Interventions
from ppo_marketing.report_drift import drift_markdown
from ppo_marketing.report_guardrails import interventions_markdown

GATE = GateRules()

KIND_WORDS = {
    "ceiling": "ceiling",
    "policy": "learned policy",
    "champion": "the policy that runs today",
    "rival": "another algorithm",
    "untrained": "PPO before training",
    "rule": "rule",
    "logging": "the log's own policy",
    "floor": "do nothing",
}


def evidence_table(evidence: Evidence, decision: Decision) -> Table:
    """One row an actor: value an episode, share of the ceiling, lift of the policy over it."""
    title = f"{evidence.world} ({_count(evidence, decision)})"
    table = Table(title=title, title_justify="left")
    form = _value_form(evidence)
    table.add_column("who decides")
    table.add_column(f"{_value_heading(evidence, decision)} [95 %]", justify="right")
    table.add_column("of the ceiling [95 %]", justify="right")
    table.add_column("PPO's lift, points [95 %]", justify="right")
    table.add_column("P(lift > 0)", justify="right")
    ordered = sorted(evidence.rows, key=lambda row: -row.share_of_ceiling.value)
    for row in ordered:
        best = " (best rule)" if row.name == evidence.best_rule else ""
        table.add_row(
            f"{_title(row)}{best}",
            _with_interval(row.value, form),
            _with_interval(_scaled(row.share_of_ceiling), ".1f", " %"),
            _lift(row),
            _chance(row),
            style="bold" if row.kind == "policy" else None,
        )
    return table


def kpi_table(evidence: Evidence, decision: Decision) -> Table:
    """What the policy, the best rule and the log's own policy do: KPIs per episode and ratios."""
    chosen = [row for row in evidence.rows if _is_compared(row, evidence)]
    table = Table(title=f"what they do, per {decision.episode}", title_justify="left")
    table.add_column("")
    for row in chosen:
        table.add_column(_title(row), justify="right")
    for label, numbers in _kpi_lines(evidence, decision):
        table.add_row(label, *numbers)
    return table


def _is_compared(row: Row, evidence: Evidence) -> bool:
    return row.kind in ("policy", "logging") or row.name == evidence.best_rule


def _kpi_lines(evidence: Evidence, decision: Decision) -> list[tuple[str, list[str]]]:
    rows = [row for row in evidence.rows if _is_compared(row, evidence)]
    currency = evidence.policy.value.unit

    def heading(label: str, unit: str) -> str:
        named = currency if unit == "currency" else unit
        return label if named in ("", label.lower()) else f"{label}, {named}"

    lines = [
        (heading(kpi.label, kpi.unit), [_digits(row.kpis[kpi.name]) for row in rows])
        for kpi in decision.kpis
    ]
    for ratio in decision.ratios:
        numbers = []
        for row in rows:
            below = row.kpis[ratio.denominator]
            numbers.append(_digits(row.kpis[ratio.numerator] / below) if below else "-")
        lines.append((heading(ratio.label, ratio.unit), numbers))
    return lines


def _digits(number: float) -> str:
    """Four digits as people write them: 20,660 and 0.3501, never 2.066e+04."""
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return np.format_float_positional(number, precision=4, fractional=False, trim="-")


def _value_heading(evidence: Evidence, decision: Decision) -> str:
    label = next(kpi.label for kpi in decision.kpis if kpi.name == decision.value_kpi)
    return f"{label.lower()} per {decision.episode}, {evidence.policy.value.unit}"


def _lift(row: Row) -> str:
    return "" if row.policy_lift is None else _with_interval(_scaled(row.policy_lift), "+.2f")


def _chance(row: Row) -> str:
    """P(lift > 0); nothing where there is no lift at all, since a tie has no such chance."""
    lift = row.policy_lift
    if row.probability_of_lift is None or lift is None or lift.low == lift.high == 0:
        return ""
    return f"{row.probability_of_lift:.3f}"


def _count(evidence: Evidence, decision: Decision) -> str:
    left_out = evidence.empty_episodes
    without = f"; {left_out} in which nothing can be earned left out" if left_out else ""
    return f"{evidence.episodes:,} {decision.episode}s{without}"


def _value_form(evidence: Evidence) -> str:
    """Four digits of the largest value, and cents at least."""
    largest = max(abs(row.value.value) for row in evidence.rows)
    return f",.{max(2, 3 - int(np.floor(np.log10(largest))))}f" if largest > 0 else ".2f"


def _title(row: Row) -> str:
    named = {
        "policy": f"{row.name}, the learned policy",
        "rule": row.name,
        "floor": f"{row.name} (floor)",
    }
    return named.get(row.kind, KIND_WORDS[row.kind])


def conclusion(evidence: Evidence) -> str:
    """The finding in two sentences, in points of the ceiling throughout."""
    best = evidence.row(evidence.best_rule)
    lift = best.policy_lift
    assert lift is not None
    left = 100 * (1 - best.share_of_ceiling.value)
    if lift.low > 0:
        verdict = "earns more than"
    elif lift.high < 0:
        verdict = "earns less than"
    else:
        verdict = "cannot be told apart from"
    found = (
        f"PPO {verdict} the best tuned rule ({best.name}): {100 * lift.value:+.2f} points of the "
        f"ceiling, 95 % {100 * lift.low:+.2f} to {100 * lift.high:+.2f}."
    )
    if lift.value <= 0:
        rest = f" {left:.2f} points lie between it and the ceiling." if left > 0 else ""
        return f"{found} Keep the rule.{rest}"
    closed = evidence.gap_closed
    return (
        f"{found} At most {left:.2f} points were to be gained over that rule; PPO gains "
        f"{100 * closed.value:.0f} % of them ({100 * closed.low:.0f} to {100 * closed.high:.0f})."
    )


def fidelity_finding(report: FidelityReport) -> str:
    """How many of the checks passed, in a sentence."""
    passed, checks = len(report.checks) - len(report.failures), len(report.checks)
    if report.passed:
        return f"The simulator passed all {checks} checks on what was held out of its fit."
    return f"The simulator passed {passed} of {checks} checks on what was held out of its fit."


def fidelity_table(report: FidelityReport, *, failures_only: bool = False) -> Table:
    """One row a check: value, what is allowed, verdict."""
    passed = len(report.checks) - len(report.failures)
    table = Table(
        title="can the simulator be believed?",
        title_justify="left",
        caption=f"{passed} of {len(report.checks)} checks passed",
        caption_justify="left",
    )
    for column in ("check", "value", "allowed", "n", "verdict"):
        table.add_column(column, justify="left" if column == "check" else "right")
    for check in report.failures if failures_only else report.checks:
        table.add_row(
            check.name,
            f"{check.value:.4g}",
            _allowed(check.low, check.high),
            f"{check.n:,} {check.unit}",
            "passed" if check.passed else "FAILED",
            style=None if check.passed else "bold red",
        )
    return table


def unsupported(calibration: Calibration, accepted: str | None) -> str:
    """What stands before any finding on a simulator that failed its checks."""
    failed = ", ".join(check.name for check in calibration.fidelity.failures)
    reason = f"accepted by name: {accepted}" if accepted else "accepted when the policy was trained"
    return f"The simulator failed its checks ({failed}); {reason}. What follows rests on it."


def optimism(judgement: Judgement) -> str:
    """How much better the policy looks where it was trained."""
    there, here = (
        evidence.policy.share_of_ceiling.value for evidence in (judgement.earlier, judgement.later)
    )
    return (
        f"Optimism: the policy reaches {100 * there:.2f} % of the ceiling in the simulator that it "
        f"was trained in and {100 * here:.2f} % in the one that judges. In value the gap is "
        f"{100 * judgement.optimism_gap:+.1f} %, which also holds how the two periods themselves "
        f"differ; {_judged_gap(judgement.optimism_gap)}."
    )


def _judged_gap(gap: float) -> str:
    allowed = f"up to +{100 * GATE.largest_optimism:.0f} %"
    if gap > GATE.largest_optimism:
        return f"that is TOO MUCH ({allowed}): do not rely on the value"
    return f"{allowed} is acceptable"


def limit(judgement: Judgement, decision: Decision) -> str:
    """Whether the policy keeps within what training held it to; empty where there was no limit."""
    found = judgement.limit
    if found is None:
        return ""
    labels = {kpi.name: kpi.label.lower() for kpi in decision.kpis}
    of = decision.episode if found.per is None else f"unit of {labels[found.per]}"
    within = f"{100 * abs(found.excess):.1f} % {'below' if found.excess <= 0 else 'BEYOND'} it"
    advice = ""
    if found.excess > GATE.largest_excess:
        advice = " The limit is not held: train longer, allow more, or keep the rule."
    return (
        f"Limit on {labels[found.kpi]}: at most {_digits(found.allowed)} per {of}. PPO uses "
        f"{_digits(found.used)}, {within}; the best rule uses {_digits(found.best_rule_uses)}."
        f"{advice}"
    )


def markdown(
    decision: Decision,
    judgement: Judgement,
    verdict: Verdict,
    drift: Drift | None,
    interventions: Interventions | None,
    calibration: Calibration,
    settings: Mapping[str, Any],
    fidelity_accepted: str | None,
) -> str:
    """The run's report as a page of Markdown."""
    parts = [f"# {decision.title}: {decision.question}", ""]
    if not calibration.fidelity.passed:
        parts += [f"**{unsupported(calibration, fidelity_accepted)}**", ""]
    parts += [conclusion(judgement.later), "", optimism(judgement), ""]
    if judgement.limit is not None:
        parts += [limit(judgement, decision), ""]
    parts += [_markdown_verdict(verdict), ""]
    if drift is not None:
        parts += [drift_markdown(drift), ""]
    if interventions is not None:
        parts += [interventions_markdown(interventions), ""]
    for evidence in judgement.shown:
        parts += [_markdown_evidence(evidence, decision), ""]
    parts += [_markdown_kpis(judgement.later, decision), ""]
    parts += ["## Can the simulator be believed?", ""]
    parts += ["| check | value | allowed | n | verdict |", "|---|---|---|---|---|"]
    parts += [
        f"| {c.name}: {c.meaning} | {c.value:.4g} | {_allowed(c.low, c.high)} | {c.n:,} {c.unit} | "
        f"{'passed' if c.passed else '**failed**'} |"
        for c in calibration.fidelity.checks
    ]
    if fidelity_accepted is not None:
        parts += ["", f"Failed checks were accepted by name: {fidelity_accepted}"]
    parts += ["", "## Settings", "", "| setting | value |", "|---|---|"]
    parts += [f"| {name} | {value} |" for name, value in settings.items()]
    if calibration.notes:
        parts += ["", "## Notes", "", *(f"* {note}" for note in calibration.notes)]
    return "\n".join(parts) + "\n"


def verdict_table(verdict: Verdict) -> Table:
    """One row a test of the gate: what was found, what is allowed, what follows."""
    table = Table(title="may it be released?", title_justify="left")
    for column in ("test", "found", "allowed", "outcome"):
        table.add_column(column)
    styles = {"refused": "bold red", "warned": "yellow"}
    for finding in verdict.findings:
        table.add_row(
            finding.test, finding.found, finding.allowed, finding.outcome,
            style=styles.get(finding.outcome),
        )  # fmt: skip
    return table


def _markdown_verdict(verdict: Verdict) -> str:
    lines = [
        "## May it be released?", "", f"**{sentence(verdict)}**", "",
        "| test | found | allowed | outcome |", "|---|---|---|---|",
        *(f"| {f.test} | {f.found} | {f.allowed} | {f.outcome} |" for f in verdict.findings),
        *([""] if verdict.reasons else []),
        *(f"* {line}" for line in advice(verdict.findings)),
    ]  # fmt: skip
    return "\n".join(lines)


def _markdown_kpis(evidence: Evidence, decision: Decision) -> str:
    names = [_title(row) for row in evidence.rows if _is_compared(row, evidence)]
    lines = [
        f"## What they do, per {decision.episode}",
        "",
        f"| | {' | '.join(names)} |",
        f"|---{'|---' * len(names)}|",
        *(f"| {label} | {' | '.join(row)} |" for label, row in _kpi_lines(evidence, decision)),
    ]
    return "\n".join(lines)


def _markdown_evidence(evidence: Evidence, decision: Decision) -> str:
    ordered = sorted(evidence.rows, key=lambda row: -row.share_of_ceiling.value)
    lines = [
        f"## {evidence.world}",
        "",
        f"{_count(evidence, decision)}, seed {evidence.seed}; intervals of 95 %, paired by "
        f"{decision.episode}. A share of the ceiling is the mean of the episodes' own shares where "
        "their ceilings are known.",
        "",
        f"| who decides | {_value_heading(evidence, decision)} | of the ceiling | "
        "PPO's lift, points | P(lift > 0) |",
        "|---|---|---|---|---|",
        *(f"| {_cells(row, _value_form(evidence))} |" for row in ordered),
    ]
    return "\n".join(lines)


def _cells(row: Row, form: str) -> str:
    chosen = ", ".join(
        f"{name} {value if isinstance(value, str) else format(value, '.3g')}"
        for name, value in row.chosen.items()
    )
    said = [KIND_WORDS[row.kind]] if KIND_WORDS[row.kind] != row.name else []
    about = "; ".join(said + ([chosen] if chosen else []))
    name = f"{row.name} ({about})" if about else row.name
    value = _with_interval(row.value, form)
    share = _with_interval(_scaled(row.share_of_ceiling), ".1f", " %")
    return " | ".join([name, value, share, _lift(row), _chance(row)])


def _allowed(low: float, high: float) -> str:
    if np.isinf(high):
        return f">= {low:.4g}"
    if np.isinf(low):
        return f"<= {high:.4g}"
    return f"{low:.4g} to {high:.4g}"


def _scaled(estimate: Estimate) -> Estimate:
    return Estimate(
        100 * estimate.value, 100 * estimate.low, 100 * estimate.high, estimate.effective_n, "%"
    )


def _with_interval(estimate: Estimate, form: str, unit: str = "") -> str:
    # Adding zero turns -0.0 into 0.0.
    value, low, high = (
        format(round(number, 6) + 0.0, form)
        for number in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value}{unit} [{low}, {high}]"


def reached(score: float, decision: Decision) -> str:
    """What the update that was chosen earned where it was chosen."""
    if not keeps_limit(score):
        return "no update kept within the limit where it was validated"
    return f"{score:.4f} of the ceiling on its validation {decision.episode}s"
