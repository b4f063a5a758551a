"""Estimators of the value of policies that did not write the log, against answers known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.personalization.generator import PRESETS, truth_of
from envs.personalization.model import Floats, Ints, drawn_items, mean_probability
from envs.personalization.off_policy import PolicyValue
from envs.personalization.off_policy import policy_value as value_of_rows

ROWS = 15_000


def one_log(seed: int) -> tuple[Floats, Floats, Ints, Floats, Floats]:
    """q, logging, items, rewards; rates thirty times the generator's, so that a test is quick."""
    truth, rng = truth_of(PRESETS["default"]), np.random.default_rng(seed)
    model = truth.model._replace(bias=truth.model.bias + np.log(30))
    x = truth.contexts(ROWS, rng).x
    q, logging = mean_probability(model, x), truth.logging.probabilities(x, None)
    item = drawn_items(logging, rng)
    reward = (rng.random(ROWS) < q[np.arange(ROWS), item]).astype(np.float64)
    return q, logging, item, reward, greedy(q)


def policy_value(name: str, target: Floats, q: Floats, item: Ints, *row: Any) -> PolicyValue:
    """From whole matrices `[M, A]`."""
    shown = np.arange(len(item)), item
    return value_of_rows(name, target[shown], (target * q).sum(axis=1), q[shown], *row)


def greedy(q: Floats) -> Floats:
    target = np.zeros_like(q)
    target[np.arange(len(q)), q.argmax(axis=1)] = 1.0
    return target


def value_of(seed: int, wrong_by: float = 1.0) -> tuple[PolicyValue, float]:
    q, logging, item, reward, target = one_log(seed)
    rows, ones = np.arange(ROWS), np.ones(ROWS)
    value = policy_value(
        "greedy", target, np.minimum(q * wrong_by, 1.0), item, logging[rows, item], reward,
        ones, rows.astype(np.int32), np.random.default_rng(seed),
    )  # fmt: skip
    return value, float((target * q).sum(axis=1).mean())


def test_estimates_are_unbiased_and_their_deviations_are_honest() -> None:
    found = [value_of(seed) for seed in range(20)]
    for name in ("ips", "snips", "doubly_robust"):
        errors = np.array([getattr(value, name) / truth - 1 for value, truth in found])
        assert abs(errors.mean()) <= 0.02, name
    covered = sum(abs(v.doubly_robust - truth) <= 1.96 * v.sd for v, truth in found)
    assert covered >= 17


def test_a_wrong_model_misleads_the_direct_method_and_not_the_doubly_robust() -> None:
    value, truth = value_of(3, wrong_by=2.0)
    assert value.model > 1.5 * truth
    assert abs(value.doubly_robust - truth) < 3 * value.sd < 0.2 * truth


def test_the_logs_own_policy_has_no_lift_and_every_row_counts() -> None:
    q, logging, item, reward, _ = one_log(0)
    rows = np.arange(ROWS)
    own = policy_value(
        "logging", logging, q, item, logging[rows, item], reward, np.ones(ROWS),
        rows.astype(np.int32), np.random.default_rng(0),
    )  # fmt: skip
    assert own.ips == pytest.approx(reward.mean())
    assert own.effective_n == pytest.approx(ROWS)
    assert own.positives == reward.sum()
    assert own.lift_low < 0 < own.lift + 2 * own.sd


def test_counts_give_the_same_estimate_as_the_impressions_they_stand_for() -> None:
    q, logging, item, reward, target = one_log(1)
    kept = np.arange(200)
    p = logging[kept, item[kept]]
    count = np.random.default_rng(0).integers(2, 9, 200)
    single = np.repeat(kept, count)
    whole = policy_value(
        "a", target[kept], q[kept], item[kept], p, reward[kept], count.astype(float),
        kept.astype(np.int32), np.random.default_rng(0),
    )  # fmt: skip
    apart = policy_value(
        "a", target[single], q[single], item[single], np.repeat(p, count), reward[single],
        np.ones(len(single)), np.arange(len(single), dtype=np.int32), np.random.default_rng(0),
    )  # fmt: skip
    for name in ("model", "ips", "snips", "doubly_robust", "effective_n", "positives"):
        assert getattr(whole, name) == pytest.approx(getattr(apart, name)), name
    assert whole.sd == pytest.approx(apart.sd, rel=0.15)


def test_rows_of_one_unit_are_drawn_together() -> None:
    q, logging, item, reward, target = one_log(2)
    p = logging[np.arange(ROWS), item]
    alone, together = (
        policy_value(
            "a", np.tile(target, (2, 1)), np.tile(q, (2, 1)), np.tile(item, 2), np.tile(p, 2),
            np.tile(reward, 2), np.ones(2 * ROWS), unit.astype(np.int32), np.random.default_rng(0),
        ).sd
        for unit in (np.arange(2 * ROWS), np.tile(np.arange(ROWS), 2))
    )  # fmt: skip
    # Every row twice is no more evidence: its deviation is sqrt(2) that of twice as many rows.
    assert together == pytest.approx(np.sqrt(2) * alone, rel=0.15)
