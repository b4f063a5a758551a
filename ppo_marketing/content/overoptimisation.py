"""The curve of gold against distance: rising, then falling where the proxy is believed too far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

Form = Literal["rl", "best_of_n"]


@dataclass(frozen=True)
class GaoFit:
    """R(d) = d (α - β log d) for RL, d (α - β d) for best-of-n; d = √KL, R(0) = 0.

    R is the gold score over the reference's mean. Beyond `peak` more optimisation loses gold.
    """

    form: Form
    alpha: float
    beta: float
    r_squared: float

    def at(self, distance: Array) -> Array:
        """Return R at distances d = √nats; 0 at 0."""
        d = np.asarray(distance, np.float64)
        if self.form == "best_of_n":
            return np.asarray(d * (self.alpha - self.beta * d))
        return np.asarray(d * (self.alpha - self.beta * _log(d)))

    @property
    def peak(self) -> float | None:
        """The distance √nats of the largest R: e^(α/β - 1), or α / 2β; None where R never falls."""
        if self.beta <= 0:
            return None
        if self.form == "best_of_n":
            return self.alpha / (2.0 * self.beta)
        return math.exp(self.alpha / self.beta - 1.0)


def gao_fit(kl: Array, gold: Array, form: Form = "rl") -> GaoFit:
    """Fit the form by least squares to `gold [n]` over the reference at `kl [n]` nats.

    Linear in α and β, so that the fit is one solution, without a starting point. R² is
    1 - Σ(R - fit)² / Σ(R - mean R)²: against the best constant, so that it can be negative.

    Source: Gao, Schulman and Hilton 2023, equation 1.

    Raises:
        ValueError: fewer than three distances, or one is negative.
    """
    d = np.sqrt(np.asarray(kl, np.float64))
    reward = np.asarray(gold, np.float64)
    if len(np.unique(d)) < 3 or not np.isfinite(d).all():
        raise ValueError("the form needs at least three different KLs, none negative")
    shape = d if form == "best_of_n" else _log(d)
    design = np.column_stack([d, -d * shape])
    (alpha, beta), *_ = np.linalg.lstsq(design, reward, rcond=None)
    residual = reward - design @ np.array([alpha, beta])
    total = ((reward - reward.mean()) ** 2).sum()
    r_squared = 1.0 - float((residual**2).sum() / total) if total > 0 else 0.0
    return GaoFit(form, float(alpha), float(beta), r_squared)


def held_out_peak(scores: Sequence[float], patience: int | None = None) -> tuple[int, bool]:
    """Return the place of the best held-out score, and whether to stop there.

    To stop is said once `patience` later scores did not beat it; never where patience is None. The
    place is chosen by the very scores that name it, so report another sample's score for it.
    """
    best = int(np.argmax(scores))
    waited = len(scores) - 1 - best
    return best, patience is not None and waited >= patience


def _log(d: Array) -> Array:
    """log d, and 0 at 0, where it is only ever multiplied by 0."""
    return np.log(np.where(d > 0, d, 1.0))
