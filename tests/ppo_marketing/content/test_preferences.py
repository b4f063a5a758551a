from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ppo_marketing.content.preferences import (
    bradley_terry_loss,
    calibration_error,
    dpo_loss,
    preference_accuracy,
)


def test_equal_scores_cost_log_two_and_a_shift_of_all_scores_costs_nothing() -> None:
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 3.0])
    assert float(bradley_terry_loss(a, a)) == pytest.approx(math.log(2))
    assert float(bradley_terry_loss(a + 9, b + 9)) == pytest.approx(float(bradley_terry_loss(a, b)))


def test_bradley_terry_recovers_the_strengths_that_drew_the_pairs(rng: np.random.Generator) -> None:
    strength = np.array([0.0, 1.0, -0.5, 2.0])
    left, right = rng.integers(0, 4, (2, 40_000))
    first = rng.random(40_000) < 1 / (1 + np.exp(strength[right] - strength[left]))
    winner = torch.from_numpy(np.where(first, left, right))
    loser = torch.from_numpy(np.where(first, right, left))
    fitted = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([fitted], max_iter=50)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = bradley_terry_loss(fitted[winner], fitted[loser])
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    found = fitted.detach().numpy()
    np.testing.assert_allclose(found - found[0], strength, atol=0.05)


def test_dpo_is_bradley_terry_on_the_rewards_that_the_policy_implies() -> None:
    # r = β log π / π_ref, up to a constant of the prompt.
    policy_c, policy_r = torch.tensor([-3.0, -4.0]), torch.tensor([-5.0, -2.0])
    reference_c, reference_r = torch.tensor([-4.0, -4.0]), torch.tensor([-4.0, -3.0])
    beta = 0.3
    implied = bradley_terry_loss(beta * (policy_c - reference_c), beta * (policy_r - reference_r))
    loss = dpo_loss(policy_c, policy_r, reference_c, reference_r, beta)
    assert float(loss) == pytest.approx(float(implied))
    at_start = dpo_loss(reference_c, reference_r, reference_c, reference_r, beta)
    assert float(at_start) == pytest.approx(math.log(2))


def test_accuracy_counts_ties_half_and_knows_its_interval() -> None:
    found = preference_accuracy(
        np.array([2.0, 0.0, 1.0, 5.0]), np.array([1.0, 3.0, 1.0, 0.0]), np.ones(4), np.ones(4)
    )
    assert found.accuracy == pytest.approx(2.5 / 4)
    assert found.accuracy_bounds.low < 0.5 < found.accuracy_bounds.high
    assert found.longer_scored_higher is None  # all texts are as long


def test_probabilities_that_hold_are_calibrated_and_exaggerated_ones_are_not(
    rng: np.random.Generator,
) -> None:
    said = rng.normal(0, 1.5, 60_000)
    happened = rng.random(60_000) < 1 / (1 + np.exp(-said))
    margin = np.where(happened, said, -said)  # chosen less rejected
    assert calibration_error(margin) < 0.01
    assert calibration_error(3 * margin) > 0.08


def test_a_model_that_only_likes_length_is_seen_to(rng: np.random.Generator) -> None:
    chosen_length, rejected_length = rng.integers(5, 20, (2, 4000))
    found = preference_accuracy(
        0.3 * chosen_length, 0.3 * rejected_length, chosen_length, rejected_length
    )
    assert found.longer_scored_higher == 1.0
    assert found.length_correlation == pytest.approx(1.0)
    assert found.longer_chosen == pytest.approx(0.5, abs=0.05)
    assert found.longer_is_right == pytest.approx(found.accuracy)
