"""K members around the best estimate: one fit to all rows, and how far bootstraps stray from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from envs.personalization.model import Floats, RewardModel
from envs.personalization.response import (
    Guess,
    Response,
    Rows,
    fit_response,
    interaction,
    sorted_rows,
)
from envs.personalization.visits import Visits

MEMBERS = 5
FOLDS = 3
_MOST_CROSS_FITTED = 60_000
"""Choosing a rank needs fewer rows than using it."""


class Fitted(NamedTuple):
    """A part's ensemble, the fit to all its rows, and the rank that cross-fitting chose."""

    model: RewardModel
    response: Response
    rank: int


def fit_ensemble(
    visits: Visits, guess: Guess, positions: int, offset: Floats | None, rng: Generator
) -> Fitted:
    """The members of one part of a log; `offset [M]` is added to every row's logit."""
    offset = np.zeros(visits.size) if offset is None else offset
    best = fit_response(_rows(visits, visits.weight, offset), guess, positions)
    rank = chosen_rank(visits, guess, best, offset, rng)
    drawn = [
        fit_response(
            _rows(visits, _redrawn_weights(visits, rng), offset), guess, positions, best, rounds=0
        )
        for _ in range(MEMBERS)
    ]
    return Fitted(_around(best, drawn, guess, rank), best, rank)


def chosen_rank(
    visits: Visits, guess: Guess, best: Response, offset: Floats, rng: Generator
) -> int:
    """The interaction's rank with the least cross-fitted deviance; folds part units, not rows."""
    full = min(best.taste.shape)
    ranks = sorted({0, *(2**power for power in range(full.bit_length()) if 2**power < full), full})
    taken = np.arange(0, visits.size, -(-visits.size // _MOST_CROSS_FITTED))
    sample, offset = visits.rows(taken), offset[taken]
    fold = rng.integers(0, FOLDS, sample.unit.max() + 1)[sample.unit]
    deviance = np.zeros(len(ranks))
    for number in range(FOLDS):
        inside = np.where(fold == number, 0.0, sample.weight)
        fitted = fit_response(
            _rows(sample, inside, offset), guess, len(best.position), best, rounds=0
        )
        rows = _rows(sample, np.where(fold == number, sample.weight, 0.0), offset)
        for index, rank in enumerate(ranks):
            deviance[index] += _deviance(rows, fitted, guess, rank)
    best_rank: int = ranks[int(deviance.argmin())]
    return best_rank


def _deviance(rows: Rows, fitted: Response, guess: Guess, rank: int) -> float:
    bias, vector = fitted.bias(guess), fitted.vector(guess, rank)
    logit = bias[rows.item] + fitted.position[rows.position] + rows.offset
    logit += interaction(rows, vector)
    return float((rows.weight * (np.logaddexp(0, logit) - rows.reward * logit)).sum())


def _around(best: Response, drawn: list[Response], guess: Guess, rank: int) -> RewardModel:
    """Members best + (drawn_k - mean of drawn): they stray like bootstraps, and average to best.

    The factor sqrt(K / (K - 1)) returns the spread that centring at their own mean takes.
    """
    spread = np.sqrt(len(drawn) / (len(drawn) - 1))

    def members(values: list[Floats], centre: Floats) -> Floats:
        stacked = np.stack(values)
        return np.asarray(centre + spread * (stacked - stacked.mean(axis=0)))

    return RewardModel(
        bias=members([fitted.bias(guess) for fitted in drawn], best.bias(guess)),
        vector=members([fitted.vector(guess, rank) for fitted in drawn], best.vector(guess, rank)),
        position=members([fitted.position for fitted in drawn], best.position),
    )


def _redrawn_weights(visits: Visits, rng: Generator) -> Floats:
    """Bootstrap weights: units drawn with replacement; of a row of counts, its impressions."""
    drawn = rng.poisson(1.0, visits.unit.max() + 1)[visits.unit] * visits.weight
    return np.where(visits.weight > 1, rng.poisson(visits.weight), drawn).astype(np.float64)


def _rows(visits: Visits, weight: Floats, offset: Floats) -> Rows:
    return sorted_rows(visits.x, visits.item, visits.position, visits.reward, weight, offset)
