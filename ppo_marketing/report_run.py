"""A run's report as one page of HTML: what it would earn, and whether that is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from envs.core.decision import Decision
from ppo_marketing.evaluation import Estimate
from ppo_marketing.gate import Verdict, advice, sentence
from ppo_marketing.gate_words import OUTCOMES, in_words
from ppo_marketing.jobs.kept_runs import KeptEvidence
from ppo_marketing.lifts import Lift
from ppo_marketing.report_page import Block, Facts, Intervals, Section, Table, Text, Tone, page

Money = Callable[[float], str]


def run_page(
    card: Decision,
    run: str,
    evidence: KeptEvidence,
    verdict: Verdict,
    lifts: Sequence[Lift],
    headline: str,
    *,
    money: Money,
    made_at: str,
) -> str:
    """The page of a judged run; `money` writes an amount with its currency."""
    return page(
        f"{card.title}: {run}",
        card.question,
        [
            Section("In a sentence", (Text(headline, _tone(verdict)),)),
            _earnings(card, evidence, lifts, money),
            _verdict(verdict),
            _rests_on(evidence),
        ],
        made_at=made_at,
    )


def _tone(verdict: Verdict) -> Tone:
    return "good" if verdict.passed else "careful"


def _earnings(
    card: Decision, evidence: KeptEvidence, lifts: Sequence[Lift], money: Money
) -> Section:
    later = evidence.judgement.later
    kpi = next(kpi for kpi in card.kpis if kpi.name == card.value_kpi)
    policy = later.policy
    blocks: list[Block] = [
        Text(f"{kpi.label}: {kpi.definition}. On {later.episodes:,} {card.episode}s that nothing "
             f"was trained on ({later.world})."),
        Facts((
            (f"{kpi.label} a {card.episode}", money(policy.value.value),
             _around(policy.value, money)),
            ("Of what was possible", f"{100 * policy.share_of_ceiling.value:.1f} %",
             f"95 %: {100 * policy.share_of_ceiling.low:.1f} to "
             f"{100 * policy.share_of_ceiling.high:.1f} %"),
            ("Optimism gap", f"{100 * evidence.judgement.optimism_gap:+.1f} %",
             "how much better it looks where it was trained"),
        )),
    ]  # fmt: skip
    known = [(lift, lift.money) for lift in lifts if lift.money is not None]
    if known:
        blocks.append(
            Intervals(
                tuple((lift.who, m.value, m.low, m.high) for lift, m in known),
                f"{kpi.label.lower()} a {card.episode} above each, {evidence.currency}, 95 %",
            )
        )
    blocks.append(
        Table(
            ("above", "difference", "95 % interval", "P(lift > 0)"),
            tuple((lift.who, money(m.value), _around(m, money), chance(lift)) for lift, m in known),
            "Paired: the same simulated episodes for everybody",
        )
    )
    return Section("What it would earn", tuple(blocks))


def chance(lift: Lift) -> str:
    """P(lift > 0), never said to be certain: the simulator itself may be wrong."""
    return "they never differ" if lift.probability is None else percent(lift.probability)


def percent(probability: float) -> str:
    """A probability in per cent; 1 and 0 are bounds of what a bootstrap can tell."""
    if probability > 0.999:
        return "> 99.9 %"
    if probability < 0.001:
        return "< 0.1 %"
    return f"{100 * probability:.1f} %"


def _around(estimate: Estimate, money: Money) -> str:
    return f"95 %: {money(estimate.low)} to {money(estimate.high)}"


def _verdict(verdict: Verdict) -> Section:
    rows = tuple(
        (in_words(f.test).asks, f.found, f.allowed, OUTCOMES[f.outcome]) for f in verdict.findings
    )
    tips = tuple(Text(line) for line in advice(verdict.findings))
    return Section(
        "May it be released?",
        (
            Text(sentence(verdict), _tone(verdict)),
            Table(("test", "found", "allowed", "outcome"), rows),
            *tips,
        ),
    )


def _rests_on(evidence: KeptEvidence) -> Section:
    failed = ", ".join(evidence.fidelity_failures)
    simulator = (
        Text("The simulator reproduces what was held out of its fit.", "good")
        if evidence.fidelity_passed
        else Text(f"The simulator failed its checks ({failed}): all of this rests on it.", "bad")
    )
    settings = Table(
        ("setting", "value"),
        tuple(
            (name, "not set" if value is None else str(value))
            for name, value in evidence.settings.items()
        ),
    )
    notes = tuple(Text(note) for note in evidence.notes)
    return Section("What this rests on", (simulator, *notes, settings))
