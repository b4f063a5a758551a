"""How much of a log speaks of a policy: what importance weights say before any estimate does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ppo_marketing.ope.feedback import Decisions, Floats
from ppo_marketing.ope.terms import Terms, influence, standard_error

TOP = 0.01
"""The share of impressions whose part of all weight is told."""


@dataclass(frozen=True)
class Diagnostics:
    """Weights w = π / p of a log; v impressions a row, and N = Σ v.

    | field                 | meaning       |
    |-----------------------|---------------|
    | `effective_n`         | (Σ v w)² / Σ v w², Kish's effective sample size |
    | `effective_units`     | (Σ_g W_g)² / Σ_g W_g², W_g = Σ v w of a unit |
    | `mean_weight`         | Σ v w / N: 1 where propensities are right and support is complete |
    | `mean_weight_error`   | its standard error, units independent |
    | `largest_weight`      | max w |
    | `top_share`           | share of Σ v w in the 1 % of impressions with the largest weights |
    | `tail_index`          | Hill's: above 1/2 weights have no variance; None without a tail |
    | `unsupported`         | share of target mass that the log hardly has; None: unknown |
    | `positives`           | impressions with r > 0 |
    | `effective_positives` | impressions with w r > 0: rewards that the target can have |
    | `positive_ess`        | (Σ v w r)² / Σ v (w r)² over those: how many carry the estimate |

    Sources: Kish 1965; Hill 1975; Vehtari et al. 2024 on what a tail index means for weights.
    """

    rows: int
    impressions: float
    units: int
    effective_n: float
    effective_units: float
    mean_weight: float
    mean_weight_error: float
    largest_weight: float
    top_share: float
    tail_index: float | None
    unsupported: float | None
    positives: float
    effective_positives: float
    positive_ess: float


class Tail(NamedTuple):
    """How the largest weights carry the rest."""

    top_share: float
    hill: float | None


def diagnose(decisions: Decisions) -> Diagnostics:
    """Everything that `Diagnostics` names."""
    w, v, r = decisions.ratio, decisions.weight, decisions.reward
    gains = np.where(r > 0, w * r, 0.0)
    tail = weight_tail(w, v)
    return Diagnostics(
        rows=len(w),
        impressions=decisions.impressions,
        units=decisions.units,
        effective_n=kish(w, v),
        effective_units=kish(w, v) if decisions.unit is None else kish(decisions.by_unit(w)),
        mean_weight=decisions.mean(w),
        mean_weight_error=standard_error(
            influence(Terms(np.zeros_like(w), w), decisions), decisions
        ),
        largest_weight=float(w.max()),
        top_share=tail.top_share,
        tail_index=tail.hill,
        unsupported=None
        if decisions.unsupported is None
        else decisions.mean(decisions.unsupported),
        positives=float(v[r > 0].sum()),
        effective_positives=float(v[gains > 0].sum()),
        positive_ess=kish(gains, v),
    )


def kish(weights: Floats, counts: Floats | None = None) -> float:
    """(Σ v w)² / Σ v w² of weights `[n]` that stand for `counts` v each; 0 where all are 0."""
    v = np.ones_like(weights) if counts is None else counts
    squares = float(v @ weights**2)
    return float(v @ weights) ** 2 / squares if squares > 0 else 0.0


def weight_tail(weights: Floats, counts: Floats) -> Tail:
    """The share of the top percent, and Hill's index of the top min(N / 5, 3 √N) impressions.

    Index = mean of log(w_i / w_k) over the k largest, w_k the next one: 0 of equal weights; of
    w with P(w > x) ~ x^-a it tends to 1 / a.

    Source: Hill 1975; the size of the tail from Vehtari et al. 2024.
    """
    order = np.argsort(-weights, kind="stable")
    w, v = weights[order], counts[order]
    seen, total = np.cumsum(v), np.cumsum(v * w)
    n = seen[-1]
    if not total[-1] > 0:
        return Tail(0.0, None)
    top = float(np.interp(TOP * n, np.r_[0.0, seen], np.r_[0.0, total]) / total[-1])
    k = int(np.searchsorted(seen, math.ceil(min(n / 5, 3 * math.sqrt(n)))))
    if not 0 < k + 1 < len(w) or not w[k + 1] > 0:
        return Tail(top, None)
    logs = np.log(w[: k + 1] / w[k + 1])
    return Tail(top, float(v[: k + 1] @ logs / v[: k + 1].sum()))
