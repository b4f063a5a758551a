"""What limits cost: the value with and without each of them, on the same simulated episodes.

A limit's shadow price is what the policy would earn more if that limit alone were lifted:

    price_i = V(all limits but i) - V(all limits),   paired by episode

in currency an episode. It is below 0 where a limit keeps the policy from doing harm.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.world import Array, World
from ppo_marketing.evaluation import Estimate, bootstrap_means, play
from ppo_marketing.guardrails import Guardrail, GuardrailLimits, Interventions
from ppo_marketing.guardrails.guards import AmountLimits
from ppo_marketing.limit_parts import not_simulated, parts, simulated
from ppo_marketing.limits_in_play import HeldActor, moments_of_world, simulated_units
from ppo_marketing.policy import Actor, Policy, PolicyActor

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
    `not_simulated` are limits that these simulated episodes cannot ask about: they hold where the
    policy is shipped.
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
    units: int | None = None,
    repetitions: int = 2000,
) -> ShadowPrices:
    """Play the same episodes with all limits, with none, with each alone and with all but each.

    `telling [n]` says which of the n episodes count (see `evaluation.telling_episodes`), so that
    the values are those of the evidence; `units` how many the log has whose episodes these are
    like, None where an episode is not one unit's. Plays 2 (1 + number of limits) times.
    """
    asked = simulated(limits, moments_of_world(world), units)
    ids = simulated_units(asked, telling.size, units)

    def value(who: Actor) -> Array:
        kpis = play(who, world, telling.size, seed, "policy").kpis
        return np.asarray(kpis[value_kpi][telling], np.float64)

    def held_to(these: GuardrailLimits) -> HeldActor:
        return HeldActor("policy", Guardrail(these, policy, fallback), ids)

    one_by_one = parts(asked, widest, units)
    guard = held_to(asked)
    alone = [held_to(part.alone) for part in one_by_one]
    values = [value(PolicyActor("policy", policy)), value(guard)]
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
        interventions=guard.interventions,
        not_simulated=not_simulated(limits, asked),
    )
