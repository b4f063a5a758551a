"""Does the realised KL stay at its target? Every decision and every region that follows a KL.

The mean over the last half of training of each update's KL (k3, nats) beside the target. The bar
is on the proportional penalty; the paper's doubling schedule and the steered clip are shown too.

    python -m benchmarks.kl_target
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.report import write_result
from envs import decision_names, load_decision
from envs.core.decision import Decision
from envs.core.vector import WorldVectorEnv
from ppo_marketing.config import TrainingSection, load_config
from ppo_marketing.pipeline import learning
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.train import train

TARGETS = (0.005, 0.02)
JUDGED = "kl_penalty, proportional"
REGIONS: dict[str, dict[str, Any]] = {
    JUDGED: {"kind": "kl_penalty", "schedule": "proportional"},
    "kl_penalty, doubling": {"kind": "kl_penalty", "schedule": "doubling"},
    "steered_clip": {"kind": "steered_clip"},
}
BAR = 0.25


def realised(decision: Decision, region: str, target: float, seed: int, updates: int) -> float:
    """Train on the generator's own market; return the mean KL of the last half of the updates."""
    training = load_config(None, {"decision": decision.name}).training
    config = _config(decision, training, {**REGIONS[region], "target_kl": target})
    world = decision.true_world(
        decision.presets[0],
        min(training.episodes, 4000),
        decision.sample_settings(),
        np.random.default_rng([seed, 40]),
    )
    steps = updates * config.rollout_steps * training.copies
    env = WorldVectorEnv(world, training.copies)
    history = train(env, config, total_steps=steps, seed=seed).history
    return float(np.mean([row.learning.kl for row in history[len(history) // 2 :]]))


def _config(decision: Decision, training: TrainingSection, region: dict[str, Any]) -> PPOConfig:
    changed = {**training.ppo, "trust_region": region}
    return learning.ppo_config(decision, training.model_copy(update={"ppo": changed}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=200)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for name in decision_names():
        for region in REGIONS:
            for target in TARGETS:
                found = [
                    realised(load_decision(name), region, target, seed, arguments.updates)
                    for seed in range(arguments.seeds)
                ]
                ratios = [round(kl / target, 3) for kl in found]
                within = all(abs(ratio - 1) <= BAR for ratio in ratios)
                results[f"{name}, {region}, {target} nats"] = {
                    "realised_over_target": ratios,
                    "within_a_quarter": within,
                }
                print(name, region, target, ratios, "ok" if within else "OUTSIDE", flush=True)
    write_result("kl_target", {**vars(arguments), "bar": BAR}, results)
    if not all(row["within_a_quarter"] for title, row in results.items() if JUDGED in title):
        raise SystemExit(f"{JUDGED} left its target by more than a quarter: see above")


if __name__ == "__main__":
    main()
