from __future__ import annotations

import numpy as np
import pytest

from ppo_marketing.content.token_rewards import (
    leave_one_out,
    token_rewards,
    whitened,
    with_end_penalty,
)
from ppo_marketing.ppo.advantages import gae

# Two texts, of three tokens and of one; time goes down.
VALID = np.array([[True, True], [True, False], [True, False]])
LOG_PROB = np.array([[-1.0, -2.0], [-0.5, -9.0], [-0.1, -9.0]])
REFERENCE = np.array([[-2.0, -1.0], [-0.5, -1.0], [-0.4, -1.0]])


def test_the_score_is_on_the_last_token_and_every_token_pays_for_leaving_the_reference() -> None:
    rewards = token_rewards(np.array([5.0, 7.0]), LOG_PROB, REFERENCE, VALID, 0.1)
    expected = [[-0.1, 7.0 + 0.1], [0.0, 0.0], [5.0 - 0.03, 0.0]]
    np.testing.assert_allclose(rewards, expected, atol=1e-12)


def test_padding_changes_nothing_whatever_stands_in_it() -> None:
    rewards = token_rewards(np.array([5.0, 7.0]), LOG_PROB, REFERENCE, VALID, 0.1)
    other = np.where(VALID, LOG_PROB, -777.0)
    np.testing.assert_array_equal(
        token_rewards(np.array([5.0, 7.0]), other, REFERENCE, VALID, 0.1), rewards
    )


def test_without_discount_a_text_is_worth_its_score_less_the_price_of_its_kl() -> None:
    rewards = token_rewards(np.array([5.0, 7.0]), LOG_PROB, REFERENCE, VALID, 0.1)
    zero = np.zeros_like(rewards)
    ended = np.array([[False, True], [False, True], [True, True]])
    advantage = gae(rewards, zero, zero, ended, ended, gamma=1.0, lam=1.0)
    kl = ((LOG_PROB - REFERENCE) * VALID).sum(axis=0)
    np.testing.assert_allclose(advantage[0], np.array([5.0, 7.0]) - 0.1 * kl)


def test_a_text_without_its_end_pays() -> None:
    scores = with_end_penalty(np.array([2.0, 2.0]), np.array([True, False]), 1.0)
    assert scores.tolist() == [2.0, 1.0]


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        token_rewards(np.zeros(1), np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((2, 1), bool), 0.1)


def test_whitening_uses_the_population_variance_of_valid_elements_alone() -> None:
    values = np.array([[1.0, 100.0], [3.0, 100.0]])
    valid = np.array([[True, False], [True, False]])
    # Mean 2 and population variance 1; the sample variance would be 2.
    np.testing.assert_allclose(whitened(values, valid), [[-1.0, 0.0], [1.0, 0.0]], atol=1e-7)
    np.testing.assert_allclose(
        whitened(values, valid, shift_mean=False), [[1.0, 0.0], [3.0, 0.0]], atol=1e-7
    )


def test_the_baseline_of_a_text_leaves_it_out() -> None:
    baseline = leave_one_out(np.array([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]]))
    np.testing.assert_allclose(baseline, [[4.0, 3.5, 1.5], [1.5, 1.5, 0.0]])
    with pytest.raises(ValueError, match="at least two"):
        leave_one_out(np.ones((3, 1)))
