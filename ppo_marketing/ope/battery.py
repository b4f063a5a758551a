"""Every estimator on one log beside the others, with what the log can say and what it cannot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from ppo_marketing.ope.diagnostics import Diagnostics, diagnose
from ppo_marketing.ope.estimators import (
    DM,
    DR,
    IPS,
    MIPS,
    SNDR,
    SNIPS,
    LoggedMean,
    Replay,
    SubGauss,
)
from ppo_marketing.ope.feedback import Decisions, Floats, PropensitySource
from ppo_marketing.ope.intervals import (
    REPETITIONS,
    Interval,
    bootstrap_values,
    empirical_bernstein,
    lower_bound,
    normal_interval,
    percentile_interval,
)
from ppo_marketing.ope.propensity import Bin, Reliability
from ppo_marketing.ope.refusals import cautions, refusals
from ppo_marketing.ope.slope import chosen_by_slope, shrinkage_families
from ppo_marketing.ope.terms import Estimator, Family, Terms, influence, standard_error, value


@dataclass(frozen=True)
class Estimated:
    """One estimator's answer; its intervals are None where the log cannot say.

    `assumes` is what must hold for them to be intervals of the policy's value. `bernstein` is
    there for bounded terms alone (clipped IPS of rewards whose range is known).
    """

    name: str
    family: Family
    value: float
    standard_error: float
    normal: Interval | None
    bootstrap: Interval | None
    bernstein: Interval | None
    assumes: str


@dataclass(frozen=True)
class Lift:
    """DR minus the log's own mean reward, on the same draws; `low` is a one-sided lower bound."""

    value: float
    standard_error: float
    low: float | None


@dataclass(frozen=True)
class OffPolicyReport:
    """What a log says of a policy. Where `refusals` are not empty: that it cannot say."""

    estimates: tuple[Estimated, ...]
    logging: Estimated
    lift: Lift
    diagnostics: Diagnostics
    level: float
    propensity: PropensitySource
    calibration: Reliability | None
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def can_say(self) -> bool:
        """Whether intervals are shown."""
        return not self.refusals

    def row(self, name: str) -> Estimated:
        """The estimate of that name, or else the first whose name begins so."""
        same = [row for row in self.estimates if row.name == name]
        return next(row for row in (*same, *self.estimates) if row.name.startswith(name))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not a finite number is None."""
        plain = _plain(asdict(self))
        assert isinstance(plain, dict)
        return plain | {"can_say": self.can_say}


def off_policy_report(
    decisions: Decisions,
    rng: Generator,
    *,
    level: float = 0.95,
    repetitions: int = REPETITIONS,
    reward_range: tuple[float, float] | None = None,
    calibration: Reliability | None = None,
    names: Sequence[str] | None = None,
) -> OffPolicyReport:
    """IPS, SNIPS, SubGauss, DM, DR and SNDR; clipped IPS, Switch-DR and DRos as SLOPE shrinks them.

    MIPS joins where actions have categories, replay where propensities are all equal. The range
    of rewards is that of 0 and 1 where there are no others, otherwise unknown unless given.
    `calibration` is that of estimated propensities, `names` calls actions by name in refusals.
    """
    found = diagnose(decisions)
    cannot = refusals(found, decisions, names)
    battery = _battery(decisions)
    estimators = (*(own for own, _ in battery), LoggedMean())
    terms = [estimator.terms(decisions) for estimator in estimators]
    draws = None if cannot else bootstrap_values(terms, decisions, rng, repetitions=repetitions)
    span = reward_range or _span(decisions.reward)
    rows = []
    for k, (estimator, term) in enumerate(zip(estimators, terms, strict=True)):
        error = standard_error(influence(term, decisions), decisions)
        row = Estimated(
            name=estimator.name,
            family=estimator.family,
            value=value(term, decisions),
            standard_error=error,
            normal=None,
            bootstrap=None,
            bernstein=None,
            assumes=estimator.assumes,
        )
        if draws is not None:
            bernstein = None
            if isinstance(estimator, IPS) and math.isfinite(estimator.clip) and span is not None:
                # The clip was chosen among candidates: every one of them must keep its interval.
                shared = 1 - (1 - level) / battery[k][1]
                bernstein = _bernstein(estimator.clip, term, decisions, span, shared)
            row = replace(
                row,
                normal=normal_interval(row.value, error, decisions.units, level=level),
                bootstrap=percentile_interval(draws[:, k], level=level),
                bernstein=bernstein,
            )
        rows.append(row)
    return OffPolicyReport(
        estimates=tuple(rows[:-1]),
        logging=rows[-1],
        lift=_lift(estimators, terms, decisions, draws, level),
        diagnostics=found,
        level=level,
        propensity=decisions.propensity_source,
        calibration=calibration,
        refusals=cannot,
        warnings=(*cautions(found, decisions), *_disagreement(estimators, terms, decisions)),
    )


def _battery(decisions: Decisions) -> list[tuple[Estimator, int]]:
    """The estimators that this log allows, and among how many each was chosen."""
    clipped, switch, shrunk = (
        chosen_by_slope(candidates, decisions) for candidates in shrinkage_families(decisions)
    )
    plain: list[Estimator] = [IPS(), SNIPS(), SubGauss()]
    if decisions.marginal is not None:
        plain.append(MIPS())
    if Replay.applies(decisions):
        plain.append(Replay())
    one = [(estimator, 1) for estimator in (*plain, DM(), DR(), SNDR())]
    return [one[0], clipped, *one[1:], switch, shrunk]


def _lift(
    estimators: Sequence[Estimator],
    terms: Sequence[Terms],
    decisions: Decisions,
    draws: Floats | None,
    level: float,
) -> Lift:
    at = next(k for k, estimator in enumerate(estimators) if isinstance(estimator, DR))
    robust, logged = terms[at], terms[-1]
    psi = influence(robust, decisions) - influence(logged, decisions)
    return Lift(
        value=value(robust, decisions) - value(logged, decisions),
        standard_error=standard_error(psi, decisions),
        low=None if draws is None else lower_bound(draws[:, at] - draws[:, -1], level=level),
    )


def _disagreement(
    estimators: Sequence[Estimator], terms: Sequence[Terms], decisions: Decisions
) -> tuple[str, ...]:
    """Whether the reward model says something else than the rewards: one family checks another."""
    of = {estimator.name: term for estimator, term in zip(estimators, terms, strict=True)}
    model, robust = of["DM"], of["DR"]
    apart = value(model, decisions) - value(robust, decisions)
    psi = influence(model, decisions) - influence(robust, decisions)
    error = standard_error(psi, decisions)
    if not abs(apart) > 2 * error:
        return ()
    return (
        f"the reward model puts the policy {abs(apart):.3g} {'above' if apart > 0 else 'below'} "
        f"what the rewards correct it to, {abs(apart) / error:.1f} standard errors: trust neither "
        "DM nor what is shrunk towards it",
    )


def _bernstein(
    clip: float, terms: Terms, decisions: Decisions, span: tuple[float, float], level: float
) -> Interval:
    """Of rewards in `span` and weights up to `clip`; the largest unit bounds every unit's total."""
    low, high = min(clip * span[0], 0.0), max(clip * span[1], 0.0)
    if decisions.unit is None:
        return empirical_bernstein(
            terms.correction, low, high, level=level, weight=decisions.weight
        )
    share = decisions.units / decisions.impressions
    totals = decisions.by_unit(terms.correction) * share
    largest = float(decisions.by_unit(np.ones_like(terms.correction)).max()) * share
    return empirical_bernstein(totals, low * largest, high * largest, level=level)


def _span(reward: Floats) -> tuple[float, float] | None:
    """The range that rewards are known to have: that of a yes or no."""
    return (0.0, 1.0) if bool(np.isin(reward, (0.0, 1.0)).all()) else None


def _plain(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _plain(part) for name, part in found.items()}
    if isinstance(found, Interval | Bin):
        return _plain(found._asdict())
    if isinstance(found, tuple | list):
        return [_plain(part) for part in found]
    return None if isinstance(found, float) and not math.isfinite(found) else found
