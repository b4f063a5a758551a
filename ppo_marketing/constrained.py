"""A vector environment that charges for what is limited, at a price that follows the use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from numpy.typing import NDArray

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.constraint import PIDLagrangian
from ppo_marketing.ppo.run import Resumable

Array = NDArray[Any]


class PricedVectorEnv(VectorWrapper):
    """The same copies, their rewards less the price of the limited amounts in `infos["kpis"]`.

    The price is adjusted whenever as many episodes have ended as there are copies, by what those
    episodes used. It is part of the environment's state: whatever learns in it, and a training that
    is resumed, meet the same prices.

    `paid` keeps, for every adjustment, (J / limit - 1, the new price).
    """

    def __init__(self, env: VectorEnv, constraint: PIDLagrangian) -> None:
        super().__init__(env)
        self.constraint = constraint
        self.paid: list[tuple[float, float]] = []
        self._running = np.zeros((env.num_envs, len(constraint.kpis)))
        self._ended: list[Array] = []

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Advance every copy; rewards are `constraint.priced`."""
        observation, reward, terminated, truncated, info = self.env.step(actions)
        amounts = self._amounts(info)
        self._running += amounts
        reward = self.constraint.priced(reward, amounts)
        ended = terminated | truncated
        if ended.any():
            self._ended.append(self._running[ended].copy())
            self._running[ended] = 0.0
            if sum(map(len, self._ended)) >= self.num_envs:
                self._adjust(np.concatenate(self._ended))
        return observation, reward, terminated, truncated, info

    def _adjust(self, totals: Array) -> None:
        violation = self.constraint.violation(totals)
        self.constraint = self.constraint.updated(totals)
        self.paid.append((violation, self.constraint.price))
        self._ended.clear()

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
            "running": self._running.copy(),
            "ended": [totals.copy() for totals in self._ended],
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        cast("Resumable", self.env).load_state_dict(saved["copies"])
        self.constraint = replace(self.constraint, **saved["constraint"])
        self.paid = [(violation, price) for violation, price in saved["paid"]]
        self._running = np.array(saved["running"])
        self._ended = [np.array(totals) for totals in saved["ended"]]
