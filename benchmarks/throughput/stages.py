"""CPU-seconds of one million steps, stage by stage, with our own defaults.

The environment pays regrets, as in a training. CPU-seconds count every core that was busy, so
that a second thread does not make a stage look cheaper.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.throughput.market import SHIPPED, make_world, shipped_config
from envs.core.vector import RegretVectorEnv
from envs.core.world import Array
from ppo_marketing.ppo.advantages import gae
from ppo_marketing.ppo.fused.crew import Crew
from ppo_marketing.ppo.rollout import Buffers, Rollout, collect
from ppo_marketing.ppo.run import start_run
from ppo_marketing.ppo.threads import single_threaded
from ppo_marketing.ppo.update import ppo_update

STAGES = ("environment", "policy", "advantages", "update")
WARM_UP = 5  # updates
UPDATES = 60


class TimedEnv(RegretVectorEnv):
    """Counts the CPU-seconds of its own steps."""

    seconds = 0.0

    def step_into(self, *arrays: Array) -> Array | None:
        """Step, and count."""
        began = time.process_time()
        mask = super().step_into(*arrays)
        self.seconds += time.process_time() - began
        return mask


def cpu_seconds() -> dict[str, float]:
    """CPU-seconds of a million steps by stage; medians over updates.

    `policy` is the whole rollout but for the environment: acting, valuing, noise and checks.
    """
    config = shipped_config()
    env = TimedEnv(make_world(SHIPPED.episodes), SHIPPED.copies)
    rows = config.rollout_steps * env.num_envs
    spent: dict[str, list[float]] = {stage: [] for stage in STAGES}
    with single_threaded(), Crew() as crew:
        run = start_run(env, config, 0, None, None)
        room = Buffers(config.rollout_steps, env.num_envs, run.agent.observation_size)
        for _ in range(WARM_UP + UPDATES):
            env.seconds = 0.0
            began = time.process_time()
            rollout, run.position = collect(
                env, run.agent, run.position, config.rollout_steps, run.rng, buffers=room,
                crew=crew,
            )  # fmt: skip
            gathered = time.process_time()
            _advantages(rollout, config)
            estimated = time.process_time()
            ppo_update(
                run.agent, run.optimizer, rollout, run.region, config, rng=run.rng,
                reward_factor=float(config.reward_scale), crew=crew,
            )  # fmt: skip
            # The update estimates advantages itself, once; its share was measured just before.
            updated = time.process_time() - (estimated - gathered)
            for stage, seconds in zip(
                STAGES,
                (
                    env.seconds,
                    gathered - began - env.seconds,
                    estimated - gathered,
                    updated - estimated,
                ),
                strict=True,
            ):
                spent[stage].append(seconds / rows * 1e6)
    return {stage: statistics.median(found[WARM_UP:]) for stage, found in spent.items()}


def _advantages(rollout: Rollout, config: Any) -> Array:
    return gae(
        rollout.reward,
        rollout.value,
        rollout.next_value,
        rollout.terminated,
        rollout.ended,
        gamma=config.gamma,
        lam=config.gae_lambda,
        reward_factor=float(config.reward_scale),
    )
