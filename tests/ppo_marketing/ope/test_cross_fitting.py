"""Propensities and reward models that saw none of the rows they speak of."""

from __future__ import annotations

import numpy as np
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.ope.from_log import decisions_from_log
from ppo_marketing.ope.outcome import predict_reward
from ppo_marketing.ope.propensity import estimate_propensity, reliability, unit_folds
from tests.support.one_step import bandit


def test_folds_keep_units_whole_and_even(rng: np.random.Generator) -> None:
    unit = rng.integers(0, 30, 1_000)
    fold = unit_folds(unit, 1_000, 3, rng)
    for customer in range(30):
        assert len(set(fold[unit == customer])) == 1
    units_a_fold = [len(set(unit[fold == k])) for k in range(3)]
    assert units_a_fold == [10, 10, 10]


@pytest.mark.parametrize(("folds", "unit"), [(1, None), (3, [0, 1, 1, 0])])
def test_too_few_folds_or_units_are_refused(folds: int, unit: list[int] | None) -> None:
    with pytest.raises(UserError, match=r"folds of \d units"):
        unit_folds(unit, 4, folds, np.random.default_rng(0))


def test_a_logistic_logging_policy_is_found_again(rng: np.random.Generator) -> None:
    n, slopes = 6_000, np.array([-1.0, 0.0, 1.0])
    x = rng.normal(size=(n, 1))
    e = np.exp(x * slopes)
    true = e / e.sum(axis=1, keepdims=True)
    action = (true.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    found = estimate_propensity(x, action, 3, None, rng)
    assert np.abs(found.probabilities - true).max() < 0.06
    assert found.probabilities.sum(axis=1) == pytest.approx(1.0)
    assert found.taken == pytest.approx(found.probabilities[np.arange(n), action])
    assert found.calibration.error < 0.05


def test_an_action_that_one_fold_alone_has_is_refused(rng: np.random.Generator) -> None:
    action = np.zeros(90, np.int64)
    action[:30] = 1
    action[7] = 2
    with pytest.raises(UserError, match="actions 2 occur in the units of one fold alone"):
        estimate_propensity(np.zeros((90, 1)), action, 3, None, rng)


def test_reliability_on_paper() -> None:
    # Two rows, two actions: pairs (.8, happened), (.2, not), (.6, not), (.4, happened)
    table = reliability(np.array([[0.8, 0.2], [0.6, 0.4]]), np.array([0, 1]), bins=2)
    assert [(b.predicted, b.observed, b.pairs) for b in table.bins] == [
        pytest.approx((0.3, 0.5, 2.0)),
        pytest.approx((0.7, 0.5, 2.0)),
    ]
    assert table.error == pytest.approx((2 * 0.2 + 2 * 0.2) / 2)


def test_wrong_propensities_show_in_their_calibration(rng: np.random.Generator) -> None:
    n = 20_000
    p = rng.uniform(0.1, 0.9, n)
    action = (rng.random(n) < p).astype(np.int64)
    right = reliability(np.column_stack([1 - p, p]), action)
    sharper = p**2 / (p**2 + (1 - p) ** 2)
    wrong = reliability(np.column_stack([1 - sharper, sharper]), action)
    assert right.error < 0.02
    assert wrong.error > 0.1


def test_equal_propensities_share_a_bin() -> None:
    table = reliability(np.full((100, 4), 0.25), np.arange(100) % 4)
    assert len(table.bins) == 1
    assert table.error == pytest.approx(0.0)


@pytest.mark.parametrize("binary", [True, False])
def test_the_reward_model_learns_what_each_action_does_to_whom(
    binary: bool, rng: np.random.Generator
) -> None:
    n = 8_000
    x = rng.normal(size=(n, 2))
    action = rng.integers(0, 2, n)
    score = np.column_stack([x[:, 0], 0.5 - x[:, 0]])
    mean = 1 / (1 + np.exp(-score)) if binary else score
    taken = mean[np.arange(n), action]
    reward = (rng.random(n) < taken).astype(float) if binary else taken + rng.normal(size=n)
    found = predict_reward(x, action, reward, 2, None, rng)
    assert np.abs(found - mean).mean() < 0.04
    assert found.shape == (n, 2)


def test_no_reward_of_a_unit_leaks_into_its_own_prediction(rng: np.random.Generator) -> None:
    # Every unit has its own context column and a reward that only it has.
    unit = np.repeat(np.arange(60), 5)
    reward = np.repeat(rng.integers(0, 2, 60), 5).astype(float)
    context, action = np.eye(60)[unit], rng.integers(0, 2, 300)
    honest = predict_reward(context, action, reward, 2, unit, rng)[np.arange(300), action]
    leaking = predict_reward(context, action, reward, 2, None, rng)[np.arange(300), action]
    assert abs(np.corrcoef(leaking, reward)[0, 1]) > 0.8
    assert np.corrcoef(honest, reward)[0, 1] < 0.3


def test_rewards_that_never_differ_are_predicted_as_they_are(rng: np.random.Generator) -> None:
    found = predict_reward(np.zeros((9, 1)), np.arange(9) % 3, np.zeros(9), 3, None, rng)
    assert (found == 0.0).all()


def test_a_log_and_a_policy_are_enough(rng: np.random.Generator) -> None:
    log = bandit(6_000, rng)
    given = {name: log.columns[name] for name in ("action", "reward", "target_probabilities")}
    logged = decisions_from_log(
        context=log.context, rng=rng, propensity=log.columns["propensity"], **given
    )
    assert logged.decisions.propensity_source == "logged"
    assert logged.calibration is None
    assert (logged.decisions.propensity == log.columns["propensity"]).all()
    estimated = decisions_from_log(context=log.context, rng=rng, **given)
    assert estimated.decisions.propensity_source == "estimated"
    assert estimated.calibration is not None
    assert estimated.calibration.error < 0.1
    truth = float(log.truth.mean())
    for found in (logged, estimated):
        decisions = found.decisions
        assert float(decisions.direct.mean()) == pytest.approx(truth, abs=0.03)


def test_a_bad_log_is_refused_before_anything_is_fitted(rng: np.random.Generator) -> None:
    with pytest.raises(UserError, match=r"(?s)3 problems.*reward.*action.*context"):
        decisions_from_log(
            context=np.array([[np.nan], [0.0]]), action=[0, 3], reward=[np.nan, 1.0],
            target_probabilities=np.full((2, 2), 0.5), rng=rng,
        )  # fmt: skip
