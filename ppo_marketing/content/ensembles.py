"""Several reward models as one score that is harder to fool than any of them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

Combination = Literal["mean", "worst", "uncertainty"]


def combined(scores: Array, how: Combination, penalty: float = 0.0) -> Array:
    """Return one score a text of the members' scores `[members, n]`.

    | how           | score                                                          |
    |---------------|----------------------------------------------------------------|
    | "mean"        | mean over members                                              |
    | "worst"       | the lowest member's                                            |
    | "uncertainty" | mean - λ variance (population), λ = `penalty`                  |

    Members must share a scale: normalise each on the reference's texts first.

    Source: Coste et al. 2024, section 4 (mean, WCO, UWO).
    """
    if how == "mean":
        return np.asarray(scores.mean(axis=0))
    if how == "worst":
        return np.asarray(scores.min(axis=0))
    return np.asarray(scores.mean(axis=0) - penalty * scores.var(axis=0))


def disagreement(scores: Array) -> Array:
    """Return the population deviation of the members' scores `[members, n]`, a text each."""
    return np.asarray(scores.std(axis=0))
