"""How many units a test needs, what it can see, how long it takes: two-sided z tests."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from scipy.optimize import brentq
from scipy.stats import norm

from ppo_marketing.errors import UserError
from ppo_marketing.experiment.outcomes import Mean, Proportion

DAYS_A_WEEK = 7


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a test is run and what is asked of it.

    `share` is the challenger's part of the units, the rest being the holdout. `design_effect`
    divides the units, for outcomes that come in clusters (see `design_effect`).

    Raises:
        UserError: a number is out of range; all such are listed.
    """

    outcome: Proportion | Mean
    share: float = 0.5
    """Equal arms need the fewest units."""
    alpha: float = 0.05
    """Chance of finding an effect, in either direction, where there is none."""
    power: float = 0.8
    """Chance of finding the effect that is there; the custom since Cohen 1988."""
    design_effect: float = 1.0

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value!r}; it must be {allowed}"
            for name, value, holds, allowed in (
                ("share", self.share, 0 < self.share < 1, "between 0 and 1"),
                ("alpha", self.alpha, 0 < self.alpha < 1, "between 0 and 1"),
                (
                    "power",
                    self.power,
                    self.alpha / 2 < self.power < 1,
                    "above alpha / 2 and below 1",
                ),
                (
                    "design_effect",
                    self.design_effect,
                    1 <= self.design_effect < math.inf,
                    "1 or more",
                ),
            )
            if not holds
        ]
        if wrong:
            raise UserError("this test cannot be planned:\n  " + "\n  ".join(wrong))

    @property
    def z_alpha(self) -> float:
        """The largest |z| that passes for no effect."""
        return float(norm.ppf(1 - self.alpha / 2))


def power_of(plan: Plan, effect: float, units: float) -> float:
    """The chance that `units` in all show an effect δ, in the right direction.

        Φ((|δ| √(N / D) - z_{1-α/2} √V_0) / √V_1)

    It is α / 2 where there is no effect: the other half would be found in the wrong direction.

    Source: as for `Proportion`.

    Raises:
        UserError: units or effect are impossible.
    """
    _require_effect(plan, effect)
    _require_units(units)
    alike, apart = plan.outcome.variances(effect, plan.share)
    reach = abs(effect) * math.sqrt(units / plan.design_effect) - plan.z_alpha * math.sqrt(alike)
    if apart == 0:  # two rates of 0 or 1: no luck is left
        return 1.0 if reach > 0 else 0.0
    return float(norm.cdf(reach / math.sqrt(apart)))


def units_for(plan: Plan, effect: float) -> float:
    """The units in all, not rounded, at which an effect δ is found with the plan's power.

        N = D ((z_{1-α/2} √V_0 + z_{power} √V_1) / δ)²

    Raises:
        UserError: the effect is 0 or impossible.
    """
    _require_effect(plan, effect)
    if effect == 0:
        raise UserError(
            "an effect of 0 needs infinitely many units: give the smallest that matters"
        )
    alike, apart = plan.outcome.variances(effect, plan.share)
    z_power = float(norm.ppf(plan.power))
    root = plan.z_alpha * math.sqrt(alike) + z_power * math.sqrt(apart)
    return plan.design_effect * (root / effect) ** 2


def minimum_detectable_effect(plan: Plan, units: float) -> float:
    """The smallest rise that `units` in all show with the plan's power: `power_of` solved for δ.

    Raises:
        UserError: no rise, however large, would be shown.
    """
    _require_units(units)
    outcome = plan.outcome
    if isinstance(outcome, Mean):
        unit_effect = replace(plan, outcome=Mean(sd=1.0))
        return outcome.sd * math.sqrt(units_for(unit_effect, 1.0) / units)

    def lacking(effect: float) -> float:
        return power_of(plan, effect, units) - plan.power

    # A rate of exactly 1 has no variance, so that power jumps there: the end is kept out.
    most = (1.0 - outcome.base) * (1 - 1e-12)
    if lacking(most) < 0:
        raise UserError(
            f"{units:g} units show no rise of a rate of {outcome.base:g}, however large, with a "
            f"power of {plan.power:g}: take more units, or less power"
        )
    return float(brentq(lacking, 0.0, most, xtol=1e-15, rtol=1e-13))


def design_effect(size: float, correlation: float, variation: float = 0.0) -> float:
    """How many times more rows a test needs where they come in clusters.

        D = 1 + ((1 + cv²) m - 1) ρ

    for clusters of m rows on average, their sizes varying by cv (sd / mean), and ρ the correlation
    of outcomes within a cluster (ICC).

    Source: Eldridge, Ashby and Kerry 2006, Int J Epidemiol 35:1292; Kish 1965.

    Raises:
        UserError: a number is out of range.
    """
    if not (size >= 1 and 0 <= correlation <= 1 and 0 <= variation < math.inf):
        raise UserError(
            f"clusters of {size!r} rows, correlation {correlation!r}, variation {variation!r}: a "
            "size of 1 or more, a correlation from 0 to 1 and a variation of 0 or more are needed"
        )
    return 1.0 + ((1.0 + variation**2) * size - 1.0) * correlation


@dataclass(frozen=True, kw_only=True)
class Design:
    """A planned test: `champion` and `challenger` units, what they can show, whole weeks it takes.

    `relative_effect` is of the champion's mean, None where that is not known. `weeks` is None
    without traffic; it covers the units' arrival and, after it, the time an outcome needs.
    """

    outcome: str
    base: float | None
    sd: float | None
    effect: float
    relative_effect: float | None
    alpha: float
    power: float
    share: float
    design_effect: float
    champion: int
    challenger: int
    weeks: int | None

    @property
    def units(self) -> int:
        """Both arms."""
        return self.champion + self.challenger

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "units": self.units}


def designed(
    plan: Plan,
    *,
    effect: float | None = None,
    units: int | None = None,
    units_a_week: float | None = None,
    outcome_days: int = 0,
) -> Design:
    """The test of a plan: units for an effect, the effect that units show, or the power of both.

    A unit counts in the week it first appears, and its outcome is complete `outcome_days` later.

    Raises:
        UserError: neither effect nor units are given, or a number is out of range.
    """
    if effect is None and units is None:
        raise UserError("give the effect that matters, or the units there are, or both")
    if units_a_week is not None and not 0 < units_a_week < math.inf:
        raise UserError(f"{units_a_week!r} units a week must be a positive number")
    if outcome_days < 0:
        raise UserError(f"an outcome cannot take {outcome_days} days")
    power = plan.power
    if units is None:
        assert effect is not None
        needed = units_for(plan, effect)
        arms = (math.ceil((1 - plan.share) * needed), math.ceil(plan.share * needed))
    else:
        if units < 2:
            raise UserError(f"{units} units cannot be parted: two or more are needed")
        challenger = min(max(round(plan.share * units), 1), units - 1)
        arms = (units - challenger, challenger)
        if effect is None:
            effect = minimum_detectable_effect(plan, units)
        else:
            power = power_of(plan, effect, units)
    outcome = plan.outcome
    base = None if math.isnan(outcome.base) else outcome.base
    return Design(
        outcome="proportion" if isinstance(outcome, Proportion) else "mean",
        base=base,
        sd=outcome.sd if isinstance(outcome, Mean) else None,
        effect=effect,
        relative_effect=effect / base if base else None,
        alpha=plan.alpha,
        power=power,
        share=plan.share,
        design_effect=plan.design_effect,
        champion=arms[0],
        challenger=arms[1],
        weeks=None if units_a_week is None else _weeks(sum(arms), units_a_week, outcome_days),
    )


def _weeks(units: int, units_a_week: float, outcome_days: int) -> int:
    """Whole weeks, since weekdays differ; the outcome's time is added, in whole weeks too."""
    return math.ceil(units / units_a_week) + math.ceil(outcome_days / DAYS_A_WEEK)


def _require_effect(plan: Plan, effect: float) -> None:
    outcome = plan.outcome
    if isinstance(outcome, Proportion):
        if not 0 <= outcome.base + effect <= 1:
            raise UserError(
                f"a rate of {outcome.base:g} cannot change by {effect!r}: the challenger's must "
                "lie from 0 to 1"
            )
    elif not math.isfinite(effect):
        raise UserError(f"an effect of {effect!r} must be a number")


def _require_units(units: float) -> None:
    if not 0 < units < math.inf:
        raise UserError(f"{units!r} units must be a positive number")
