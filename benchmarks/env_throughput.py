"""Environment steps a second of the native vector environments, beside Gymnasium's own looping.

One process, one thread, actions given: the cost of the environment alone. Writes the medians and
the ratio to Gymnasium's SyncVectorEnv over single environments to results/env_throughput.json.
"""

from __future__ import annotations

import statistics
import time

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

import envs
from benchmarks.report import write_result

COPIES = (64, 256, 1024, 4096)
STEPS = 400_000
REPEATS = 5


def steps_per_second(env: VectorEnv, steps: int) -> float:
    """Median over repeats, the first (which compiles) left out."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    actions = np.stack([env.action_space.sample() for _ in range(8)])
    rates = []
    for _ in range(REPEATS + 1):
        calls = max(1, steps // env.num_envs)
        order = rng.integers(0, len(actions), calls)
        began = time.perf_counter()
        for choice in order:
            env.step(actions[choice])
        rates.append(calls * env.num_envs / (time.perf_counter() - began))
    return statistics.median(rates[1:])


def main() -> None:
    rows = {}
    for name in envs.decision_names():
        env_id = envs.load_decision(name).env_id
        row = {
            f"native, {n} copies": steps_per_second(
                gymnasium.make_vec(env_id, num_envs=n, days=256, reuse=True), STEPS
            )
            for n in COPIES
        }
        looped = gymnasium.make_vec(env_id, num_envs=8, vectorization_mode="sync")
        row["Gymnasium's SyncVectorEnv, 8 copies"] = steps_per_second(looped, 4_000)
        rows[env_id] = {what: round(rate) for what, rate in row.items()}
        for what, rate in row.items():
            print(f"{env_id:<28}{what:<40}{rate:>14,.0f} steps/s")
    write_result("env_throughput", {"steps": STEPS, "repeats": REPEATS}, rows)


if __name__ == "__main__":
    main()
