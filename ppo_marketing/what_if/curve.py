"""What more or less money would bring: spend against value, an episode's means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.core.scenario import knobs_of
from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import bootstrap_means
from ppo_marketing.what_if.answers import watched
from ppo_marketing.what_if.scenarios import Named, named
from ppo_marketing.what_if.stage import Stage

Floats = NDArray[np.float64]

FACTORS = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Of what may be spent in the scenario; those beyond the knob's range are left out."""
REPETITIONS = 1000
LEAST_STEP = 1e-6
"""Of the largest spend: smaller steps are the same point."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Spend, value and events an episode, at growing spend: a line from point to point.

    The first point spends nothing. `low` and `high` are the value's 95 % interval. `now` is the
    spend of the scenario as it stands. Nothing is known beyond the last point.
    """

    name: str
    spend: Floats
    value: Floats
    low: Floats
    high: Floats
    events: Floats
    factor: Floats
    now: float

    @property
    def marginal(self) -> Floats:
        """Value gained by a unit more of spend, between one point and the next, `[points - 1]`."""
        return np.diff(self.value) / np.diff(self.spend)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        known = ("spend", "value", "low", "high", "events", "factor", "marginal")
        return {"now": self.now, **{name: getattr(self, name).tolist() for name in known}}

    def times(self, size: float) -> Curve:
        """The curve of `size` such episodes together."""
        grown = {
            name: size * getattr(self, name)
            for name in ("spend", "value", "low", "high", "events", "now")
        }
        return replace(self, **grown)

    def value_at(self, spend: float) -> float:
        """The value at a spend within the curve."""
        return float(np.interp(spend, self.spend, self.value))


def spend_curve(stage: Stage, scenario: Named, factors: tuple[float, ...] = FACTORS) -> Curve:
    """Play the scenario with other amounts of money, all on the same episodes.

    Raises UserError where the decision spends nothing.
    """
    decision = stage.decision
    knob = decision.spend_knob
    if knob is None or decision.spend_kpi is None:
        raise UserError(
            f"{decision.title} spends no money of its own: there is no curve of spend to draw"
        )
    limits, own = knobs_of(decision.scenario_type)[knob], scenario.values.get(knob, 1.0)
    settings = sorted({own, *(own * f for f in factors if limits.low <= own * f <= limits.high)})
    kept = [decision.spend_kpi, decision.value_kpi, decision.event_kpi]
    idle = watched(stage, decision.do_nothing, _world(stage, scenario)).kpis
    plays = [np.array([idle[name] for name in kept])]
    for setting in settings:
        varied = named(decision, scenario.name, {**scenario.values, knob: setting})
        told = watched(stage, stage.policy, _world(stage, varied)).kpis
        plays.append(np.array([told[name] for name in kept]))
    totals = np.array(plays)  # [points, 3, n]
    spend, value, events = totals.mean(axis=2).T
    draws = bootstrap_means(totals[:, 1], REPETITIONS, np.random.default_rng([stage.seed, 2]))
    low, high = np.quantile(draws, [0.025, 0.975], axis=1)
    now = float(spend[1 + settings.index(own)])
    order = np.argsort(spend, kind="stable")
    apart = order[np.r_[True, np.diff(spend[order]) > LEAST_STEP * spend.max()]]
    return Curve(
        scenario.name, spend[apart], value[apart], low[apart], high[apart], events[apart],
        np.array([0.0, *settings])[apart], now,
    )  # fmt: skip


def _world(stage: Stage, scenario: Named) -> Any:
    return stage.world.under(stage.decision.scenario_type(**scenario.values))


def concave(curve: Curve) -> Curve:
    """The nearest curve whose marginal returns fall: slopes by isotonic regression.

    Minimises the sum of (s' - s)^2 weighted by the step's spend; the value at both ends stays.

    Source: Ayer et al. 1955 (pool adjacent violators), scikit-learn's implementation.
    """
    from sklearn.isotonic import IsotonicRegression

    step = np.diff(curve.spend)
    if len(step) < 2:
        return curve
    falling = IsotonicRegression(increasing=False)
    slope = falling.fit_transform(np.arange(len(step)), curve.marginal, sample_weight=step)
    value = curve.value[0] + np.concatenate([[0.0], np.cumsum(slope * step)])
    return Curve(
        curve.name, curve.spend, value, curve.low, curve.high, curve.events, curve.factor, curve.now
    )
