"""How far visitors differ in taste: the marginal likelihood of the interactions' deviation.

    log p(r | tau) ~ l(theta) - 1/2 sum theta^2 / sd^2 - 1/2 sum_a log det(I + S H_a S)

theta is the maximum for that tau, H_a the curvature of item a's effect and interaction, S their
prior deviations (Laplace's approximation; MacKay, Neural Computation 1992). A deviation that is too
small costs more than one that is too large, and a point estimate from a few hundred rewards is
often too small: the deviation used is the mean of its posterior, not its mode.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from envs.personalization.choice import chances, deviances
from envs.personalization.model import Floats
from envs.personalization.response import (
    SHARED_SD,
    Guess,
    Response,
    Rows,
    fit_response,
    logits,
)

FACTORS = 2.0 ** np.arange(-1.0, 2.0, 0.5)
"""Of the empirical-Bayes estimate: half of it to 2.8 times; the posterior is narrower."""


def with_averaged_taste(rows: Rows, guess: Guess, fitted: Response) -> Response:
    """The fit whose `taste_sd` is its posterior mean under a flat prior on log tau."""
    fits = [
        fit_response(rows, guess, len(fitted.position), replace(fitted, taste_sd=sd), rounds=0)
        for sd in fitted.taste_sd * FACTORS
    ]
    evidence = np.array([log_evidence(rows, guess, one) for one in fits])
    weight = np.exp(evidence - evidence.max())
    mean = float(np.average([one.taste_sd for one in fits], weights=weight))
    nearest = fits[int(weight.argmax())]
    return fit_response(
        rows, guess, len(fitted.position), replace(nearest, taste_sd=mean), rounds=0
    )


def log_evidence(rows: Rows, guess: Guess, fitted: Response) -> float:
    """log p(rewards | deviations), but for what does not depend on the items' deviations."""
    logit = logits(rows, guess, fitted)
    likelihood = -(rows.weight * deviances(logit, rows.reward, rows.page)).sum()
    penalty = sum(
        ((effects / sd) ** 2).sum()
        for effects, sd in (
            (fitted.context, fitted.context_sd),
            (fitted.shared, fitted.shared_sd),
            (fitted.item, fitted.item_sd),
            (fitted.taste, fitted.taste_sd),
            (fitted.position, SHARED_SD),
            (np.array([fitted.trust]), SHARED_SD),
        )
    )
    q = chances(logit, rows.page)
    volume = _log_determinants(rows, rows.weight * q * (1 - q), fitted)
    return float(likelihood - 0.5 * penalty - 0.5 * volume)


def _log_determinants(rows: Rows, curvature: Floats, fitted: Response) -> float:
    """sum_a log det(I + S H_a S) over the items that have rows."""
    size = fitted.taste.shape[1]
    sd = np.concatenate([[fitted.item_sd], np.full(size, fitted.taste_sd)])
    total = 0.0
    for _, run in rows.runs():
        z = np.column_stack([np.ones(run.stop - run.start), rows.x[run]]) * sd
        total += np.linalg.slogdet(np.eye(size + 1) + (z * curvature[run, None]).T @ z)[1]
    return total
