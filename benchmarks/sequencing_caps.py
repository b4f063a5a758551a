"""PPO under frequency caps with a planned end, beside every tuned rule; the built-in customers.

A year that ends in the terminal value, at most one e-mail in 14 days and one letter in 28. Caps
make the state larger than the tables' 520, so nobody is judged exactly: everyone plays the same
4,000 fresh customers. The ceiling relaxes the caps.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.report import write_result
from envs.sequencing import DECISION
from envs.sequencing.env import make_world
from envs.sequencing.world import SequencingWorld
from ppo_marketing.config import TrainingSection
from ppo_marketing.pipeline import judging, learning

CAPS = {"email": (1, 14), "letter": (1, 28)}
JUDGED = 4000


def customers(n: int, seed: int) -> SequencingWorld:
    """`n` fresh customers of a capped year."""
    return make_world(
        days=n, world_seed=seed, caps=CAPS, end="terminal value", horizon_weeks=52,
        terminal_weeks=52,
    )  # fmt: skip


def one_seed(seed: int, training: TrainingSection) -> dict[str, Any]:
    """Tune, train and judge on different customers."""
    world, judged = customers(training.episodes, 4 * seed), customers(JUDGED, 4 * seed + 1)
    validation = customers(training.validation_episodes, 4 * seed + 2)
    history = customers(4000, 4 * seed + 3)
    rng = np.random.default_rng(seed)
    rules = [rule.tuned(history, rng) for rule in DECISION.rules()]
    result = learning.learn(DECISION, world, validation, training, seed)
    start = learning.untrained(world, learning.ppo_config(DECISION, training), seed)
    evidence = judging.judge_in(
        DECISION,
        judged,
        judging.Contest(result.best, start, rules, None, DECISION.do_nothing),
        title="capped year",
        unit=world.settings.currency,
        episodes=JUDGED,
        seed=seed,
        bootstrap=2000,
    )
    lift = evidence.row(evidence.best_rule).policy_lift
    assert lift is not None
    return {
        "share_of_ceiling": {
            row.name: round(row.share_of_ceiling.value, 4) for row in evidence.rows
        },
        "best_rule": evidence.best_rule,
        "lift_over_best_rule": [round(x, 4) for x in (lift.value, lift.low, lift.high)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    training = TrainingSection(**DECISION.run_defaults["training"])
    rows = []
    for seed in range(arguments.seeds):
        rows.append(one_seed(seed, training))
        print(seed, rows[-1], flush=True)
    config = {"caps": CAPS, "customers": JUDGED, "training": training.model_dump()}
    write_result("sequencing_caps", config, {"per_seed": rows})


if __name__ == "__main__":
    main()
