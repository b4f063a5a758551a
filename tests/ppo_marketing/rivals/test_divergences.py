"""How far an update moved a rival's policy, of policies whose distances are known on paper."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Categorical, Normal, kl_divergence

from ppo_marketing.rivals.stable_baselines import mean_kl


def test_of_collapsed_choices_it_is_finite_as_their_logits_are() -> None:
    before = Categorical(logits=torch.tensor([[200.0, 0.0], [0.0, 0.0]]))
    now = Categorical(logits=torch.tensor([[0.0, 200.0], [0.0, 0.0]]))
    assert torch.isinf(kl_divergence(before, now)[0]), "torch's own gives up"
    assert mean_kl(before, now) == pytest.approx(200.0 / 2)


def test_of_ordinary_choices_and_gaussians_it_is_torchs() -> None:
    rng = torch.Generator().manual_seed(0)
    first, second = (Categorical(logits=torch.randn(5, 3, generator=rng)) for _ in range(2))
    assert mean_kl(first, second) == pytest.approx(float(kl_divergence(first, second).mean()))
    assert mean_kl(first, first) == 0.0
    # Two dimensions of deviation 1, a mean apart: half a nat each.
    apart = Normal(torch.ones(4, 2), torch.ones(4, 2))
    assert mean_kl(Normal(torch.zeros(4, 2), torch.ones(4, 2)), apart) == pytest.approx(1.0)
