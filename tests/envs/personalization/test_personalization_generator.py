from __future__ import annotations

import numpy as np
import pytest

from envs.personalization.generator import PRESETS, truth_of
from envs.personalization.model import mean_probability, sigmoid
from envs.personalization.sample_log import generate_log
from envs.personalization.settings import PersonalizationSettings
from envs.personalization.truth import logged_rows, true_world

VISITORS = 200_000


def test_seed_one_reproduces_the_published_values() -> None:
    """MODELLING 6.3: random .00423, best fixed .00581, argmax .00972."""
    truth = truth_of(PRESETS["default"], seed=1)
    x = truth.contexts(VISITORS, np.random.default_rng(0)).x
    chance = mean_probability(truth.model, x)
    assert chance.mean() == pytest.approx(0.00423, abs=2e-5)
    assert chance.mean(axis=0).max() == pytest.approx(0.00581, abs=4e-5)
    assert chance.max(axis=1).mean() == pytest.approx(0.00972, abs=5e-5)


def test_the_logging_policys_value_is_near_the_published_one() -> None:
    """.00557 there; how its noise was drawn is not stated, here one number an item."""
    truth = truth_of(PRESETS["default"], seed=1)
    x = truth.contexts(VISITORS, np.random.default_rng(0)).x
    value = (truth.logging.probabilities(x, None) * mean_probability(truth.model, x)).sum(axis=1)
    assert value.mean() == pytest.approx(0.00557, rel=0.04)


def test_propensities_are_four_fifths_softmax_and_one_fifth_uniform() -> None:
    truth = truth_of(PRESETS["default"], seed=3)
    x = truth.contexts(50, np.random.default_rng(1)).x
    probability = truth.logging.probabilities(x, None)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    assert probability.min() >= 0.2 / 20
    by_hand = np.exp(truth.logging.bias + x[0].astype(float) @ truth.logging.vector.T)
    np.testing.assert_allclose(probability[0], 0.8 * by_hand / by_hand.sum() + 0.2 / 20, rtol=1e-9)


def test_items_that_are_not_eligible_have_no_propensity() -> None:
    truth = truth_of(PRESETS["default"])
    x = truth.contexts(30, np.random.default_rng(1)).x
    eligible = np.random.default_rng(2).random((30, 20)) < 0.3
    eligible[:, 0] = True
    probability = truth.logging.probabilities(x, eligible)
    assert (probability[~eligible] == 0).all()
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)


def test_logged_rows_follow_their_propensities_and_rates() -> None:
    truth = truth_of(PRESETS["default"], seed=2)
    rows = logged_rows(truth, 200_000, np.random.default_rng(0))
    # E[1 / p of the logged item] is the number of items; rewards follow q of what was shown.
    weight = 1 / rows.propensity
    assert weight.mean() == pytest.approx(20, abs=4 * weight.std() / np.sqrt(rows.size))
    logit = truth.model.bias[0, rows.item] + (rows.x * truth.model.vector[0, rows.item]).sum(axis=1)
    expected = float(sigmoid(logit).sum())
    assert rows.reward.sum() == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_an_unknown_preset_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(ValueError, match="choose one of"):
        true_world("banner", 3, PersonalizationSettings(), np.random.default_rng(0))


def test_the_seasonal_market_has_other_visitors_on_busy_days_and_its_log_tells_the_days() -> None:
    truth = truth_of(PRESETS["seasons"])
    visitors = truth.contexts(40_000, np.random.default_rng(5))
    assert visitors.traffic is not None
    busy = visitors.traffic > np.median(visitors.traffic)
    mean = np.log(visitors.traffic[busy]).mean()
    assert visitors.x[busy, 0].mean() == pytest.approx(mean, abs=0.03)
    log = generate_log(truth, 6, np.random.default_rng(5))
    day = log["timestamp"].to_numpy().astype("datetime64[D]")
    each = np.unique(day, return_counts=True)[1]
    assert len(each) == 6
    assert each.max() > 1.2 * each.min()
    x = log["x0"].to_numpy()
    means = [x[day == one].mean() for one in np.unique(day)]
    np.testing.assert_allclose(means, np.log(each / each.mean()), atol=0.05)
