"""Two deciders in the same states: how often they agree, and what goes where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.core.words import Words
from ppo_marketing.explore.answers import Answers, spoken
from ppo_marketing.explore.mix import Mix

Floats = NDArray[np.float64]

SAME_WITHIN = 0.02
"""Amounts within 2 % of each other are the same decision."""


@dataclass(frozen=True)
class Flow:
    """States in which the other does `origin` and the policy `target`; `share` is of all states."""

    origin: str
    target: str
    share: float


@dataclass(frozen=True)
class Beside:
    """How a policy differs from another actor in n states.

    `agreement` is the share of states with the same action. Of amounts `ratio` is the median of
    the policy's amount / the other's, None for choices and where the other sets nothing.
    """

    states: int
    agreement: float
    flows: tuple[Flow, ...]
    ratio: float | None


def side_by_side(mine: Answers, other: Answers, words: Words) -> Beside:
    """Compare what is done in the same states, state by state."""
    n = len(mine.value)
    if mine.chooses:
        same = mine.value == other.value
        pairs, count = np.unique(
            np.column_stack([other.value, mine.value]), axis=0, return_counts=True
        )
        flows = [
            Flow(spoken(origin, words), spoken(target, words), float(number / n))
            for (origin, target), number in zip(pairs.tolist(), count.tolist(), strict=True)
        ]
        return Beside(n, float(same.mean()), _largest_first(flows), None)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(other.value > 0, mine.value / other.value, np.nan)
    lower, higher = ratio < 1 - SAME_WITHIN, ratio > 1 + SAME_WITHIN
    parts = {"less": lower, "as much": ~lower & ~higher & np.isfinite(ratio), "more": higher}
    parts["something, where it sets nothing"] = ~np.isfinite(ratio)
    flows = [Flow("its amount", to, float(part.mean())) for to, part in parts.items() if part.any()]
    known = ratio[np.isfinite(ratio)]
    return Beside(
        n,
        float(parts["as much"].mean()),
        _largest_first(flows),
        float(np.median(known)) if len(known) else None,
    )


def _largest_first(flows: list[Flow]) -> tuple[Flow, ...]:
    return tuple(sorted(flows, key=lambda flow: -flow.share))


def widest_gaps(mine: Mix, other: Mix) -> tuple[tuple[str, float], ...]:
    """Groups by how far the two mixes lie apart in them, widest first.

    Choices: half the sum of |difference of shares|. Amounts: |difference of medians|.
    """
    gaps = []
    for g, group in enumerate(mine.groups):
        if mine.share is not None and other.share is not None:
            gap = 0.5 * float(np.abs(mine.share[g] - other.share[g]).sum())
        else:
            assert mine.quantiles is not None
            assert other.quantiles is not None
            gap = float(abs(mine.quantiles[g, 2] - other.quantiles[g, 2]))
        gaps.append((group, gap))
    return tuple(sorted(gaps, key=lambda pair: -pair[1]))
