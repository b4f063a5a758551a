"""A limit in training: what is charged, when the price moves, and who is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs import load_decision
from envs.core.vector import WorldVectorEnv
from ppo_marketing.config import TrainingSection, load_config
from ppo_marketing.constrained import (
    BEYOND_LIMIT,
    PricedVectorEnv,
    as_shares,
    keeps_limit,
    mean_score,
    score_beyond,
    share_of,
    shares_of,
)
from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import Limit, play
from ppo_marketing.jobs.judging import evaluate_only
from ppo_marketing.jobs.line import run_line
from ppo_marketing.pipeline import learning
from ppo_marketing.policy import PolicyActor
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.constraint import PIDLagrangian
from ppo_marketing.progress import SilentReporter

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


def test_what_is_used_is_measured_over_the_last_episodes_worth_of_steps() -> None:
    """Contacts in the first half of a programme, none in the second: the phase must not matter."""
    card = load_decision("sequencing")
    settings = replace(card.sample_settings(), horizon_weeks=8, caps={})
    world: Any = card.true_world("default", 50, settings, np.random.default_rng(0))
    limit = PIDLagrangian(kpi="contacts", limit=100.0)
    env = PricedVectorEnv(WorldVectorEnv(world, 16), limit, every=3)
    env.reset(seed=0)
    made = []
    for week in range(40):
        action = np.full(16, 1 if week % 8 < 4 else 0)
        made.append(env.step(action)[4]["kpis"]["contacts"].mean())
    measured = [100.0 * (1.0 + error) for error, _ in env.paid]
    weeks = range(9, 41, 3)  # every third, once the first programmes of eight weeks have ended
    assert measured == pytest.approx([sum(made[week - 8 : week]) for week in weeks])
    assert min(measured) > 1.0


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


def test_by_default_an_update_is_paid_at_one_price() -> None:
    env = PricedVectorEnv(copies(SHOWN).env, SHOWN)
    env.reset(seed=0)
    rollout = PPOConfig().rollout_steps
    for done in range(1, 3 * rollout + 1):
        env.step(np.zeros(4, int))
        assert len(env.paid) == done // rollout


def test_an_unknown_kpi_is_refused_with_those_there_are() -> None:
    training = TrainingSection(constraint=PIDLagrangian(kpi="emails", limit=1.0))
    with pytest.raises(UserError, match=r"has no KPI emails; it has .*impressions"):
        learning.ppo_config(CARD, training)
    with pytest.raises(UserError, match=r"limit is on emails.*it tells .*impressions"):
        copies(PIDLagrangian(kpi="emails", limit=1.0)).step(np.zeros(4, int))


def test_policies_within_the_limit_rank_above_all_beyond_it() -> None:
    world: Any = CARD.true_world("default", 50, CARD.sample_settings(), np.random.default_rng(0))
    config = learning.ppo_config(CARD, TrainingSection())
    actor = PolicyActor("candidate", learning.untrained(world, config, 0))
    kpis = play(actor, world, 50, 0, "policy").kpis
    assert learning.violation(SHOWN, kpis) == pytest.approx(1.0)

    def score(limit: float) -> float:
        limited = PIDLagrangian(kpi="impressions", limit=limit)
        return learning.validation(CARD, world, 50, 0, limited)(actor)

    assert score(1.0) == learning.validation(CARD, world, 50, 0)(actor)
    assert score(0.5) == pytest.approx(BEYOND_LIMIT - 1.0)
    assert score(0.25) < score(0.5) < score(1.0)
    assert [keeps_limit(score(limit)) for limit in (0.25, 0.5, 1.0)] == [False, False, True]


def test_a_distance_beyond_the_limit_is_never_read_as_a_share() -> None:
    beyond = score_beyond(0.25)
    assert share_of(beyond) is share_of(None) is None
    assert share_of(0.5) == 0.5
    assert share_of(-2.0) == -2.0  # worse than doing nothing, and within the limit
    assert shares_of({0: beyond, 10: 0.5}) == {10: 0.5}
    np.testing.assert_array_equal(as_shares([0.5, beyond]), [0.5, np.nan])


def test_trainings_together_are_beyond_the_limit_where_one_of_them_is() -> None:
    assert mean_score([0.25, 0.75]) == 0.5
    one, both = mean_score([0.9, score_beyond(0.5)]), mean_score([score_beyond(0.5)] * 2)
    assert (one, both) == (score_beyond(0.25), score_beyond(0.5))
    assert not keeps_limit(mean_score([0.9, 0.9, 0.9, score_beyond(1e-6)]))


def test_an_infinite_distance_is_ranked_last_and_can_be_kept() -> None:
    nothing_bought = score_beyond(float("inf"))
    assert nothing_bought < score_beyond(1000.0)
    assert np.isfinite(nothing_bought)


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
        chosen = learning.learn(card, world, fresh, training, seed=0).best
        kpis = play(PolicyActor("PPO", chosen), fresh, 200, 5, "policy").kpis
        return float(kpis["contacts"].mean())

    limit = PIDLagrangian(kpi="contacts", limit=60.0)
    assert contacts(None) > 1.5 * limit.limit
    assert 0.3 * limit.limit < contacts(limit) <= 1.05 * limit.limit


def test_the_limit_goes_with_the_policy_and_is_told_wherever_it_is_judged(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "decision": "personalization",
        "project": tmp_path,
        "log": {"days": 6},
        "evaluation": {"episodes": 100, "bootstrap": 100},
        "accept_failed_fidelity": "a test of the limit, not of the simulator",
    }
    training: dict[str, Any] = {"total_steps": 20_000, "episodes": 500, "validation_episodes": 100}
    training["constraint"] = {"kpi": "impressions", "limit": 0.5}
    config = load_config(None, {**given, "output": tmp_path / "run", "training": training})
    done = run_line(config, SilentReporter())
    assert done.judgement.limit == Limit("impressions", None, 0.5, 1.0, 1.0)  # one item a visit
    assert not keeps_limit(done.training.best_score or 0.0)
    assert "100.0 % BEYOND it" in (done.output / "report.md").read_text()
    again = evaluate_only(
        CARD, done.output / "calibration", done.output / "policy",
        load_config(None, {**given, "output": tmp_path / "again"}), SilentReporter(),
    )  # fmt: skip
    assert again.judgement.limit == done.judgement.limit
