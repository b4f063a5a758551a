"""What limits cost: the value with and without each of them, on the same simulated episodes.

A limit's shadow price is what the policy would earn more if that limit alone were lifted:

    price_i = V(all limits but i) - V(all limits),   paired by episode

in currency an episode. It is below 0 where a limit keeps the policy from doing harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.world import Array, World
from ppo_marketing.evaluation import Estimate, bootstrap_means, play
from ppo_marketing.guardrails import Counted, Guardrail, GuardrailLimits, Interventions
from ppo_marketing.guardrails.guards import AmountLimits
from ppo_marketing.policy import Policy, PolicyActor

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class LimitPrice:
    """One limit: what it allows, how often it alone would step in, and what it costs.

    `changed` of `decisions` are those that the policy proposed and this limit alone would not have
    let through: violations avoided. `alone` is V(no limits) - V(this limit alone), `price` the
    shadow price beside all others.
    """

    limit: str
    allows: str
    decisions: int
    changed: int
    alone: Estimate
    price: Estimate


@dataclass(frozen=True, kw_only=True)
class ShadowPrices:
    """The policy with and without its limits; `cost` is the second less the first, paired.

    `changed` of `decisions` are those that the limits together changed. `interventions` has their
    reasons; a choice that is closed is not offered to the policy, so that nothing steps in there.
    `not_simulated` are limits on units and days, which no simulated episode has: they hold where
    the policy is shipped.
    """

    episodes: int
    guarded: Estimate
    unguarded: Estimate
    cost: Estimate
    decisions: int
    changed: int
    limits: tuple[LimitPrice, ...]
    interventions: Interventions
    not_simulated: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "interventions": self.interventions.as_dict()}


class Part(NamedTuple):
    """One limit of several: its name, what it allows, itself alone, and the others without it."""

    name: str
    allows: str
    alone: GuardrailLimits
    others: GuardrailLimits


def parts(limits: GuardrailLimits, widest: AmountLimits | None) -> tuple[Part, ...]:
    """The limits that a simulated world can ask about, one by one.

    `widest` are the bounds of the action space, for amounts: within them nothing is limited.
    """
    held = limits.alone()
    free = _free(held, widest)
    return tuple(
        Part(name, allows, _merged(free, alone), _merged(held, others))
        for name, allows, alone, others in _changes(held, free)
    )


def _free(held: GuardrailLimits, widest: AmountLimits | None) -> GuardrailLimits:
    """Limits that nothing within the action space breaks."""
    choices = None if held.choices is None else replace(held.choices, closed=())
    amounts = None
    if held.amounts is not None:
        assert widest is not None
        amounts = replace(widest, nothing=held.amounts.nothing)
    return GuardrailLimits(amounts=amounts, choices=choices)


def _changes(
    held: GuardrailLimits, free: GuardrailLimits
) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Name, what is allowed, what to set for this limit alone, what to lift for all but it."""
    if held.amounts is not None and free.amounts is not None:
        for name in ("floor", "cap", "change", "relative_change"):
            own, wide = getattr(held.amounts, name), getattr(free.amounts, name)
            if own != wide:
                yield (
                    f"amounts.{name}", f"{own:g}",
                    {"amounts": replace(free.amounts, **{name: own})},
                    {"amounts": replace(held.amounts, **{name: wide})},
                )  # fmt: skip
    if held.choices is not None and free.choices is not None:
        for choice in held.choices.closed:
            rest = tuple(one for one in held.choices.closed if one != choice)
            yield (
                "choices.closed", f"not {choice}",
                {"choices": replace(free.choices, closed=(choice,))},
                {"choices": replace(held.choices, closed=rest)},
            )  # fmt: skip
    if held.support is not None:
        yield (
            "support_margin",
            f"{held.support.margin:.0%}",
            {"support": held.support},
            {"support": None},
        )


def _merged(limits: GuardrailLimits, changed: dict[str, Any]) -> GuardrailLimits:
    return replace(limits, **changed)


def not_simulated(limits: GuardrailLimits) -> tuple[str, ...]:
    """The limits that need units, days or earlier decisions, by their names in a configuration."""
    amounts = limits.amounts
    named = {
        "amounts.daily_change": amounts is not None and amounts.daily_change is not None,
        "amounts.daily_relative_change": amounts is not None
        and amounts.daily_relative_change is not None,
        "budget": limits.budget is not None,
        "contact_caps": bool(limits.contact_caps),
        "quiet": limits.quiet is not None,
        "holdout": limits.holdout is not None,
        "suppressed": bool(limits.suppressed),
        "changed_share": limits.changed_share is not None,
    }
    return tuple(name for name, given in named.items() if given)


class _Watched:
    """A guarded policy that counts the decisions in which the policy alone would act otherwise."""

    def __init__(self, guarded: Counted, free: Policy) -> None:
        self.guarded, self._free = guarded, free
        self.decisions = self.changed = 0

    def act(
        self,
        observation: Array,
        rng: Generator,
        mask: Array | None = None,
        *,
        deterministic: bool = False,
    ) -> Array:
        shipped = self.guarded.act(observation, rng, mask, deterministic=deterministic)
        wanted = self._free.act(observation, rng, mask, deterministic=True)
        unlike = np.asarray(shipped != wanted).reshape(len(observation), -1).any(axis=1)
        self.decisions += unlike.size
        self.changed += int(unlike.sum())
        return shipped

    def log_prob(self, observation: Array, action: Array, mask: Array | None = None) -> Array:
        return self.guarded.log_prob(observation, action, mask)


def shadow_prices(
    world: World[Any],
    policy: Policy,
    fallback: Policy,
    limits: GuardrailLimits,
    *,
    widest: AmountLimits | None,
    value_kpi: str,
    unit: str,
    telling: NDArray[np.bool_],
    seed: int,
    rng: Generator,
    repetitions: int = 2000,
) -> ShadowPrices:
    """Play the same episodes with all limits, with none, with each alone and with all but each.

    `telling [n]` says which of the n episodes count (see `evaluation.telling_episodes`), so that
    the values are those of the evidence. Plays 2 (1 + number of limits) times.
    """

    def value(who: Policy) -> Array:
        kpis = play(PolicyActor("policy", who), world, telling.size, seed, "policy").kpis
        return np.asarray(kpis[value_kpi][telling], np.float64)

    def held_to(these: GuardrailLimits) -> _Watched:
        return _Watched(Counted(Guardrail(these, policy, fallback)), policy)

    one_by_one = parts(limits, widest)
    guard = held_to(limits.alone())
    alone = [held_to(part.alone) for part in one_by_one]
    values = [value(policy), value(guard)]
    values += [value(each) for each in alone]
    values += [value(held_to(part.others)) for part in one_by_one]
    exact = np.array([each.mean() for each in values])
    drawn = bootstrap_means(np.array(values), repetitions, rng)  # [actors, repetitions]

    def estimate(of: int, less: int | None = None) -> Estimate:
        draws = drawn[of] if less is None else drawn[of] - drawn[less]
        mean = exact[of] if less is None else exact[of] - exact[less]
        low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Estimate(float(mean), float(low), float(high), float(telling.sum()), unit)

    count = len(one_by_one)
    return ShadowPrices(
        episodes=int(telling.sum()),
        unguarded=estimate(0),
        guarded=estimate(1),
        cost=estimate(0, 1),
        limits=tuple(
            LimitPrice(
                limit=part.name,
                allows=part.allows,
                decisions=alone[i].decisions,
                changed=alone[i].changed,
                alone=estimate(0, 2 + i),
                price=estimate(2 + count + i, 1),
            )
            for i, part in enumerate(one_by_one)
        ),
        decisions=guard.decisions,
        changed=guard.changed,
        interventions=guard.guarded.interventions,
        not_simulated=not_simulated(limits),
    )
