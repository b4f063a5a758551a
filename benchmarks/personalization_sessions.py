"""Sessions with boredom (MODELLING 6.3, C2): PPO against V*, every policy valued exactly.

Trained on the generator with eta = .5, and on the negative control eta = 0, where showing
what is liked most now is optimal and no gain may be claimed. Each seed's policy is the one that
its own validation episodes chose. Also: the paired lift over the tuned myopic rule that the
engine's evidence would report; and, without a bar, training through nothing but a simulator
calibrated on 28 days of uniformly logged sessions, valued on the true ones.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.report import write_result
from envs.core.log import read_log
from envs.personalization import DECISION
from envs.personalization.oracle import (
    boredom_states,
    by_category,
    optimal_values,
    policy_values,
    value_of_choices,
)
from envs.personalization.session_world import SessionState
from envs.personalization.settings import PersonalizationSettings
from envs.personalization.truth import true_world
from ppo_marketing.config import RunConfig, TrainingSection, load_config
from ppo_marketing.pipeline import calibrating, judging, learning
from ppo_marketing.policy import Actor, PolicyActor

LOG_DAYS = 28
VISITORS = 300  # of every segment about a hundred: all that is asked is a start of each
PRESETS = {"eta .5": "sessions", "eta 0 (control)": "no_boredom"}


def exact(world: Any, actor: Actor) -> float:
    """The actor's value from the start, segments alike, expected clicks a session."""
    rng = np.random.default_rng(0)

    def choose(state: SessionState) -> Any:
        return actor.control(world, state, rng)

    value = value_of_choices(world, choose)
    segment = world.contexts.x.argmax(axis=1)
    return float(np.mean([value[segment == u][0] for u in range(world.model.context_size)]))


def references(world: Any) -> dict[str, float]:
    """What the generator's own policies are worth: MODELLING 6.3's table."""
    logit = world.model.bias[0] + world.model.vector[0].T
    category, terms = world.items.category, world.terms
    states = boredom_states(world.items.categories, terms.boredom_levels)
    size, items = len(states.level), world.model.items

    def value(policy: Any) -> float:
        return float(policy_values(logit, category, policy, terms)[:, 0].mean())

    def always(item: Any) -> Any:
        return np.repeat(np.eye(items)[item][:, None], size, axis=1)

    now = logit[:, None] - terms.boredom * states.level[:, category]
    best = by_category(logit, category)
    return {
        "random": value(np.full((len(logit), size, items), 1 / items)),
        "best fixed": max(value(always([a] * len(logit))) for a in range(items)),
        "context argmax": value(always(logit.argmax(axis=1))),
        "myopic": value(np.eye(items)[now.argmax(axis=2)]),
        "optimal": float(optimal_values(best, terms)[0][:, 0].mean()),
    }


def one_seed(preset: str, seed: int, config: RunConfig) -> dict[str, Any]:
    """Train, value exactly, and ask the engine's evidence for the lift over the myopic rule."""
    training = config.training
    settings = PersonalizationSettings()

    def world(episodes: int, stream: int) -> Any:
        return true_world(preset, episodes, settings, np.random.default_rng([seed, stream]))

    practice, fresh = world(training.episodes, 0), world(training.validation_episodes, 1)
    result = learning.learn(DECISION, practice, fresh, training, seed)
    rules = tuple(rule.tuned(practice, np.random.default_rng(seed)) for rule in DECISION.rules())
    judged = world(config.evaluation.episodes, 2)
    evidence = judging.judge_in(
        DECISION,
        judged,
        judging.Contest(
            result.best,
            learning.untrained(judged, learning.ppo_config(DECISION, training), seed),
            rules,
            None,
            DECISION.do_nothing,
        ),
        title="generator",
        unit=settings.currency,
        episodes=judged.episodes,
        seed=seed,
        bootstrap=config.evaluation.bootstrap,
    )
    lift = evidence.row("contextual greedy").policy_lift
    assert lift is not None
    last = result.history[-1]
    exactly = world(VISITORS, 3)
    return {
        "ppo_exact": exact(exactly, PolicyActor("PPO", result.best)),
        "myopic_rule_exact": exact(exactly, rules[0]),
        "lift_over_myopic_rule": [lift.value, lift.low, lift.high],
        "ppo_played": evidence.policy.value.value,
        "seconds": last.seconds,
        "steps": last.steps,
    }


def through_calibration(preset: str, seed: int, config: RunConfig) -> dict[str, Any]:
    """Trained, and the myopic rule tuned, on nothing but a log; valued exactly on the truth."""
    settings, rng = DECISION.sample_settings(), np.random.default_rng([seed, 10])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        pq.write_table(DECISION.generate(preset, LOG_DAYS, rng), path)
        log = read_log(path, DECISION.schema, cache=Path(folder) / "cache")
        calibration: Any = calibrating.calibrate(DECISION, log, settings, seed)
    result = learning.learn_from_calibration(DECISION, calibration, settings, config.training, seed)
    rules = calibrating.tuned_rules(DECISION, calibration, settings, seed)
    world: Any = true_world(preset, VISITORS, settings, np.random.default_rng([seed, 11]))
    # Segments, items and categories are numbered alike in the log and in the generator.
    assert calibration.items.ids == world.items.ids
    simulated = judging.judge_in(
        DECISION,
        calibration.judging_world(config.evaluation.episodes, settings, rng),
        judging.Contest(result.best, result.best, rules, None, DECISION.do_nothing),
        title="later part",
        unit=settings.currency,
        episodes=config.evaluation.episodes,
        seed=seed,
        bootstrap=config.evaluation.bootstrap,
    )
    return {
        "ppo_exact": exact(world, PolicyActor("PPO", result.best)),
        "myopic_rule_exact": exact(world, rules[0]),
        "ppo_in_the_judging_simulator": simulated.policy.value.value,
        "fidelity_passed": calibration.fidelity.passed,
        "fitted": {part: dict(getattr(calibration, part).terms) for part in ("earlier", "later")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=None, help="default: the card's")
    arguments = parser.parse_args()
    config = load_config(None, {"decision": "personalization"})
    if arguments.steps:
        steps = {"total_steps": arguments.steps}
        training = TrainingSection(**{**config.training.model_dump(), **steps})
        config = config.model_copy(update={"training": training})
    results: dict[str, Any] = {}
    for name, preset in PRESETS.items():
        settings, rng = PersonalizationSettings(), np.random.default_rng(0)
        table = references(true_world(preset, VISITORS, settings, rng))
        seeds = [one_seed(preset, seed, config) for seed in range(arguments.seeds)]
        values = [run["ppo_exact"] for run in seeds]
        results[name] = {"exact": table, "ppo_minimum": min(values), "per_seed": seeds}
        shown = ", ".join(f"{policy} {value:.4f}" for policy, value in table.items())
        print(f"{name}: {shown}; PPO by seed {[round(value, 4) for value in values]}")
        calibrated = [through_calibration(preset, seed, config) for seed in range(arguments.seeds)]
        results[name]["through_calibration"] = calibrated
        print(
            f"   through calibration: PPO {[round(run['ppo_exact'], 4) for run in calibrated]}, "
            f"myopic rule {[round(run['myopic_rule_exact'], 4) for run in calibrated]}, "
            f"fidelity {[run['fidelity_passed'] for run in calibrated]}"
        )
        for run in seeds:
            low, high = run["lift_over_myopic_rule"][1:]
            print(
                f"   lift over the myopic rule [{low:+.4f}, {high:+.4f}] of ceiling, "
                f"{run['seconds']:.0f} s"
            )
    write_result(
        "personalization_sessions",
        {"seeds": arguments.seeds, "training": config.training.model_dump()},
        results,
    )


if __name__ == "__main__":
    main()
