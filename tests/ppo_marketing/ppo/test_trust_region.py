from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ppo_marketing.ppo.trust_region import Clip


def gradient(log_ratio: float, advantage: float, epsilon: float = 0.2) -> float:
    """Return d loss / d log_ratio of one element."""
    variable = torch.tensor(log_ratio, dtype=torch.float64, requires_grad=True)
    kl = torch.zeros((), dtype=torch.float64)
    loss = Clip(epsilon=epsilon).loss(variable, kl, torch.tensor(advantage, dtype=torch.float64))
    (slope,) = torch.autograd.grad(loss, variable)
    return float(slope)


@given(st.floats(math.log(1.2) + 1e-6, 3.0), st.floats(0.01, 10.0))
def test_gradient_is_zero_above_the_interval_for_a_good_action(
    log_ratio: float, advantage: float
) -> None:
    assert gradient(log_ratio, advantage) == 0.0


@given(st.floats(-3.0, math.log(0.8) - 1e-6), st.floats(-10.0, -0.01))
def test_gradient_is_zero_below_the_interval_for_a_bad_action(
    log_ratio: float, advantage: float
) -> None:
    assert gradient(log_ratio, advantage) == 0.0


@given(st.floats(math.log(0.8) + 1e-6, math.log(1.2) - 1e-6), st.floats(-10.0, 10.0))
def test_gradient_inside_the_interval_is_the_policy_gradient(
    log_ratio: float, advantage: float
) -> None:
    assert gradient(log_ratio, advantage) == pytest.approx(-advantage * math.exp(log_ratio))


@given(st.floats(-3.0, math.log(0.8) - 1e-6), st.floats(0.01, 10.0))
def test_a_good_action_made_too_rare_is_still_pulled_back(
    log_ratio: float, advantage: float
) -> None:
    assert gradient(log_ratio, advantage) == pytest.approx(-advantage * math.exp(log_ratio))


def test_the_loss_is_elementwise_for_any_shape() -> None:
    log_ratio = torch.tensor([[0.0, 1.0, -1.0], [0.1, -0.1, 5.0]])
    advantage = torch.tensor([[2.0, 2.0, 2.0], [-1.0, -1.0, -1.0]])
    loss = Clip(epsilon=0.2).loss(log_ratio, torch.zeros_like(log_ratio), advantage)
    expected = torch.tensor(
        [
            [-2.0, -2.4, -2.0 * math.exp(-1.0)],
            [math.exp(0.1), math.exp(-0.1), math.exp(5.0)],
        ]
    )
    torch.testing.assert_close(loss, expected)


def test_a_clip_does_not_adapt() -> None:
    region = Clip(epsilon=0.2)
    assert region.updated(mean_kl=0.5) == region
