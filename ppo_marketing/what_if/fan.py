"""How far a scenario's course may lie from its middle: over draws and simulator members."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.evaluation import played_steps
from ppo_marketing.what_if.scenarios import Named, built
from ppo_marketing.what_if.stage import Stage

Floats = NDArray[np.float64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
DRAWS = 10
"""Groups of episodes of every member: with five members the 5 % quantile rests on 50 paths."""
MOST_POINTS = 50


@dataclass(frozen=True, eq=False)
class Fan:
    """A KPI so far, an episode's mean, along the course of an episode.

    `paths [P, X]` are the means over one draw of one member, `P` = members x draws; `bands [5, X]`
    their quantiles at 5, 25, 50, 75 and 95 %. `x` counts steps; episodes, where an episode has one
    step only.
    """

    scenario: Named
    kpi: str
    x: Floats
    along: str
    paths: Floats
    bands: Floats
    draws: int
    members: int


def fan(stage: Stage, scenario: Named, kpi: str | None = None, *, draws: int = DRAWS) -> Fan:
    """Play the scenario in every member's market and group its episodes into `draws`."""
    what = kpi or stage.decision.value_kpi
    episodes = stage.member_episodes
    draws = min(draws, episodes)
    paths = []
    change = built(stage.decision, scenario)
    for member in stage.members():
        world = member.under(change)
        steps = np.array(
            [
                step.outcome.kpis[what]
                for step in played_steps(stage.policy, world, episodes, stage.seed)
            ]
        )  # [T, n]
        paths.append(_courses(steps, world.horizon, draws))
    along = stage.decision.step if stage.world.horizon > 1 else stage.decision.episode
    together = np.concatenate(_as_long([*paths]))
    x = np.arange(1, together.shape[1] + 1, dtype=np.float64)
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).astype(int))
    together = together[:, chosen]
    return Fan(
        scenario=scenario,
        kpi=what,
        x=x[chosen],
        along=along,
        paths=together,
        bands=np.quantile(together, QUANTILES, axis=0),
        draws=draws,
        members=len(paths),
    )


def _courses(steps: Floats, horizon: int, draws: int) -> Floats:
    """Amounts `[T, n]` as running means of `draws` groups of episodes, `[draws, X]`."""
    episodes = steps.shape[1] // draws * draws
    grouped = steps[:, :episodes].reshape(len(steps), draws, -1)  # [T, draws, episodes of a draw]
    if horizon > 1:
        return np.asarray(np.cumsum(grouped.mean(axis=2), axis=0).T)
    return np.asarray(np.cumsum(grouped[0], axis=1))


def _as_long(paths: list[Floats]) -> list[Floats]:
    """Paths as long as the longest: where every episode has ended nothing is added."""
    longest = max(path.shape[1] for path in paths)
    return [np.pad(path, ((0, 0), (0, longest - path.shape[1])), mode="edge") for path in paths]
