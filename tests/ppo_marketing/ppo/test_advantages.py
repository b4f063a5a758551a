from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ppo_marketing.ppo.advantages import gae

Array = npt.NDArray[Any]


def column(*numbers: float) -> Array:
    return np.array(numbers, np.float64)[:, None]


def flags(*booleans: int) -> Array:
    return np.array(booleans, np.bool_)[:, None]


def test_three_steps_by_hand() -> None:
    # γ = ½, λ = ½. δ₂ = 4 + ½·0 - 2 (terminal) = 2; δ₁ = 2 + ½·2 - 1 = 2; δ₀ = 1 + ½·1 - 3 = -1.5.
    # A₂ = 2; A₁ = 2 + ¼·2 = 2.5; A₀ = -1.5 + ¼·2.5 = -0.875.
    advantage = gae(
        column(1, 2, 4),
        column(3, 1, 2),
        column(1, 2, 99),
        flags(0, 0, 1),
        flags(0, 0, 1),
        gamma=0.5,
        lam=0.5,
    )
    assert advantage[:, 0].tolist() == [-0.875, 2.5, 2.0]


def test_truncation_bootstraps_from_the_final_state_and_cuts_the_trace() -> None:
    # δ₀ = 1 + ½·8 - 2 = 3 from V(final) = 8, and nothing of the next episode's step.
    advantage = gae(
        column(1, 5),
        column(2, 1),
        column(8, 0),
        flags(0, 0),
        flags(1, 0),
        gamma=0.5,
        lam=1.0,
    )
    assert advantage[:, 0].tolist() == [3.0, 4.0]


def test_termination_that_is_also_a_truncation_does_not_bootstrap() -> None:
    advantage = gae(column(1), column(2), column(1000), flags(1), flags(1), gamma=0.9, lam=0.9)
    assert advantage.item() == -1.0


def test_next_value_is_never_read_from_the_next_row() -> None:
    ended = flags(0, 1, 0)
    value = column(1, 2, 3)
    one = gae(column(0, 0, 0), value, column(7, 7, 7), flags(0, 0, 0), ended, gamma=1.0, lam=0.0)
    assert one[:, 0].tolist() == [6.0, 5.0, 4.0]


@st.composite
def experience(draw: st.DrawFn) -> tuple[Array, Array, Array, Array, Array, float]:
    steps, copies = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reward, value, next_value = (rng.normal(size=(steps, copies)) for _ in range(3))
    ended = rng.random((steps, copies)) < 0.3
    terminated = ended & (rng.random((steps, copies)) < 0.5)
    gamma = draw(st.floats(0.0, 1.0))
    return reward, value, next_value, terminated, ended, gamma


@given(experience())
def test_lambda_zero_is_the_one_step_error(
    case: tuple[Array, Array, Array, Array, Array, float],
) -> None:
    reward, value, next_value, terminated, ended, gamma = case
    advantage = gae(reward, value, next_value, terminated, ended, gamma=gamma, lam=0.0)
    bootstrap = np.where(terminated, 0.0, next_value)
    np.testing.assert_allclose(advantage, reward + gamma * bootstrap - value, atol=1e-12)


@given(experience())
def test_lambda_one_is_the_monte_carlo_return_less_the_value(
    case: tuple[Array, Array, Array, Array, Array, float],
) -> None:
    reward, value, next_value, terminated, ended, gamma = case
    # Values of successive states agree within an episode, so that the errors telescope.
    next_value[:-1] = np.where(ended[:-1], next_value[:-1], value[1:])
    advantage = gae(reward, value, next_value, terminated, ended, gamma=gamma, lam=1.0)
    steps, copies = reward.shape
    for copy in range(copies):
        for start in range(steps):
            monte_carlo, discount = 0.0, 1.0
            for step in range(start, steps):
                monte_carlo += discount * float(reward[step, copy])
                discount *= gamma
                if ended[step, copy] or step == steps - 1:
                    if not terminated[step, copy]:
                        monte_carlo += discount * float(next_value[step, copy])
                    break
            expected = monte_carlo - float(value[start, copy])
            assert float(advantage[start, copy]) == pytest.approx(expected, abs=1e-9)


def by_torch(
    reward: Array, value: Array, next_value: Array, terminated: Array, ended: Array, gamma: float
) -> Array:
    """The same recursion with whole rows of tensors: the oracle of the compiled loop."""
    r, v, n = (torch.from_numpy(array) for array in (reward, value, next_value))
    error = r + gamma * n * torch.from_numpy(~terminated) - v
    decay = gamma * 0.7 * torch.from_numpy(~ended).double()
    advantage, trace = torch.empty_like(error), torch.zeros_like(error[0])
    for step in reversed(range(len(error))):
        trace = error[step] + decay[step] * trace
        advantage[step] = trace
    return advantage.numpy()


@given(experience())
def test_any_lambda_is_the_recursion_in_torch(
    case: tuple[Array, Array, Array, Array, Array, float],
) -> None:
    *_, gamma = case
    found = gae(*case[:5], gamma=gamma, lam=0.7)
    np.testing.assert_allclose(found, by_torch(*case[:5], gamma), rtol=1e-9, atol=1e-12)


def test_the_reward_factor_multiplies_rewards_alone() -> None:
    arguments = (column(5, 7), column(2, 9), flags(0, 1), flags(0, 1))
    scaled = gae(column(1, 3), *arguments, gamma=0.9, lam=0.5, reward_factor=4.0)
    np.testing.assert_allclose(scaled, gae(column(4, 12), *arguments, gamma=0.9, lam=0.5))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"next_value.*\(1, 1\)"):
        gae(column(1, 2), column(1, 2), column(1), flags(0, 0), flags(0, 0), gamma=1.0, lam=1.0)


def test_a_termination_that_is_no_end_is_refused() -> None:
    with pytest.raises(ValueError, match="ended = terminated"):
        gae(column(1), column(1), column(1), flags(1), flags(0), gamma=1.0, lam=1.0)
