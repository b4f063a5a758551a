"""PPO learns the generator's customers: exact judgement over all 520 states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks import sequencing_ppo
from envs.core.log import read_log
from envs.sequencing import DECISION
from envs.sequencing.env import make_world
from envs.sequencing.oracle import policy_value, value_iteration
from ppo_marketing.config import TrainingSection
from ppo_marketing.pipeline import calibrating, learning
from tests.support.sequencing import every_state

CADENCE_COUPON = 34.05
BEST_OF_THE_GRID = 34.81  # benchmarks/sequencing_ppo.py solves all 4,032 policies of it


def test_a_million_steps_come_within_three_percent_of_the_optimum() -> None:
    world = make_world(days=5000, horizon_weeks=52)
    model = world.program(0)
    section = TrainingSection(
        **{**DECISION.run_defaults["training"], "total_steps": 1_000_000, "validate_every": 1000},
    )
    validation = make_world(days=200, horizon_weeks=52, world_seed=1)
    agent = learning.learn(DECISION, world, validation, section, seed=0).agent
    state = every_state(world, model)
    action = agent.act(
        world.observe(state),
        np.random.default_rng(0),
        world.action_mask(state),
        deterministic=True,
    ).reshape(model.shape)
    value, optimal = (from_the_start(v) for v in (policy_value(model, action), _optimum(model)))
    assert value >= 0.97 * optimal
    assert value > BEST_OF_THE_GRID > CADENCE_COUPON


def test_from_a_log_alone_it_comes_within_eight_percent_of_the_optimum(tmp_path: Path) -> None:
    """The first seed of benchmarks/sequencing_ppo.py with a fifth of its steps."""
    pq.write_table(
        DECISION.generate("default", sequencing_ppo.WEEKS, np.random.default_rng([0, 12])),
        tmp_path / "log.parquet",
    )
    log = read_log(tmp_path / "log.parquet", DECISION.schema, cache=tmp_path / "cache")
    settings = sequencing_ppo.a_year()
    calibration = calibrating.calibrate(DECISION, log, settings, 0)
    section = TrainingSection(
        **{**DECISION.run_defaults["training"], "total_steps": 400_000, "validate_every": 1000},
    )
    rng = np.random.default_rng(0)
    world: Any = calibration.training_world(5000, settings, rng)
    fresh = calibration.training_world(200, settings, rng)
    agent = learning.learn(DECISION, world, fresh, section, seed=0).agent
    value = sequencing_ppo.worth(sequencing_ppo.chosen(agent, world, sequencing_ppo.MODEL))
    optimal = sequencing_ppo.from_the_start(value_iteration(sequencing_ppo.MODEL)[0])
    assert value >= 0.92 * optimal


def _optimum(model: Any) -> Any:
    return value_iteration(model)[0]


def from_the_start(value: Any) -> float:
    tables = make_world(days=1).tables
    r, f, *_ = tables.start.T
    return float(tables.start_weight[0] @ value[r, f, 0, 0, 1, 0])
