"""3. Ten statistics of the later weeks against the simulator's own repetitions of them.

A repetition, judged by the others, has fewer than eight statistics in [.05, .95] one time in eight:
several say the same twice (customers without a purchase and the revenue share of the top tenth
correlate by 1.0 where baskets are alike). How many may lie outside is therefore read off the
repetitions, and what a count overlooks is asked jointly (ADR 11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from envs.core.fidelity import SIGNIFICANCE, Check

Floats = NDArray[np.float64]

STATISTICS_NEEDED = 8
"""Of the ten statistics, how many must have a posterior predictive p in [.05, .95]."""

_SAME = 0.001
"""Directions with less of the repetitions' variance (in correlations) repeat what others say."""


def predictive_checks(
    truth: Mapping[str, float], drawn: Sequence[Mapping[str, float]]
) -> tuple[tuple[Check, ...], list[str]]:
    """The count of statistics inside, and their joint distance; what lies outside as a note."""
    names = list(truth)
    observed = np.array([truth[name] for name in names])
    draws = np.array([[draw[name] for name in names] for draw in drawn])
    p = predictive_p(observed, draws)
    outside = [f"{n} (p = {q:.2f})" for n, q in zip(names, p, strict=True) if not _inside(q)]
    needed = count_allowed(draws)
    checks = (
        Check(
            name="posterior predictive statistics", value=float(_inside(p).sum()),
            low=float(needed), high=float(len(names)), n=len(names), unit="statistics",
            meaning="How many statistics of the later weeks lie within 90 % of the simulated ones; "
            f"at least {STATISTICS_NEEDED}, or what 99 % of the simulator's own repetitions reach.",
        ),
        Check(
            name="posterior predictive, jointly", value=joint_p(observed, draws),
            low=SIGNIFICANCE, high=1.0, n=len(draws), unit="repetitions",
            meaning="The chance that a repetition of the simulator lies as far from the others as "
            "the later weeks do, all statistics together.",
        ),
    )  # fmt: skip
    return checks, [f"posterior predictive, outside 90 %: {', '.join(outside)}"] if outside else []


def predictive_p(observed: Floats, draws: Floats) -> Floats:
    """P(draw < observed) + P(draw = observed) / 2 of each statistic, `[S]` from `[D, S]`."""
    return np.asarray((draws < observed).mean(axis=0) + (draws == observed).mean(axis=0) / 2)


def count_allowed(draws: Floats) -> int:
    """How many statistics must be inside: 8, or fewer where 1 % of the draws themselves have fewer.

    Every draw of `[D, S]` is judged by the D - 1 others.
    """
    counts = [
        int(_inside(predictive_p(draw, np.delete(draws, i, axis=0))).sum())
        for i, draw in enumerate(draws)
    ]
    quantile = np.quantile(counts, SIGNIFICANCE, method="inverted_cdf")
    return min(STATISTICS_NEEDED, int(quantile))


def joint_p(observed: Floats, draws: Floats) -> float:
    """Hotelling's prediction test of `observed [S]` against `draws [D, S]`.

    T^2 = d' S^-1 d over the directions that are not repetitions, D (D - q) / (q (D^2 - 1)) T^2
    ~ F(q, D - q). Source: Hahn and Meeker, Statistical Intervals, 1991.
    """
    spread = draws.std(axis=0, ddof=1)
    told = spread > 0
    if not told.any():
        return float(np.array_equal(observed, draws[0]))
    scaled = (draws[:, told] - draws[:, told].mean(axis=0)) / spread[told]
    distance = (observed[told] - draws[:, told].mean(axis=0)) / spread[told]
    variance, direction = np.linalg.eigh(np.cov(scaled.T).reshape(told.sum(), told.sum()))
    kept = variance > _SAME * variance.sum()
    squared = float(((distance @ direction[:, kept]) ** 2 / variance[kept]).sum())
    n, q = len(draws), int(kept.sum())
    return float(f_distribution.sf(squared * n * (n - q) / (q * (n**2 - 1)), q, n - q))


def _inside(p: Floats) -> NDArray[np.bool_]:
    return np.asarray((p >= 0.05) & (p <= 0.95))
