"""How far tastes differ, told by the rewards: against quadrature, and by what choices earn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.personalization.ensemble import fit_ensemble
from envs.personalization.generator import PRESETS, truth_of
from envs.personalization.response import Response, Rows, fit_response, logits, sorted_rows
from envs.personalization.shrinkage import log_evidence, with_averaged_taste
from tests.envs.personalization.test_response_fit import (
    likelier,
    no_guess,
    rows_of,
    share_of_argmax,
    visits_of,
)

DEFAULT = truth_of(PRESETS["default"])


def by_quadrature(rows: Rows, fitted: Response) -> float:
    """log of the integral over every item's effect u and taste V (D = 1), the rest as fitted."""
    node, weight = np.polynomial.hermite_e.hermegauss(120)
    log_weight = np.log(weight / weight.sum())
    free = logits(rows, no_guess(1, len(fitted.item)), fitted)
    total = 0.0
    for item, run in rows.runs():
        x, reward = rows.x[run, 0], rows.reward[run]
        base = free[run] - fitted.item[item] - x * fitted.taste[item, 0]
        u, v = np.meshgrid(fitted.item_sd * node, fitted.taste_sd * node)
        logit = base[:, None, None] + u + x[:, None, None] * v
        likelihood = (reward[:, None, None] * logit - np.logaddexp(0, logit)).sum(axis=0)
        total += np.logaddexp.reduce(
            (likelihood + log_weight[:, None] + log_weight[None]), axis=(0, 1)
        )
    fixed = (fitted.context / fitted.context_sd) ** 2
    return float(total - 0.5 * fixed.sum())


def test_the_evidence_is_the_integral_over_effects_and_tastes() -> None:
    rng = np.random.default_rng(0)
    rows = 900
    x, item = rng.standard_normal((rows, 1)), rng.integers(0, 3, rows)
    logit = -1 + np.array([0.3, 0.0, -0.3])[item] + np.array([0.5, -0.4, 0.1])[item] * x[:, 0]
    reward = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(float)
    ordered = sorted_rows(x, item.astype(np.int32), np.zeros(rows, np.int32), reward, np.ones(rows))
    guess = no_guess(1, 3)
    start = fit_response(ordered, guess, 1)
    evidence, integral = [], []
    for sd in (0.05, 0.2, 0.4):
        fitted = fit_response(ordered, guess, 1, replace(start, taste_sd=sd), rounds=0)
        evidence.append(log_evidence(ordered, guess, fitted))
        integral.append(by_quadrature(ordered, fitted))
    np.testing.assert_allclose(evidence, integral, rtol=0, atol=0.02)
    assert np.argmax(evidence) == 2, "the tastes were drawn with deviations of .4"


def test_the_deviation_of_tastes_is_found_where_rewards_tell_it() -> None:
    visits = visits_of(likelier(DEFAULT, 30), 30_000, np.random.default_rng(0), uniform=1.0)
    rows, guess = rows_of(visits), no_guess()
    # A poor first estimate is mended: only its neighbourhood is looked at.
    poor = replace(fit_response(rows, guess, 1), taste_sd=0.1)
    found = with_averaged_taste(rows, guess, poor).taste_sd
    assert found == pytest.approx(0.5 / np.sqrt(8), rel=0.15)


def test_a_log_dealt_at_random_teaches_nearly_what_knowing_the_prior_would() -> None:
    # Some 840 clicks, as of 200,000 rows at a sixth of the rates; the generator's own deviations
    # are the best prior.
    truth, rng = likelier(DEFAULT, 6), np.random.default_rng(1)
    visits, guess = visits_of(truth, 33_000, rng, uniform=1.0), no_guess()
    fitted = fit_ensemble(visits, guess, 1, None, rng)
    known = replace(fitted.response, item_sd=0.35, taste_sd=0.5 / np.sqrt(8))
    prior = fit_response(rows_of(visits), guess, 1, known, rounds=0)
    x = truth.contexts(20_000, rng).x
    bias, vector = fitted.model.bias.mean(axis=0), fitted.model.vector.mean(axis=0)
    share = share_of_argmax(truth, bias + x @ vector.T, x)
    best = share_of_argmax(truth, prior.bias(guess) + x @ prior.vector(guess).T, x)
    assert share > best - 0.02
    assert fitted.rank == 8, "no direction of taste is cut off by a noisy estimate"
