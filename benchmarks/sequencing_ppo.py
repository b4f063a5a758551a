"""PPO on the built-in customers, judged exactly by a linear solve over their 520 states.

Two ways to learn, five seeds each: on the generator itself, and only through a simulator calibrated
on a log of 20,000 customers x 26 weeks (cadence with 20 % randomisation). Beside them: V*, the
published rules, and the best of the whole cadence x RFM grid, every policy of it solved exactly.
Values are the mean over the starting customers, in currency, gamma .99 a week, infinite horizon.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.report import write_result
from envs.core.log import read_log
from envs.sequencing import DECISION
from envs.sequencing.dynamic_program import Program
from envs.sequencing.env import make_world
from envs.sequencing.oracle import policy_value, solved_policy, transitions, value_iteration
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.world import SequencingWorld, blank
from ppo_marketing.config import TrainingSection
from ppo_marketing.pipeline import calibrating, learning
from ppo_marketing.ppo.agent import Agent

WEEKS = 26
BAR_GENERATOR, BAR_CALIBRATED, BAR_SECONDS = 0.97, 0.92, 180.0
Actions = NDArray[np.int64]


def every_state(world: SequencingWorld, model: Program) -> Any:
    """A copy of `world` in each state of `model`, matched by the names of its channels."""
    place = np.indices(model.shape).reshape(len(model.shape), -1)
    state = blank(model.states, world.tables)
    recencies, frequencies, fatigues, *_ = world.tables.shape
    state.recency[:] = np.minimum(place[0], recencies - 1)
    state.frequency[:] = np.minimum(place[1], frequencies - 1)
    for c, name in enumerate(TRUTH.menu.channels):
        if name in world.menu.channels:
            to = world.menu.channels.index(name)
            reached = min(fatigues, int(world.terms.bins[to]))
            state.fatigue[:, to] = np.minimum(place[2 + c], reached - 1)
            state.consent[:, to] = np.array(model.levels[c])[place[2 + model.channels + c]]
    return state


def chosen(agent: Agent, world: SequencingWorld, model: Program) -> Actions:
    """What the agent does in every true state, in the true menu's numbering."""
    state = every_state(world, model)
    action = agent.act(
        world.observe(state), np.random.default_rng(0), world.action_mask(state),
        deterministic=True,
    )  # fmt: skip
    number = {label: i for i, label in enumerate(TRUTH.menu.labels)}
    to_truth = np.array([number[label] for label in world.menu.labels])
    return to_truth[action].reshape(model.shape)


def mean_start(world: SequencingWorld, k: int, model: Program, value: Any) -> float:
    """The value `[*shape]` averaged over the customers that member `k` starts with."""
    everyone = blank(len(world.tables.start), world.tables)
    channels = model.channels
    everyone.recency[:], everyone.frequency[:] = world.tables.start[:, :2].T
    everyone.fatigue[:] = world.tables.start[:, 2 : 2 + channels]
    everyone.consent[:] = world.tables.start[:, 2 + channels :] != 0
    return float(world.tables.start_weight[k] @ value[model.index(everyone)])


def in_simulator(agent: Agent, world: SequencingWorld) -> float:
    """The agent's exact value in a calibrated world, mean over its members."""
    values = []
    for k in range(world.tables.members):
        model = world.program(k)
        place = np.indices(model.shape).reshape(len(model.shape), -1)
        state = blank(model.states, world.tables)
        state.recency[:], state.frequency[:] = place[:2]
        for c, level in enumerate(model.levels):
            state.fatigue[:, c] = place[2 + c]
            state.consent[:, c] = np.array(level)[place[2 + model.channels + c]]
        action = agent.act(
            world.observe(state), np.random.default_rng(0), world.action_mask(state),
            deterministic=True,
        )  # fmt: skip
        values.append(mean_start(world, k, model, policy_value(model, action.reshape(model.shape))))
    return float(np.mean(values))


TRUTH = make_world(days=20_000, horizon_weeks=52, world_seed=1)
MODEL = TRUTH.program(0)


def from_the_start(value: Any) -> float:
    """A true value, mean over the generator's starting customers."""
    return mean_start(TRUTH, 0, MODEL, value)


def worth(action: Actions) -> float:
    """The exact value of a policy over the true states."""
    return from_the_start(policy_value(MODEL, action))


def rules_exactly() -> dict[str, float]:
    """The rules of MODELLING 6.2 and the best of the cadence x RFM grid."""
    r, f, g, _, s, _ = np.indices(MODEL.shape)
    subscribed = s == 1
    greedy = MODEL.q(np.zeros(MODEL.shape)).argmax(axis=0)
    policies = {
        "never": 0 * r,
        "always e-mail": np.where(subscribed, 1, 0),
        "always coupon": np.where(subscribed, 2, 0),
        "one-step uplift": greedy,
        "RFM": np.where(subscribed, np.where(r <= 4, 1, np.where(f >= 2, 2, 0)), 0),
        "cadence e-mail": np.where(subscribed & (g == 0), 1, 0),
        "cadence coupon": np.where(subscribed & (g == 0), 2, 0),
    }
    values = {name: worth(policy) for name, policy in policies.items()}
    chance, reward = transitions(MODEL)
    best, settings = -np.inf, (0,) * 6
    for recent, frequent, rest in itertools.product(range(0, 13, 2), (1, 2, 3), (0, 1, 2)):
        for to_recent, to_frequent, to_others in itertools.product(range(4), repeat=3):
            older = np.where(f >= frequent, to_frequent, to_others)
            action = np.where(r <= recent, to_recent, older)
            action = np.where((g <= rest) & (subscribed | (action == 3)), action, 0)
            value = solved_policy(chance, reward, MODEL.discount, action.ravel())
            if (total := from_the_start(value.reshape(MODEL.shape))) > best:
                best, settings = total, (to_recent, to_frequent, to_others, recent, frequent, rest)
    print("best of the grid", settings, round(best, 3))
    return {**values, "best of the cadence x RFM grid": best}


def a_year(**changes: Any) -> SequencingSettings:
    """52 weeks without caps, cut and bootstrapped: how everybody trains here."""
    values = {**vars(DECISION.sample_settings()), "horizon_weeks": 52, **changes}
    return SequencingSettings(**values)


def on_generator(seed: int, training: TrainingSection) -> dict[str, float]:
    """Train on the generator itself."""
    began, worked = time.perf_counter(), time.process_time()
    validation = make_world(
        days=training.validation_episodes, horizon_weeks=52, world_seed=100 + seed
    )
    result = learning.learn(DECISION, TRUTH, validation, training, seed)
    return {
        "value": worth(chosen(result.best, TRUTH, MODEL)),
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - worked,
    }


def through_calibration(seed: int, training: TrainingSection) -> dict[str, Any]:
    """Train on nothing but a log of the generator."""
    rng = np.random.default_rng([seed, 12])
    settings = a_year()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        pq.write_table(DECISION.generate("default", WEEKS, rng), path)
        log = read_log(path, DECISION.schema, cache=Path(folder) / "cache")
        calibration: Any = calibrating.calibrate(DECISION, log, settings, seed)
    world = calibration.training_world(training.episodes, settings, rng)
    fresh = calibration.training_world(training.validation_episodes, settings, rng)
    result = learning.learn(DECISION, world, fresh, training, seed)
    judging = calibration.judging_world(1000, settings, rng)
    train, judge = in_simulator(result.best, world), in_simulator(result.best, judging)
    true = worth(chosen(result.best, world, MODEL))
    return {
        "value": true,
        "in_training_simulator": train,
        "in_judging_simulator": judge,
        "optimism_gap": train / judge - 1,
        # The simulators start from customers as the log left them, so that their values are not
        # those of the generator's start: the gap to the truth is taken from the same customers.
        "optimism_against_truth": train / true_of_the_log(result.best, world) - 1,
        "fidelity_failures": [check.name for check in calibration.fidelity.failures],
    }


def true_of_the_log(agent: Agent, world: SequencingWorld) -> float:
    """The agent's true value from the customers that the calibrated world starts with."""
    value = policy_value(MODEL, chosen(agent, world, MODEL))
    start, channels = world.tables.start, len(world.menu.channels)
    everyone = blank(len(start), TRUTH.tables)
    everyone.recency[:] = np.minimum(start[:, 0], MODEL.shape[0] - 1)
    everyone.frequency[:] = np.minimum(start[:, 1], MODEL.shape[1] - 1)
    for c, name in enumerate(TRUTH.menu.channels):
        everyone.consent[:, c] = True
        if name in world.menu.channels:
            to = world.menu.channels.index(name)
            everyone.fatigue[:, c] = np.minimum(start[:, 2 + to], MODEL.shape[2 + c] - 1)
            if len(MODEL.levels[c]) > 1:
                everyone.consent[:, c] = start[:, 2 + channels + to] != 0
    return float(world.tables.start_weight.mean(axis=0) @ value[MODEL.index(everyone)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    defaults = DECISION.run_defaults["training"]
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=defaults["total_steps"])
    parser.add_argument("--only", choices=("generator", "calibration"))
    arguments = parser.parse_args()
    training = TrainingSection(**{**defaults, "total_steps": arguments.steps})
    optimum = from_the_start(value_iteration(MODEL)[0])
    rules = rules_exactly()
    best = rules["best of the cadence x RFM grid"]
    results: dict[str, Any] = {
        "optimum": round(optimum, 3),
        "rules": {name: round(value, 3) for name, value in rules.items()},
    }
    for name, learn, bar in (
        ("generator", on_generator, BAR_GENERATOR),
        ("calibration", through_calibration, BAR_CALIBRATED),
    ):
        if arguments.only not in (None, name):
            continue
        seeds = []
        for seed in range(arguments.seeds):
            run = learn(seed, training)
            run["share_of_optimum"] = run["value"] / optimum
            seeds.append({k: round(v, 4) if isinstance(v, float) else v for k, v in run.items()})
            print(name, seed, seeds[-1], flush=True)
        least = min(run["share_of_optimum"] for run in seeds)
        results[name] = {
            "per_seed": seeds,
            "least_share_of_optimum": least,
            "bar": bar,
            "reached": least >= bar,
            "above_the_best_of_the_grid": all(run["value"] > best for run in seeds),
        }
        if name == "generator":
            # On a machine that others use the wall clock also counts their work.
            slowest = max(run["processor_seconds"] for run in seeds)
            results[name]["under_three_minutes_a_seed"] = slowest < BAR_SECONDS
        config = {"seeds": arguments.seeds, "weeks": WEEKS, "training": training.model_dump()}
        write_result("sequencing_ppo", config, results)
    sources = [name for name in ("generator", "calibration") if name in results]
    missed = [name for name in sources if not results[name]["reached"]]
    if missed:
        sys.exit(f"below its bar: {', '.join(missed)}")


if __name__ == "__main__":
    main()
