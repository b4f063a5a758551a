"""A decision's own generator in the place of a calibration: nothing is fitted, all is quick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from envs.core.decision import Decision
from envs.core.world import World


def without_log(decision: Decision) -> Decision:
    """The card as far as it holds without a log: none wrote it, none named its columns."""
    words = decision.words
    return replace(
        decision,
        logging_rule=lambda calibration: None,
        words=None if words is None else lambda calibration, world: words(None, world),
    )


@dataclass(frozen=True)
class Truth:
    """What a stage and an explorer ask a calibration for, answered by the generator."""

    decision: Decision
    preset: str
    members: int = 2

    def training_world(self, episodes: int, settings: Any, rng: Generator) -> World[Any]:
        return self.decision.true_world(self.preset, episodes, settings, rng)

    judging_world = training_world

    def history_world(self, settings: Any) -> World[Any]:
        return self.training_world(6, settings, np.random.default_rng(0))

    def heldout_world(self, settings: Any) -> None:
        return None

    def heldout_decisions(self, settings: Any) -> None:
        return None

    def member_worlds(self, episodes: int, settings: Any, rng: Generator) -> Sequence[World[Any]]:
        return [self.training_world(episodes, settings, rng) for _ in range(self.members)]
