"""A limit in training: what is charged, when the price moves, and who is chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs import load_decision
from envs.core.vector import WorldVectorEnv
from ppo_marketing import pipeline
from ppo_marketing.config import TrainingSection
from ppo_marketing.constrained import PricedVectorEnv
from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import play
from ppo_marketing.policy import PolicyActor
from ppo_marketing.ppo.constraint import PIDLagrangian

CARD = load_decision("personalization")
SHOWN = PIDLagrangian(kpi="impressions", limit=0.5, integral=0.1)  # every visit shows one item


def copies(constraint: PIDLagrangian) -> PricedVectorEnv:
    world = CARD.true_world("default", 50, CARD.sample_settings(), np.random.default_rng(0))
    env = PricedVectorEnv(WorldVectorEnv(world, 4), constraint, every=1)
    env.reset(seed=0)
    return env


def test_the_price_moves_once_as_many_episodes_ended_as_there_are_copies() -> None:
    env = copies(SHOWN)
    free = env.step(np.zeros(4, int))[1]
    assert env.paid == [(1.0, env.constraint.price)]  # one item a visit, twice the limit
    assert env.constraint.price == pytest.approx(0.5 + 0.1)
    charged = env.step(np.zeros(4, int))[1]
    assert (charged < free.min()).all()


def test_a_priced_environment_goes_on_exactly_where_it_was_saved() -> None:
    env, twin = copies(SHOWN), copies(SHOWN)
    for _ in range(3):
        env.step(np.ones(4, int))
    twin.load_state_dict(env.state_dict())
    assert twin.paid == env.paid
    for _ in range(3):
        one, other = env.step(np.zeros(4, int)), twin.step(np.zeros(4, int))
        assert np.array_equal(one[1], other[1])
    assert twin.constraint == env.constraint


def test_an_unknown_kpi_is_refused_with_those_there_are() -> None:
    training = TrainingSection(constraint=PIDLagrangian(kpi="emails", limit=1.0))
    with pytest.raises(UserError, match=r"has no KPI emails; it has .*impressions"):
        pipeline.ppo_config(CARD, training)
    with pytest.raises(UserError, match=r"limit is on emails.*it tells .*impressions"):
        copies(PIDLagrangian(kpi="emails", limit=1.0)).step(np.zeros(4, int))


def test_policies_within_the_limit_rank_above_all_beyond_it() -> None:
    world: Any = CARD.true_world("default", 50, CARD.sample_settings(), np.random.default_rng(0))
    config = pipeline.ppo_config(CARD, TrainingSection())
    actor = PolicyActor("candidate", pipeline.untrained(world, config, 0))
    kpis = play(actor, world, 50, 0, "policy").kpis
    assert pipeline.violation(SHOWN, kpis) == pytest.approx(1.0)

    def score(limit: float) -> float:
        limited = PIDLagrangian(kpi="impressions", limit=limit)
        return pipeline.validation(CARD, world, 50, 0, limited)(actor)

    assert score(1.0) == pipeline.validation(CARD, world, 50, 0)(actor)
    assert score(0.5) == pytest.approx(pipeline.BEYOND_LIMIT - 1.0)
    assert score(0.25) < score(0.5) < score(1.0)


def test_a_limited_training_ends_within_its_limit_where_an_unlimited_one_does_not() -> None:
    card = load_decision("sequencing")
    settings = card.sample_settings()
    world = card.true_world("default", 2000, settings, np.random.default_rng(1))
    fresh: Any = card.true_world("default", 200, settings, np.random.default_rng(2))

    def contacts(constraint: PIDLagrangian | None) -> float:
        training = TrainingSection(
            **{
                **card.run_defaults["training"],
                "total_steps": 600_000,
                "validation_episodes": 200,
                "validate_every": 6,
                "constraint": constraint,
            }
        )
        chosen = pipeline.learn(card, world, fresh, training, seed=0).best
        kpis = play(PolicyActor("PPO", chosen), fresh, 200, 5, "policy").kpis
        return float(kpis["contacts"].mean())

    limit = PIDLagrangian(kpi="contacts", limit=60.0)
    assert contacts(None) > 1.5 * limit.limit
    assert 0.3 * limit.limit < contacts(limit) <= 1.05 * limit.limit
