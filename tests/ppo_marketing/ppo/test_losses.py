from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ppo_marketing.ppo.losses import (
    explained_variance,
    k3,
    normalised_advantage,
    value_loss,
)


@given(st.floats(-20.0, 20.0))
def test_k3_is_never_negative(log_ratio: float) -> None:
    assert float(k3(torch.tensor(log_ratio, dtype=torch.float64))) >= 0.0


def test_k3_over_old_samples_estimates_the_divergence_of_two_normals() -> None:
    # KL(N(0,1) || N(m,1)) = m²/2.
    generator = torch.Generator().manual_seed(3)
    sample = torch.randn(400_000, generator=generator, dtype=torch.float64)
    shift = 0.3
    log_ratio = -0.5 * (sample - shift) ** 2 + 0.5 * sample**2
    assert float(k3(log_ratio).mean()) == pytest.approx(shift**2 / 2, rel=0.02)


def test_normalised_advantages_have_mean_zero_and_deviation_one() -> None:
    scaled = normalised_advantage(torch.tensor([1.0, 5.0, 12.0, -3.0]))
    assert float(scaled.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(scaled.std()) == pytest.approx(1.0, rel=1e-6)


def test_equal_or_single_advantages_become_zero() -> None:
    assert normalised_advantage(torch.full((4,), 7.0)).tolist() == [0.0] * 4
    assert normalised_advantage(torch.tensor([7.0])).tolist() == [0.0]


def test_value_loss_is_the_plain_mean_square() -> None:
    loss = value_loss(torch.tensor([1.0, 4.0]), torch.tensor([0.0, 2.0]), torch.zeros(2))
    assert float(loss) == 2.5


def test_clipped_value_loss_holds_the_critic_near_its_old_value() -> None:
    value = torch.tensor([3.0], requires_grad=True)
    loss = value_loss(value, torch.tensor([5.0]), torch.tensor([0.0]), clip=1.0)
    assert float(loss.detach()) == 16.0  # (0 + 1 - 5)², larger than (3 - 5)²
    (slope,) = torch.autograd.grad(loss, value)
    assert float(slope) == 0.0


def test_explained_variance_of_a_perfect_a_constant_and_a_wrong_critic() -> None:
    target = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert explained_variance(target, target) == 1.0
    assert explained_variance(torch.full((4,), 9.0), target) == pytest.approx(0.0)
    assert explained_variance(-target, target) == pytest.approx(-3.0)


def test_explained_variance_of_targets_that_do_not_vary_is_zero() -> None:
    result = explained_variance(torch.tensor([1.0, 2.0]), torch.tensor([5.0, 5.0]))
    assert result == 0.0
    assert not math.isnan(result)
