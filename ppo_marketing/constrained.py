"""A vector environment that charges for what is limited, at a price that follows the use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from numpy.typing import NDArray

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.constraint import PIDLagrangian

if TYPE_CHECKING:
    from ppo_marketing.ppo.run import Resumable  # with it comes torch

Array = NDArray[Any]


BEYOND_LIMIT = -1000.0
"""Below any share of a ceiling: what validation gives to a policy that breaks the limit, less by
how much."""
EVERY = 32
"""Steps between two adjustments of a price: PPO's default rollout, so that an update is paid at one
price and each new price is learned from before the next."""
FARTHEST = 1e6
"""What stands for an infinite distance, a CPA without a purchase: kept scores are JSON."""


def score_beyond(violation: float) -> float:
    """The validation score of a policy that uses (1 + `violation`) times the limit."""
    return BEYOND_LIMIT - min(violation, FARTHEST)


def keeps_limit(score: float) -> bool:
    """Whether a validation score is a share of the ceiling, not a distance beyond the limit."""
    return score > BEYOND_LIMIT


def share_of(score: float | None) -> float | None:
    """The share of the ceiling that a validation score is; None beyond the limit or of none."""
    return score if score is not None and keeps_limit(score) else None


def as_shares(scores: Sequence[float]) -> Array:
    """Validation scores `[n]` where they are shares of the ceiling, NaN beyond the limit."""
    return np.array([score if keeps_limit(score) else np.nan for score in scores])


def shares_of(points: Mapping[int, float]) -> dict[int, float]:
    """The points of a validation curve that are shares of the ceiling, by steps."""
    return {step: score for step, score in points.items() if keeps_limit(score)}


def mean_score(scores: Sequence[float]) -> float:
    """The validation score of several trainings together.

    The mean of their shares; where one is beyond the limit they all count as beyond it, by the mean
    of the distances, those within it at 0, so that no mean lies between a distance and a share.
    """
    if all(map(keeps_limit, scores)):
        return sum(scores) / len(scores)
    return BEYOND_LIMIT - sum(max(0.0, BEYOND_LIMIT - score) for score in scores) / len(scores)


class PricedVectorEnv(VectorWrapper):
    """The same copies, their rewards less the price of the limited amounts in `infos["kpis"]`.

    The price is adjusted every `every` steps, once as many episodes have ended as there are copies:

        J = mean amount of a step over the last max(H, every) steps x H,  H = mean steps an episode

    so that long episodes need not end for the price to follow, and it stays the same in between. It
    is part of the environment's state: a training that is resumed meets the same prices.

    `paid` keeps, for every adjustment, (J / limit - 1, the new price).
    """

    def __init__(self, env: VectorEnv, constraint: PIDLagrangian, every: int = EVERY) -> None:
        super().__init__(env)
        self.constraint, self.every = constraint, every
        self.paid: list[tuple[float, float]] = []
        self._steps = 0
        self._used: list[Array] = []  # mean amounts of a copy, for each step of the window
        self._age = np.zeros(env.num_envs, np.int64)  # steps of the running episodes
        self._ended: list[Array] = []  # steps of episodes since `_episode_steps` was measured
        self._episode_steps: float | None = None

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Advance every copy; rewards are `constraint.priced`."""
        observation, reward, terminated, truncated, info = self.env.step(actions)
        amounts = self._amounts(info)
        reward = self.constraint.priced(reward, amounts)
        self._steps += 1
        self._used.append(amounts.mean(axis=0))
        self._measure_episodes(terminated | truncated)
        if self._episode_steps is not None and self._steps % self.every == 0:
            self._adjust(self._episode_steps)
        return observation, reward, terminated, truncated, info

    def _measure_episodes(self, ended: Array) -> None:
        self._age += 1
        if ended.any():
            self._ended.append(self._age[ended])
            self._age[ended] = 0
            if sum(map(len, self._ended)) >= self.num_envs:
                self._episode_steps = float(np.concatenate(self._ended).mean())
                self._ended.clear()

    def _adjust(self, episode_steps: float) -> None:
        del self._used[: -max(self.every, round(episode_steps))]
        totals = np.mean(self._used, axis=0, keepdims=True) * episode_steps
        violation = self.constraint.violation(totals)
        self.constraint = self.constraint.updated(totals)
        self.paid.append((violation, self.constraint.price))

    def _amounts(self, info: Mapping[str, Any]) -> Array:
        kpis = info.get("kpis", {})
        missing = [name for name in self.constraint.kpis if name not in kpis]
        if missing:
            raise UserError(
                f"the limit is on {', '.join(missing)}, which the environment does not tell in "
                f"info['kpis']; it tells {', '.join(kpis) or 'nothing'}"
            )
        return np.stack([kpis[name] for name in self.constraint.kpis], axis=1)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "copies": cast("Resumable", self.env).state_dict(),
            "constraint": asdict(self.constraint),
            "paid": list(self.paid),
            "steps": self._steps,
            "used": [amounts.copy() for amounts in self._used],
            "age": self._age.copy(),
            "ended": [steps.copy() for steps in self._ended],
            "episode_steps": self._episode_steps,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        cast("Resumable", self.env).load_state_dict(saved["copies"])
        self.constraint = replace(self.constraint, **saved["constraint"])
        self.paid = [(violation, price) for violation, price in saved["paid"]]
        self._steps = saved["steps"]
        self._used = [np.array(amounts) for amounts in saved["used"]]
        self._age = np.array(saved["age"])
        self._ended = [np.array(steps) for steps in saved["ended"]]
        self._episode_steps = saved["episode_steps"]
