from __future__ import annotations

import math
from typing import Any

import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.config import PPOConfig, Region
from ppo_marketing.ppo.trust_region import KLPenalty, SteeredClip


def test_every_problem_is_listed_at_once() -> None:
    with pytest.raises(UserError) as refused:
        PPOConfig(max_grad_norm=-1.5, epochs=0, gamma=2.0, start="random", start_bias=(1.0,))
    message = str(refused.value)
    for name in ("max_grad_norm is -1.5", "epochs is 0", "gamma is 2.0", "start_bias is (1.0,)"):
        assert name in message


@pytest.mark.parametrize(
    "settings",
    [
        {"rollout_steps": 0},
        {"minibatch_size": 1},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"value_clip": 0.0},
        {"value_coefficient": -1.0},
        {"entropy_coefficient": math.inf},
        {"gae_lambda": -0.1},
        {"max_grad_norm": 0.0},
        {"target_kl": -0.01},
        {"reward_scale": 0.0},
        {"reward_scale": math.inf},
        {"hidden": (64, 0)},
        {"log_std_initial": math.nan},
        {"start": "warm"},
        {"start_bias": (math.nan,)},
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(settings))):
        PPOConfig(**settings)


def test_one_row_minibatches_are_allowed_without_advantage_normalisation() -> None:
    assert PPOConfig(minibatch_size=1, normalise_advantages=False).minibatch_size == 1


def test_annealing_is_linear_to_zero() -> None:
    config = PPOConfig(learning_rate=1e-3, entropy_coefficient=0.02)
    halfway = config.at(0.5)
    assert halfway.learning_rate == pytest.approx(5e-4)
    assert halfway.entropy_coefficient == pytest.approx(0.01)
    assert config.at(1.0).entropy_coefficient == 0.0
    assert config.at(1.0).learning_rate < 1e-9


def test_without_annealing_the_settings_stay() -> None:
    config = PPOConfig(anneal_learning_rate=False, anneal_entropy=False)
    assert config.at(0.9) == config


@pytest.mark.parametrize("region", [KLPenalty(), SteeredClip()])
def test_a_region_that_follows_a_kl_keeps_the_learning_rate(region: Region) -> None:
    assert PPOConfig(trust_region=region).at(0.9).learning_rate == PPOConfig().learning_rate
    with pytest.raises(UserError, match="anneal_learning_rate is True; it must be false or null"):
        PPOConfig(trust_region=region, anneal_learning_rate=True)


def test_a_fixed_penalty_may_be_annealed() -> None:
    region = KLPenalty(schedule="fixed", target_kl=None)
    assert PPOConfig(trust_region=region).anneals
