"""Matrices of a log become columns: what a policy does, and what the log hardly has of it."""

from __future__ import annotations

import numpy as np
import pytest

from ppo_marketing.ope import blocks as in_blocks
from ppo_marketing.ope.feedback import from_matrices
from tests.support.one_step import bandit, paper


def test_blocks_of_rows_change_nothing(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = bandit(500, rng)
    extra = {"cell": np.arange(500) % 3, "category": np.arange(28) % 4}
    whole = log.decisions(**extra)
    monkeypatch.setattr(in_blocks, "CELLS_AT_ONCE", 100)
    parted = log.decisions(**extra)
    for name in ("chosen", "direct", "predicted", "unsupported", "marginal", "gaps"):
        assert getattr(parted, name) == pytest.approx(getattr(whole, name)), name
    slices = list(in_blocks.blocks(7, 28))
    assert [part.start for part in slices] == [0, 3, 6]
    assert slices[-1].stop == 7


def test_the_direct_value_is_the_models_mean_under_the_policy(rng: np.random.Generator) -> None:
    log = bandit(200, rng)
    pi, q = log.columns["target_probabilities"], log.columns["predicted_reward"]
    decisions = log.decisions()
    assert decisions.direct == pytest.approx((pi * q).sum(axis=1))
    a, row = log.columns["action"], np.arange(200)
    assert decisions.chosen == pytest.approx(pi[row, a])
    assert decisions.predicted == pytest.approx(q[row, a])


def test_mass_is_unsupported_where_a_cell_has_fewer_than_thirty_impressions() -> None:
    # Cell 0 has 30 of action 0 and 29 of action 1; cell 1 has 1 and 60.
    action = np.repeat([0, 1, 0, 1], [30, 29, 1, 60])
    cell = np.repeat(["a", "a", "b", "b"], [30, 29, 1, 60])
    n = len(action)
    decisions = from_matrices(
        reward=np.zeros(n),
        action=action,
        propensity=np.full(n, 0.5),
        target_probabilities=np.broadcast_to([0.2, 0.8], (n, 2)),
        predicted_reward=np.zeros((n, 2)),
        cell=cell,
    )
    assert decisions.unsupported is not None
    assert decisions.unsupported[:59] == pytest.approx(0.8)
    assert decisions.unsupported[59:] == pytest.approx(0.2)
    assert decisions.gaps == pytest.approx([61 * 0.2 / n, 59 * 0.8 / n])
    once = from_matrices(
        reward=np.zeros(2),
        action=[0, 1],
        propensity=[0.5, 0.5],
        target_probabilities=np.full((2, 2), 0.5),
        predicted_reward=np.zeros((2, 2)),
        weight=[30.0, 29.0],
    )
    assert once.unsupported == pytest.approx([0.5, 0.5])


def test_units_are_numbered_and_summed_over() -> None:
    decisions = paper(unit=["b", "a", "b", "c"], weight=[1.0, 2.0, 3.0, 4.0])
    assert decisions.units == 3
    assert decisions.by_unit(decisions.reward) == pytest.approx([0.0, 4.0, 8.0])
    assert decisions.mean(decisions.reward) == pytest.approx(1.2)
    assert paper(weight=[1.0, 2.0, 3.0, 4.0]).units == 10
