"""The count head: exact where the answer is known, and better than a lagged regression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import nbinom

from benchmarks.detailing_panel import compare, panel
from envs.sequencing.counts import CountHead, expected, fit_counts, log_likelihood, seen, start


def test_with_full_memory_it_is_the_conjugate_posterior() -> None:
    head = CountHead(shape=2.0, rate=0.5, memory=1.0, effect=0.0)
    level = start(head, 1)
    for y in (3, 0, 5):
        level = seen(head, level, np.zeros(1), np.array([y]))
    assert expected(head, level, np.zeros(1))[0] == pytest.approx((2 + 8) / (0.5 + 3))


def test_its_likelihood_is_that_of_negative_binomials() -> None:
    head = CountHead(shape=2.0, rate=0.5, memory=0.0, effect=0.7)
    contacts, y = np.array([[0.0, 3.0]]), np.array([[4.0, 1.0]])
    push = np.exp(0.7 * np.log1p(contacts[0]))
    truth = nbinom.logpmf(y[0], 2.0, 0.5 / (0.5 + push)).sum()
    assert log_likelihood(head, contacts, y) == pytest.approx(truth)


def test_the_fit_finds_the_effect_of_contacts(rng: np.random.Generator) -> None:
    contacts = rng.poisson(1.5, (800, 15)).astype(float)
    level = rng.gamma(1.5, 2.0, (800, 1))
    y = rng.poisson(level * np.exp(0.3 * np.log1p(contacts))).astype(float)
    head = fit_counts(contacts, y)
    assert head.effect == pytest.approx(0.3, abs=0.03)
    assert head.shape == pytest.approx(1.5, rel=0.2)
    assert head.memory > 0.95


def test_nothing_bought_is_refused() -> None:
    with pytest.raises(ValueError, match="with purchases in them"):
        fit_counts(np.zeros((3, 4)), np.zeros((3, 4)))


def test_the_detailing_panel_is_foretold_better_than_by_a_lagged_regression(
    shared_data: Path,
    tmp_path: Path,
) -> None:
    calls, scripts = panel(shared_data / "bayesm_marketing", tmp_path)
    assert calls.shape == (700, 23)
    result = compare(calls, scripts, np.random.default_rng(0))
    for horizon in ("one_step", "multi_step"):
        assert result[horizon]["at_least_as_good"], result[horizon]
        assert result[horizon]["deviance_gain_95"][0] > 0
