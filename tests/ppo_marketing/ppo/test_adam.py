from __future__ import annotations

import numpy as np
import pytest
import torch

from ppo_marketing.ppo.adam import Adam


def test_equals_torchs_adam_with_clipping(rng: np.random.Generator) -> None:
    start = torch.from_numpy(rng.normal(size=50).astype(np.float32))
    values, gradients = start.clone(), torch.zeros(50)
    ours = Adam(values, gradients)
    reference = torch.nn.Parameter(start.clone())
    theirs = torch.optim.Adam([reference], eps=1e-5)
    for step in range(30):
        gradient = torch.from_numpy(rng.normal(size=50).astype(np.float32))
        learning_rate = 0.01 / (1 + step)
        gradients.copy_(gradient)
        reference.grad = gradient.clone()
        norm = ours.clip_gradients(3.0)
        expected_norm = torch.nn.utils.clip_grad_norm_([reference], 3.0)
        assert norm == pytest.approx(float(expected_norm), rel=1e-6)
        ours.step(learning_rate)
        theirs.param_groups[0]["lr"] = learning_rate
        theirs.step()
    torch.testing.assert_close(values, reference.detach(), rtol=1e-5, atol=1e-6)


def test_a_small_gradient_is_not_scaled() -> None:
    gradients = torch.tensor([0.3, 0.4])
    assert Adam(torch.zeros(2), gradients).clip_gradients(1.0) == pytest.approx(0.5)
    assert gradients.tolist() == pytest.approx([0.3, 0.4])


def test_its_state_continues_bit_by_bit(rng: np.random.Generator) -> None:
    draws = torch.from_numpy(rng.normal(size=(6, 9)).astype(np.float32))
    values, gradients = torch.ones(9), torch.zeros(9)
    straight = Adam(values, gradients)
    for draw in draws[:3]:
        gradients.copy_(draw)
        straight.step(0.1)
    other_values, other_gradients = values.clone(), torch.zeros(9)
    resumed = Adam(other_values, other_gradients)
    resumed.load(straight.state())
    for draw in draws[3:]:
        gradients.copy_(draw)
        other_gradients.copy_(draw)
        straight.step(0.1)
        resumed.step(0.1)
    assert torch.equal(values, other_values)
