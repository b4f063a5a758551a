"""What-ifs told: a sentence, tables for the terminal, and one page of HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from envs.core.decision import Decision
from envs.core.scenario import knobs_of
from ppo_marketing.evaluation import Estimate
from ppo_marketing.export.cells import csv_bytes
from ppo_marketing.report_page import Block, Facts, Intervals, Section, Table, Text, page
from ppo_marketing.what_if.answers import Answer
from ppo_marketing.what_if.curve import Curve
from ppo_marketing.what_if.scenarios import Named
from ppo_marketing.what_if.stage import Stage

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Money = Callable[[float], str]


def plain_money(currency: str) -> Money:
    """Amounts as the terminal and a page without a locale write them."""
    return lambda amount: f"{amount:,.2f} {currency}"


def headline(decision: Decision, answers: Sequence[Answer], money: Money) -> str:
    """What the scenarios come to, in a sentence."""
    first = answers[0]
    if len(answers) == 1:
        return (
            f"{first.scenario.name}, this policy would earn {money(first.value.value)} a "
            f"{decision.episode}."
        )
    last = max(answers[1:], key=lambda answer: abs(_change(answer).value))
    change = _change(last)
    verb = "more" if change.value > 0 else "less"
    sure = (
        "more than chance explains"
        if change.low > 0 or change.high < 0
        else "no more than chance explains"
    )
    return (
        f"“{last.scenario.name}” would earn {money(abs(change.value))} a {decision.episode} {verb} "
        f"than “{first.scenario.name}”: {sure}."
    )


def _change(answer: Answer) -> Estimate:
    assert answer.change is not None, "the first has none"
    return answer.change


def moved(decision: Decision, scenario: Named) -> str:
    """The knobs of a scenario in words."""
    knobs = knobs_of(decision.scenario_type)
    said = [f"{knobs[name].label} x {value:g}" for name, value in scenario.values.items()]
    return ", ".join(said) or "nothing is changed"


def warnings(answers: Sequence[Answer]) -> list[str]:
    """What leaves the log, scenario by scenario."""
    return [
        f"{answer.scenario.name}: {answer.surroundings.warning}"
        for answer in answers
        if answer.surroundings.warning
    ]


def notes(answers: Sequence[Answer]) -> list[str]:
    """What the market says of them, scenario by scenario."""
    return [f"{answer.scenario.name}: {note}" for answer in answers for note in answer.notes]


def _between(estimate: Estimate, write: Callable[[float], str]) -> str:
    return f"{write(estimate.low)} to {write(estimate.high)}"


def answers_table(stage: Stage, answers: Sequence[Answer]) -> RichTable:
    """Scenarios side by side, for the terminal."""
    from rich.table import Table as RichTable

    decision = stage.decision
    kpi = next(kpi for kpi in decision.kpis if kpi.name == decision.value_kpi)
    table = RichTable(
        title=f"{kpi.label} a {decision.episode}, {stage.currency}; {stage.episodes} simulated "
        "episodes, the same for all",
        title_justify="left",
    )
    columns = ["scenario", "moved", "value [95 %]", "change [95 %]", "outside"]
    if answers[0].beside:
        columns.append("the best of the others")
    for name in columns:
        table.add_column(name, justify="left" if name in ("scenario", "moved") else "right")
    for answer in answers:
        change = answer.change
        table.add_row(
            answer.scenario.name,
            moved(decision, answer.scenario),
            f"{answer.value.value:,.4g} [{_between(answer.value, '{:,.4g}'.format)}]",
            "-"
            if change is None
            else f"{change.value:+,.3g} [{_between(change, '{:+,.3g}'.format)}]",
            f"{100 * answer.surroundings.outside:.0f} %",
            *_best(answer),
        )
    return table


def _best(answer: Answer) -> list[str]:
    if not answer.beside:
        return []
    name = max(answer.beside, key=lambda one: answer.beside[one].value.value)
    return [f"{name}: {answer.beside[name].value.value:,.4g}"]


def curve_table(stage: Stage, curve: Curve) -> RichTable:
    """A curve point by point, for the terminal."""
    from rich.table import Table as RichTable

    table = RichTable(title=f"{curve.name}: what other spend would bring", title_justify="left")
    for name in (f"spend, {stage.currency}", f"value, {stage.currency}", "of the next unit"):
        table.add_column(name, justify="right")
    nexts = [*curve.marginal.tolist(), None]
    for spend, value, more in zip(curve.spend, curve.value, nexts, strict=True):
        table.add_row(f"{spend:,.4g}", f"{value:,.4g}", "-" if more is None else f"{more:,.3g}")
    return table


def target_sentence(measure: str, found: Mapping[str, Any]) -> str:
    """A target search in words."""
    if "refused" in found:
        return str(found["refused"])
    bound = found["limit"]["bound"]
    limit = f"a CPA of at most {bound:g}" if measure == "cpa" else f"a ROAS of at least {bound:g}"
    held = "the limit binds" if found["binds"] else "no more is worth spending"
    return (
        f"with {limit}, the most is {found['value']:,.4g} at a spend of {found['spend']:,.4g} "
        f"(x {found['factor']:.3g}); {held}"
    )


def csv_of(answers: Sequence[Answer]) -> bytes:
    """Every number, a row each, for a spreadsheet: what people type there cannot run."""
    rows: list[dict[str, Any]] = []
    for answer in answers:
        said: list[tuple[str, Estimate]] = [(f"kpi {n}", e) for n, e in answer.kpis.items()]
        if answer.change is not None:
            said.append(("change of value", answer.change))
        said += [(f"value of {name}", one.value) for name, one in answer.beside.items()]
        rows += [
            {"scenario": answer.scenario.name, "measure": name, "unit": one.unit,
             "value": one.value, "low": one.low, "high": one.high}
            for name, one in said
        ]  # fmt: skip
        rows += [
            {"scenario": answer.scenario.name, "measure": f"knob {name}", "value": value}
            for name, value in answer.scenario.values.items()
        ]
    columns = ("scenario", "measure", "unit", "value", "low", "high")
    return csv_bytes(columns, rows, mode="spreadsheet")


def what_if_page(
    decision: Decision,
    run: str,
    answers: Sequence[Answer],
    curves: Sequence[Curve],
    *,
    made_at: str,
    money: Money | None = None,
) -> str:
    """The page of a comparison: it stands alone, and can be mailed."""
    currency = answers[0].value.unit
    write = money or plain_money(currency)
    return page(
        f"{decision.title}: what if",
        f"Asked of the policy of {run}. {decision.question}",
        [
            _in_a_sentence(decision, answers, write),
            _side_by_side(decision, answers, write),
            *(_curve(decision, curve, write) for curve in curves),
            _rests_on(decision, answers),
        ],
        made_at=made_at,
    )


def _in_a_sentence(decision: Decision, answers: Sequence[Answer], money: Money) -> Section:
    careful = [Text(line, "careful") for line in warnings(answers)]
    careful += [Text(line) for line in notes(answers)]
    facts = tuple(
        (answer.scenario.name, money(answer.value.value), f"95 %: {_between(answer.value, money)}")
        for answer in answers
    )
    return Section(
        "In a sentence", (Text(headline(decision, answers, money)), Facts(facts), *careful)
    )


def _side_by_side(decision: Decision, answers: Sequence[Answer], money: Money) -> Section:
    changes = [(answer, answer.change) for answer in answers if answer.change is not None]
    blocks: list[Block] = []
    if changes:
        blocks.append(
            Intervals(
                tuple((a.scenario.name, c.value, c.low, c.high) for a, c in changes),
                f"more or less than {answers[0].scenario.name} a {decision.episode}, "
                f"{answers[0].value.unit}; 95 % intervals",
            )
        )
    kpis = {kpi.name: kpi for kpi in decision.kpis}
    rows = [("moved", *(moved(decision, answer.scenario) for answer in answers))]
    for name in answers[0].kpis:
        cells = [money(a.kpis[name].value) if kpis[name].unit == "currency"
                 else f"{a.kpis[name].value:,.4g} {kpis[name].unit}".strip()
                 for a in answers]  # fmt: skip
        rows.append((kpis[name].label, *cells))
    for label in answers[0].ratios:
        found = [answer.ratios[label] for answer in answers]
        rows.append((label, *("-" if one is None else f"{one:,.4g}" for one in found)))
    headings = (f"a {decision.episode}", *(answer.scenario.name for answer in answers))
    return Section("Side by side", (*blocks, Table(headings, tuple(rows))))


def _curve(decision: Decision, curve: Curve, money: Money) -> Section:
    nexts = [*(f"{slope:,.3g}" for slope in curve.marginal.tolist()), "-"]
    rows = tuple(
        (money(float(spend)), money(float(value)), more)
        for spend, value, more in zip(curve.spend, curve.value, nexts, strict=True)
    )
    return Section(
        f"{curve.name}: what other spend would bring",
        (Table((f"spend a {decision.episode}", "value", "value of the next unit"), rows),),
    )


def _rests_on(decision: Decision, answers: Sequence[Answer]) -> Section:
    return Section(
        "What this rests on",
        (
            Text(
                f"{answers[0].episodes:,} simulated {decision.episode}s of the part of the log "
                "that nothing was trained on, the same for every scenario. Intervals say how far "
                "other simulated episodes would lie, not how wrong the simulator may be."
            ),
        ),
    )
