"""Can any input make a guarded policy step outside? A million random and adversarial decisions.

Campaigns with limits drawn at random are asked for decisions that hold NaN, infinities, numbers
beside every edge and choices that do not exist, on days that jump and run backwards, for units that
come again and again, with costs and budgets up to 1e308 and spends that are settled twice or are no
numbers. `guardrail_auditor.py` works out independently whether anything shipped broke a limit.

    python -m benchmarks.guardrails
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.random import Generator

from benchmarks.guardrail_auditor import Auditor
from benchmarks.report import write_result
from ppo_marketing.errors import UserError
from ppo_marketing.guardrails import (
    FRESH,
    AmountLimits,
    Budget,
    ChoiceLimits,
    ContactCap,
    Context,
    Guarded,
    Guardrail,
    GuardrailLimits,
    GuardState,
    Holdout,
    Interventions,
    Quiet,
    Support,
    apply,
    held_out,
    settled,
)

UNITS = tuple(f"unit {number}" for number in range(12))
STRANGE = (
    np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308, 5e-324, -5e-324, 1e-9, 0.1, 1e16, -1.0, 0.5,
)  # fmt: skip
OBSERVED = 3
LARGEST_BATCH = 40
DECISIONS_A_CAMPAIGN = 600


@dataclass
class Answering:
    """A policy that answers what it was told to."""

    answer: Any

    def act(  # noqa: D102 - as a policy does
        self, observation: Any, rng: Any, mask: Any = None, *, deterministic: bool = False
    ) -> Any:
        return self.answer

    def log_prob(self, observation: Any, action: Any, mask: Any = None) -> Any:  # noqa: D102
        return np.zeros(len(observation))


def some(rng: Generator, value: Any, share: float = 0.5) -> Any:
    """The value in a share of draws, else None."""
    return value if rng.random() < share else None


def positive(rng: Generator) -> float:
    """A number of any size, 0 and 1e308 included."""
    if rng.random() < 0.2:
        return float(rng.choice([0.0, 5e-324, 1e-9, 0.1, 1e16, 1e308]))
    return float(np.exp(rng.normal(0, 4)))


def drawn_limits(rng: Generator) -> GuardrailLimits:
    """Limits of any kind that do not contradict themselves."""
    stops = rng.random() < 0.7
    salt = str(rng.integers(1000))
    gets: Literal["nothing", "champion"] = "nothing" if stops and rng.random() < 0.5 else "champion"
    seen = rng.normal(size=(5, OBSERVED))
    quiet = Quiet(hours=(21, 8), weekdays=(6,), weeks=(int(rng.integers(52)),))
    shared: dict[str, Any] = {
        "holdout": some(rng, Holdout(share=float(rng.random() / 2), salt=salt, gets=gets), 0.3),
        "support": some(rng, Support.seen(seen, margin=0.5), 0.5),
        "changed_share": some(rng, float(rng.random()), 0.3),
    }
    if stops:
        day, total = some(rng, positive(rng), 0.6), some(rng, positive(rng), 0.6)
        budget = None if day is None and total is None else Budget(day=day, total=total)
        shared |= {
            "budget": budget,
            "quiet": some(rng, quiet, 0.2),
            "suppressed": some(rng, frozenset(rng.choice(UNITS, 2).tolist()), 0.3) or frozenset(),
        }
    if rng.random() < 0.5:
        floor = positive(rng) if stops else float(rng.normal())
        amounts = AmountLimits(
            floor=min(floor, 1e308),
            cap=min(floor + positive(rng), 1e308),
            nothing=0.0 if stops else None,
            change=some(rng, positive(rng)),
            relative_change=some(rng, float(rng.random())),
            daily_change=some(rng, positive(rng), 0.3),
            daily_relative_change=some(rng, float(rng.random()), 0.3),
        )
        cap = ContactCap(contacts=int(rng.integers(9)), days=int(rng.integers(1, 40)))
        return GuardrailLimits(
            amounts=amounts,
            contact_caps=(cap,) * bool(stops and rng.random() < 0.5),
            **shared,
        )
    choices = int(rng.integers(2, 7))
    caps = tuple(
        ContactCap(
            contacts=int(rng.integers(6)),
            days=int(rng.integers(1, 40)),
            choices=some(rng, (choices - 1,)),
            everyone=bool(rng.random() < 0.2),
        )
        for _ in range(rng.integers(3) if stops else 0)
    )
    menu = ChoiceLimits(choices=choices, nothing=0 if stops else None, closed=(1,) * bool(stops))
    return GuardrailLimits(choices=menu, contact_caps=caps, **shared)


def strange(rng: Generator, shape: tuple[int, ...], share: float, plain: Any) -> Any:
    """The plain numbers with a share of them replaced by strange ones."""
    return np.where(rng.random(shape) < share, rng.choice(STRANGE, shape), plain)


def proposals(rng: Generator, limits: GuardrailLimits, n: int) -> Any:
    """Amounts in and about the range, or choices on and off the menu."""
    share = float(rng.choice([0.0, 0.1, 0.9]))
    if limits.amounts is not None:
        floor, cap = limits.amounts.floor, limits.amounts.cap
        middle = floor + (cap - floor) * rng.uniform(-0.2, 1.2, n)
        edges = [np.nextafter(floor, -np.inf), floor, cap, np.nextafter(cap, np.inf)]
        plain = np.where(rng.random(n) < 0.3, rng.choice(edges, n), middle)
        return strange(rng, (n,), share, plain)
    assert limits.choices is not None
    return strange(rng, (n,), share, rng.integers(-1, limits.choices.choices + 1, n))


def drawn_context(rng: Generator, limits: GuardrailLimits, n: int, day: float) -> Context:
    """Everything that a request may say, some of it unreadable."""
    units: list[Any] = [
        UNITS[rng.integers(len(UNITS))] if rng.random() < 0.95 else [None, "", np.nan][i % 3]
        for i in range(n)
    ]
    seen = strange(rng, (n, OBSERVED), 0.02, rng.normal(size=(n, OBSERVED)))
    shape = (n,) if limits.choices is None else (n, limits.choices.choices)
    mask = None
    if limits.choices is not None:
        mask = strange(rng, shape, 0.02, rng.random(shape) < 0.8)
        mask[:, 1] = 1  # something is always allowed
        mask[:, 0] = rng.random(n) < 0.5
        if limits.choices.nothing is None and limits.choices.closed:
            mask[:, -1] = 1
    return Context(
        observation=seen,
        mask=mask,
        unit=units,
        hour=strange(rng, (n,), 0.05, rng.uniform(0, 24, n)),
        cost=strange(rng, shape, 0.1, np.exp(rng.normal(-2, 3, shape))),
        day=day,
    )


def next_day(rng: Generator, day: int) -> float:
    """Mostly today or tomorrow; sometimes long ago, far ahead or no day at all."""
    kind = rng.random()
    if kind < 0.05:
        return float(rng.choice([np.nan, np.inf, -1.0, 0.5, 1e300]))
    if kind < 0.15:
        return day - int(rng.integers(1, 400))
    if kind < 0.2:
        return day + int(rng.integers(1, 400))
    return day + int(rng.random() < 0.2)


def play_campaign(rng: Generator, decisions: int) -> tuple[Auditor, Interventions]:
    """One campaign of about so many decisions under limits drawn at random."""
    limits = drawn_limits(rng)
    kept = json.loads(json.dumps(limits.as_dict()))
    limits = GuardrailLimits.from_dict(kept)  # what is exported, not what was built
    out: frozenset[str] = frozenset()
    if limits.holdout is not None:
        rows = held_out(UNITS, limits.holdout.share, limits.holdout.salt)
        out = frozenset(unit for unit, row in zip(UNITS, rows, strict=True) if row)
    auditor, state, found = Auditor(limits, out), FRESH, Interventions()
    day = 19_000
    while found.decisions < decisions:
        n = int(rng.integers(0, LARGEST_BATCH))
        asked = next_day(rng, day)
        context = drawn_context(rng, limits, n, asked)
        guarded = decided(rng, limits, context, state, n)
        auditor.audit(context, guarded)
        found += guarded.interventions
        state = guarded.state
        day = state.day or day
        state = settle_some(rng, auditor, guarded, state)
        if rng.random() < 0.05:
            state = GuardState.from_dict(json.loads(json.dumps(state.as_dict())))
    return auditor, found


def decided(
    rng: Generator, limits: GuardrailLimits, context: Context, state: GuardState, n: int
) -> Guarded:
    """The same by either way in."""
    proposed, champion = proposals(rng, limits, n), proposals(rng, limits, n)
    if rng.random() < 0.5:
        return apply(limits, proposed, champion, context, state)
    rail = Guardrail(limits, Answering(proposed), Answering(champion))
    return rail.decide(context, rng, state)


def settle_some(
    rng: Generator, auditor: Auditor, guarded: Guarded, state: GuardState
) -> GuardState:
    """Settle some receipts, some of them twice, some with spends that are no numbers."""
    receipts = [int(r) for r in guarded.receipt if rng.random() < 0.7]
    receipts += [int(r) for r in rng.integers(-1, state.next_receipt + 2, 2)]
    spends = strange(rng, (len(receipts),), 0.2, np.exp(rng.normal(-4, 2, len(receipts))))
    for receipt, spent in zip(receipts, spends.tolist(), strict=True):
        auditor.settle(receipt, spent)
    return settled(state, receipts, spends.tolist()).state


def attack(decisions: int, seed: int) -> dict[str, Any]:
    """`decisions` decisions over many campaigns: violations, exceptions, interventions."""
    total, violations, exceptions = Interventions(), [], []
    kinds: set[str] = set()
    campaign = 0
    while total.decisions < decisions:
        rng = np.random.default_rng([seed, campaign])
        try:
            auditor, found = play_campaign(rng, DECISIONS_A_CAMPAIGN)
        except (UserError, ArithmeticError, ValueError, TypeError, LookupError) as error:
            exceptions.append(f"campaign {campaign}: {error!r}")
            found = Interventions(decisions=DECISIONS_A_CAMPAIGN)
        else:
            violations += [f"campaign {campaign}: {what}" for what in auditor.violations]
            kinds |= set(auditor.violations)
        total += found
        campaign += 1
    return {
        "campaigns": campaign,
        "violations": len(violations),
        "first_violations": violations[:10],
        "violated": sorted(kinds)[:50],
        "exceptions": len(exceptions),
        "first_exceptions": exceptions[:10],
        "interventions": total.as_dict(),
    }


def microseconds() -> dict[str, float]:
    """CPU time of one guarded bid with books: asked for alone (of 2,000), and in a large batch."""
    limits = GuardrailLimits(
        amounts=AmountLimits(floor=0.1, cap=50.0, nothing=0.0, relative_change=0.3),
        budget=Budget(day=1e6, total=1e7),
        holdout=Holdout(share=0.1, salt="live"),
        support=Support(low=(0.0,) * 16, high=(1.0,) * 16),
    )
    rng = np.random.default_rng(0)

    def context(n: int) -> Context:
        units = [f"visitor {number}" for number in range(n)]
        seen = rng.random((n, 16), np.float32)
        return Context(observation=seen, unit=units, cost=np.full(n, 1e-3), day=20_000)

    state, spans = FRESH, []
    for _ in range(2000):
        one = context(1)
        started = time.process_time()
        state = apply(limits, [7.0], [5.0], one, state).state
        spans.append(time.process_time() - started)
    many = context(100_000)
    started = time.process_time()
    apply(limits, np.full(100_000, 7.0), np.full(100_000, 5.0), many, FRESH)
    batch = (time.process_time() - started) / 100_000
    return {
        "single_median": round(1e6 * float(np.median(spans)), 1),
        "single_99th": round(1e6 * float(np.quantile(spans, 0.99)), 1),
        "in_a_batch_of_100000": round(1e6 * batch, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.perf_counter()
    result = attack(arguments.decisions, arguments.seed)
    result["seconds_with_auditor"] = round(time.perf_counter() - started, 1)
    result["cpu_microseconds"] = microseconds()
    print(json.dumps(result, indent=1))
    write_result("guardrails", vars(arguments), result)
    if result["violations"] or result["exceptions"]:
        raise SystemExit("a guarded policy stepped outside or failed: see above")


if __name__ == "__main__":
    main()
