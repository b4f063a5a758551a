"""The what-if knobs of personalization, and what each does to the visitors that come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.core.scenario import knob, refuse_extremes
from envs.core.season import Season
from envs.personalization.model import (
    Contexts,
    Floats,
    LoggedRows,
    RewardModel,
    mean_logit,
    mean_probability,
    sigmoid,
)
from envs.personalization.settings import SessionTerms

READINESS = "the odds of a reward"
_SEASON_ROWS = 100_000
"""Of the log, evenly spaced: how days differ is then known as well as it needs to be."""
_STEEPEST = 200.0
"""Of a tilt towards busy or quiet days: beyond, only the one extreme day is left."""


@dataclass(frozen=True, kw_only=True)
class PersonalizationScenario:
    """Factors on today's visitors; 1 leaves them as they are."""

    response: float = knob("Response", "the odds of a reward, whatever is shown")
    taste: float = knob(
        "Taste", "how far visitors differ in what they like; 0: not at all", low=0.0
    )
    season: float = knob(
        "Season",
        "days of so many times the usual traffic: who came on the log's own days of more or less "
        "traffic, and how readily they responded",
        low=0.5,
        high=2.0,
    )
    mix: float = knob(
        "Traffic mix",
        "how much more often visitors come who respond twice as readily as the average",
        low=0.25,
        high=4.0,
    )
    boredom: float = knob(
        "Boredom", "the loss of interest in what was just shown; sessions only", low=0.0
    )
    leaving: float = knob("Leaving", "the chances that a visitor leaves; sessions only")

    def __post_init__(self) -> None:
        refuse_extremes(self)


def season_of(model: RewardModel, logged: LoggedRows) -> Season:
    """How readily visitors responded on busy and on quiet days, beyond what the model foretells.

    A day's odds, x those foretold: exp((rewards - sum p) / sum p (1 - p)), one Newton step.
    """
    if logged.day is None or not logged.size:
        return Season(1.0, 1.0, {READINESS: 0.0})
    step = -(-logged.size // _SEASON_ROWS)
    rows = logged.rows(np.arange(0, logged.size, step))
    day = np.unique(logged.day[::step], return_inverse=True)[1]
    chance = sigmoid(mean_logit(model, rows.x, rows.item, rows.position))
    shown, missed, known = (
        np.asarray(np.bincount(day, rows.weight * amount), np.float64)
        for amount in (np.ones(rows.size), rows.reward - chance, chance * (1 - chance))
    )
    return Season.seen(shown, {READINESS: np.exp(missed / known)}, weight=known)


def changed_model(
    model: RewardModel, scenario: PersonalizationScenario, season: Season
) -> RewardModel:
    """The same items for other visitors."""
    odds = scenario.response * season.factor(READINESS, scenario.season)
    return model._replace(bias=model.bias + np.log(odds), vector=model.vector * scenario.taste)


def changed_contexts(
    model: RewardModel, contexts: Contexts, scenario: PersonalizationScenario
) -> Contexts:
    """As many visitors of another season and another mix.

    Mix draws in proportion to (q / mean q)^log2(mix), q a visitor's mean response over all items.
    """
    if scenario.season != 1 and contexts.traffic is not None:
        contexts = _drawn(contexts, seasonal_weight(contexts.traffic, scenario.season))
    if scenario.mix == 1:
        return contexts
    q = mean_probability(model, contexts.x).mean(axis=1)
    return _drawn(contexts, (q / q.mean()) ** np.log2(scenario.mix))


def seasonal_weight(traffic: Floats, season: float) -> Floats:
    """w_i = traffic_i^theta, `[N]`, theta so that the mean traffic under w is `season` x today's.

    The mix of days nearest to today's (in Kullback-Leibler divergence) that has that mean; where no
    mix of the log's days has it, the busiest or the quietest day alone.
    """
    from scipy.optimize import brentq

    level = np.log(traffic / traffic.mean())
    if np.ptp(level) < 1e-9:
        return np.ones(len(level))

    def weight(tilt: float) -> Floats:
        return np.asarray(np.exp(tilt * level - (tilt * level).max()))

    def short(tilt: float) -> float:
        return float(np.average(np.exp(level), weights=weight(tilt))) - season

    end = _STEEPEST / float(np.ptp(level))
    if short(-end) >= 0 or short(end) <= 0:
        return weight(-end if short(-end) >= 0 else end)
    return weight(float(brentq(short, -end, end)))


def _drawn(contexts: Contexts, weight: Floats) -> Contexts:
    """As many contexts in proportion to `weight [N]`: evenly spaced quantiles draw, no chance.

    Whoever is drawn stays in place, and only those who are not make room for whoever is drawn more
    than once: what is paired visitor by visitor differs no more than it must.
    """
    everyone = np.arange(contexts.size)
    reached = np.searchsorted(np.cumsum(weight) / weight.sum(), (everyone + 0.5) / contexts.size)
    times = np.bincount(np.minimum(reached, contexts.size - 1), minlength=contexts.size)
    drawn = everyone.copy()
    drawn[times == 0] = everyone.repeat(np.maximum(times - 1, 0))
    return contexts.rows(drawn)


def changed_terms(terms: SessionTerms, scenario: PersonalizationScenario) -> SessionTerms:
    """The same sessions, more or less patient; chances stay chances at every level of boredom."""
    leave_none = min(1.0, terms.leave_none * scenario.leaving)
    most = (1.0 - leave_none) / terms.boredom_levels
    return terms._replace(
        boredom=terms.boredom * scenario.boredom,
        leave_click=min(1.0, terms.leave_click * scenario.leaving),
        leave_none=leave_none,
        leave_boredom=min(most, terms.leave_boredom * scenario.leaving),
    )
