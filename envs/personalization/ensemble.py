"""K members around the best estimate: one fit to all rows, and how far bootstraps stray from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from envs.personalization.choice import deviances
from envs.personalization.model import Floats, RewardModel
from envs.personalization.response import (
    Guess,
    Response,
    Rows,
    fit_response,
    interaction,
    sorted_rows,
)
from envs.personalization.shrinkage import with_averaged_taste
from envs.personalization.visits import Visits

MEMBERS = 5
FOLDS = 3
_MOST_CROSS_FITTED = 200_000
"""Rows: choosing a rank needs fewer than using it, and each fold is a fit of its own."""


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
    rows = _rows(visits, visits.weight, offset)
    best = with_averaged_taste(rows, guess, fit_response(rows, guess, positions))
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
    """The interaction's rank by cross-fitted deviance; folds part units, not rows.

    Full rank, unless a lower one foretells better by more than two standard errors: shrinking has
    done most of the work, and cutting directions off by a noisy estimate can cost a tenth of what
    a policy earns.
    """
    full = min(best.taste.shape)
    ranks = sorted({0, *(2**power for power in range(full.bit_length()) if 2**power < full), full})
    kept = visits.unit % -(-visits.size // _MOST_CROSS_FITTED) == 0
    sample, offset = visits.rows(np.flatnonzero(kept)), offset[kept]
    fold = rng.integers(0, FOLDS, sample.unit.max() + 1)[sample.unit]
    deviance = []
    for number in range(FOLDS):
        inside = np.where(fold == number, 0.0, sample.weight)
        fitted = fit_response(
            _rows(sample, inside, offset), guess, len(best.position), best, rounds=0
        )
        rows = _rows(sample, np.where(fold == number, sample.weight, 0.0), offset)
        deviance.append(np.column_stack([_deviances(rows, fitted, guess, r) for r in ranks]))
    worse = np.concatenate(deviance)
    worse = worse - worse[:, -1:]
    total, error = worse.sum(axis=0), np.sqrt((worse**2).sum(axis=0))
    clear = total + 2 * error < 0
    return int(ranks[int(np.where(clear, total, 0.0).argmin())]) if clear.any() else full


def _deviances(rows: Rows, fitted: Response, guess: Guess, rank: int) -> Floats:
    """What every row takes off the log likelihood, `[M]`."""
    bias, vector = fitted.bias(guess), fitted.vector(guess, rank)
    logit = bias[rows.item] + fitted.position[rows.position] + rows.offset
    logit += interaction(rows, vector)
    return np.asarray(rows.weight * deviances(logit, rows.reward, rows.page))


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
    return sorted_rows(
        visits.x, visits.item, visits.position, visits.reward, weight, offset, visits.page
    )
