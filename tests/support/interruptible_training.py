"""A small training as a process of its own: what the kill tests start, stop and start again."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from ppo_marketing.errors import PpoMarketingError
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.signals import stop_on_signals
from ppo_marketing.ppo.train import train
from tests.support.toy_environments import DISCRETE, MatchingEnv

UPDATES = 50
CONFIG = PPOConfig(rollout_steps=8, minibatch_size=32, hidden=(16,), reward_scale="running")


def run(checkpoint: Path | None) -> str:
    """Train to the end and return the SHA-256 of every parameter of the last and best agent."""
    env = MatchingEnv(DISCRETE, masked=True, truncates=True)
    with stop_on_signals() as stop:
        result = train(
            env,
            CONFIG,
            total_steps=UPDATES * CONFIG.rollout_steps * env.num_envs,
            seed=3,
            checkpoint=checkpoint,
            checkpoint_every=1,
            validate=lambda agent: float(agent.arrays()["actor.biases.1"].sum()),
            stop=stop,
        )
    return digest(result.agent) + digest(result.best)


def digest(agent: Agent) -> str:
    """Return a hash of all parameters and statistics, bit for bit."""
    whole = hashlib.sha256()
    for name, array in sorted(agent.arrays().items()):
        whole.update(name.encode() + array.tobytes())
    return whole.hexdigest()


def main(checkpoint: str, output: str) -> None:
    """Train, write the digest to `output`, and exit as the command line would."""
    try:
        Path(output).write_text(run(Path(checkpoint)))
    except PpoMarketingError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
