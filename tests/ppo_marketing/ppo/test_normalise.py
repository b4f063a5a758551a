from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_marketing.ppo.normalise import RunningMoments, normalise
from ppo_marketing.ppo.reward_scale import RewardScale


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_moments_of_pieces_equal_numpys_of_the_whole(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    pieces = [rng.normal(1e4, 3.0, size=(size, 3)) for size in sizes]
    moments = RunningMoments.empty(3)
    for piece in pieces:
        moments = moments.updated(piece)
    whole = np.concatenate(pieces)
    assert moments.count == len(whole)
    if len(whole):
        np.testing.assert_allclose(moments.mean, whole.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(moments.variance, whole.var(axis=0), rtol=1e-6, atol=1e-9)


def test_updating_returns_a_new_value_and_leaves_the_old_one() -> None:
    before = RunningMoments.empty(1)
    before.updated(np.ones((5, 1)))
    assert before.count == 0


def test_before_any_row_observations_pass_unchanged_up_to_the_limit() -> None:
    rows = np.array([[0.5, -2.0], [1e9, -1e9]])
    scaled = normalise(rows, RunningMoments.empty(2))
    np.testing.assert_allclose(scaled, [[0.5, -2.0], [10.0, -10.0]], rtol=1e-6)
    assert scaled.dtype == np.float32


def test_normalised_rows_have_mean_zero_and_variance_one(rng: np.random.Generator) -> None:
    rows = rng.normal(50.0, 4.0, size=(1000, 2))
    scaled = normalise(rows, RunningMoments.empty(2).updated(rows))
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1.0, atol=1e-5)


def test_a_feature_that_never_varied_becomes_zero() -> None:
    moments = RunningMoments.empty(1).updated(np.full((10, 1), 3.0))
    assert normalise(np.array([[3.0]]), moments).item() == 0.0


def test_rewards_are_scaled_by_the_deviation_of_the_discounted_return() -> None:
    # γ = ½, one copy: G = 1, then 2 + ½ = 2.5 and an end, then 4 afresh.
    reward = np.array([[1.0], [2.0], [4.0]])
    ended = np.array([[False], [True], [False]])
    scale = RewardScale.empty(1, 0.5).updated(reward, ended, np.ones((3, 1), bool))
    assert scale.factor == pytest.approx(1.0 / np.std([1.0, 2.5, 4.0]))
    assert scale.discounted.tolist() == [4.0]


@given(st.integers(0, 40), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_reward_scale_is_the_plain_formulas_over_rollouts_and_step_by_step(
    steps: int, copies: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    reward = rng.normal(3.0, 2.0, (steps, copies))
    ended, valid = rng.random((2, steps, copies)) < [[[0.2]], [[0.8]]]
    carried, returns = np.zeros(copies), []
    for step in range(steps):
        carried = np.where(valid[step], 0.9 * carried + reward[step], carried)
        returns.extend(carried[valid[step]])
        carried = np.where(ended[step], 0.0, carried)
    whole = RewardScale.empty(copies, 0.9).updated(reward, ended, valid)
    single = RewardScale.empty(copies, 0.9)
    for step in range(steps):
        one = slice(step, step + 1)
        single = single.updated(reward[one], ended[one], valid[one])
    for scale in (whole, single):
        np.testing.assert_allclose(scale.discounted, carried, rtol=1e-12, atol=1e-12)
        assert scale.moments.count == len(returns)
        if returns:
            np.testing.assert_allclose(scale.moments.mean, np.mean(returns), rtol=1e-10)
            np.testing.assert_allclose(
                scale.moments.variance, np.var(returns), rtol=1e-9, atol=1e-12
            )


def test_updating_a_reward_scale_leaves_the_old_one_and_makes_no_array_for_every_step() -> None:
    before = RewardScale.empty(1000, 0.9)
    reward, ended = np.ones((200, 1000)), np.zeros((200, 1000), bool)
    before.updated(reward, ended, ~ended)  # compiled
    tracemalloc.start()
    before.updated(reward, ended, ~ended)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.2 * reward.nbytes  # of the returns alone
    assert not before.discounted.any()
    assert before.moments.count == 0


def test_reward_scale_skips_autoreset_rows() -> None:
    reward = np.array([[1.0], [2.0], [4.0]])
    ended = np.array([[False], [True], [False]])
    valid = np.array([[True], [True], [False]])
    scale = RewardScale.empty(1, 0.5).updated(reward, ended, valid)
    assert scale.moments.count == 2
    assert scale.discounted.tolist() == [0.0]


def test_reward_scale_is_one_until_a_return_has_varied() -> None:
    constant = np.zeros((4, 2))
    scale = RewardScale.empty(2, 0.9).updated(constant, constant > 0, constant == 0)
    assert scale.factor == 1.0
