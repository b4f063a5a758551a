"""P(purchase) in a week as a parametric head, fitted by (weighted) maximum likelihood.

    logit p = base + recency r + frequency f + sum_c drag_c g_c
              + u_a (1 + b f) shape(r) exp(-kappa g_c(a))
    shape(r) = floor + (1 - floor) exp(-((r - centre) / width)^2)

Monotone where theory says: fatigue never helps (drag <= 0, kappa >= 0), past frequency never harms.
Weak normal priors keep what a small log cannot show near no effect; with 100,000 rows they move
nothing by more than a fraction of a standard error. Source: MODELLING 3.1, 6.2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from envs.sequencing.cells import Cells, Counts
from envs.sequencing.panel import FATIGUES, FREQUENCIES, RECENCIES

Floats = NDArray[np.float64]

SHARED = ("base", "recency", "frequency", "uplift_frequency", "kappa", "floor", "centre", "width")
# Of the shared parameters: prior mean, prior standard deviation, bounds.
_PRIOR = {
    "base": (-3.0, 5.0, -12.0, 8.0),
    "recency": (0.0, 1.0, -2.0, 2.0),
    "frequency": (0.3, 1.0, 0.0, 5.0),
    "uplift_frequency": (0.0, 0.2, -0.3, 1.0),
    "kappa": (0.5, 0.5, 0.0, 3.0),
    "floor": (0.5, 0.3, 0.0, 1.0),
    "centre": (RECENCIES / 3, 3.0, -2.0, RECENCIES + 2.0),
    "width": (RECENCIES / 4, 2.0, 0.5, 4.0 * RECENCIES),
}
_DRAG = (0.0, 0.3, -2.0, 0.0)
_UPLIFT = (0.0, 2.0, -4.0, 6.0)


class BuyHead(NamedTuple):
    """Fitted parameters: those of `SHARED`, the drag of channels, the uplift of actions from 1."""

    shared: Floats  # [8]
    drag: Floats  # [C]
    uplift: Floats  # [A - 1]
    covariance: Floats  # of all, in that order

    @property
    def values(self) -> Floats:
        """All parameters in order."""
        return np.concatenate([self.shared, self.drag, self.uplift])

    @property
    def standard_errors(self) -> Floats:
        """Of `values`; robust to the weights."""
        return np.sqrt(np.diag(self.covariance))


def fit_buy_head(
    cells: Cells, counts: Counts, channel: NDArray[np.int64], start: Floats | None = None
) -> BuyHead:
    """Maximum penalised likelihood; `channel [A]` is each action's, -1 for none.

    A channel that never tired anybody in the log has no drag and no dampening (its g is 0).
    """
    channels, actions = cells.fatigue.shape[1], len(channel)
    priors = np.array(
        [*(_PRIOR[name] for name in SHARED), *[_DRAG] * channels, *[_UPLIFT] * (actions - 1)]
    )
    mean, sd, low, high = priors.T
    scale = counts.rows.sum()

    def loss(theta: Floats) -> tuple[float, Floats]:
        logit, slope = _logit(theta, cells, channel)
        p = 1 / (1 + np.exp(-logit))
        value = (counts.rows * np.logaddexp(0, logit) - counts.events * logit).sum()
        gradient = slope.T @ (counts.rows * p - counts.events)
        off = (theta - mean) / sd
        return (value + off @ off / 2) / scale, (gradient + off / sd) / scale

    first = np.clip(mean if start is None else start, low, high)
    if start is None:
        rate = np.clip(counts.events.sum() / counts.rows.sum(), 1e-6, 1 - 1e-6)
        first[0] = np.log(rate / (1 - rate))
        first[-(actions - 1) :] = 0.3  # away from 0, where the uplift's shape has no gradient
    found = minimize(
        loss, first, jac=True, method="L-BFGS-B", bounds=list(zip(low, high, strict=True)),
        options={"maxiter": 2000, "maxfun": 4000, "ftol": 1e-13, "gtol": 1e-9},
    )  # fmt: skip
    theta = found.x
    return BuyHead(
        theta[: len(SHARED)],
        theta[len(SHARED) : len(SHARED) + channels],
        theta[len(SHARED) + channels :],
        _covariance(theta, cells, counts, channel, sd),
    )


def buy_tables(head: BuyHead, channel: NDArray[np.int64]) -> dict[str, Floats]:
    """The head as tables: `base [R, F]`, `drag [C, G]`, `uplift [A, R, F]`, `dampening [C, G]`."""
    p = dict(zip(SHARED, head.shared, strict=True))
    r, f = np.arange(RECENCIES)[:, None], np.arange(FREQUENCIES)[None, :]
    g = np.arange(FATIGUES)
    shape, _ = _shape(p, np.arange(RECENCIES))
    strength = np.concatenate([[0.0], head.uplift])
    reach = (1 + p["uplift_frequency"] * f) * shape[:, None]
    tires = head.drag[:, None] * g
    return {
        "base": p["base"] + p["recency"] * r + p["frequency"] * f,
        "drag": tires,
        "uplift": strength[:, None, None] * reach,
        "dampening": np.exp(-p["kappa"] * g)[None, :].repeat(len(head.drag), axis=0),
    }


def head_probability(head: BuyHead, cells: Cells, channel: NDArray[np.int64]) -> Floats:
    """P(purchase) of every cell, `[m]`."""
    logit, _ = _logit(head.values, cells, channel)
    return np.asarray(1 / (1 + np.exp(-logit)))


def _shape(p: dict[str, float], recency: NDArray[np.int64]) -> tuple[Floats, tuple[Floats, ...]]:
    """The shape, and its derivatives by floor, centre and width."""
    off = (recency - p["centre"]) / p["width"]
    bell = np.exp(-(off**2))
    rest = (1 - p["floor"]) * bell
    by_centre = rest * 2 * off / p["width"]
    return p["floor"] + rest, (1 - bell, by_centre, by_centre * off)


def _logit(theta: Floats, cells: Cells, channel: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The log-odds of every cell `[m]` and their derivatives `[m, parameters]`."""
    m, channels = cells.fatigue.shape
    p = dict(zip(SHARED, theta[: len(SHARED)], strict=True))
    drag = theta[len(SHARED) : len(SHARED) + channels]
    strength = np.concatenate([[0.0], theta[len(SHARED) + channels :]])[cells.action]
    used = np.maximum(channel[cells.action], 0)
    g = cells.fatigue[np.arange(m), used] * (cells.action > 0)
    r, f = cells.recency, cells.frequency
    shape, (by_floor, by_centre, by_width) = _shape(p, r)
    tempered = 1 + p["uplift_frequency"] * f
    rested = np.exp(-p["kappa"] * g)
    push = tempered * shape * rested  # of a unit of strength
    slope = np.zeros((m, len(theta)))
    by_shape = strength * tempered * rested
    slope[:, : len(SHARED)] = np.column_stack([
        np.ones(m), r, f,
        strength * f * shape * rested,
        -g * strength * push,
        by_shape * by_floor, by_shape * by_centre, by_shape * by_width,
    ])  # fmt: skip
    slope[:, len(SHARED) : len(SHARED) + channels] = cells.fatigue
    acted = np.flatnonzero(cells.action > 0)
    slope[acted, len(SHARED) + channels + cells.action[acted] - 1] = push[acted]
    logit = p["base"] + p["recency"] * r + p["frequency"] * f + cells.fatigue @ drag
    return logit + strength * push, slope


def _covariance(
    theta: Floats, cells: Cells, counts: Counts, channel: NDArray[np.int64], sd: Floats
) -> Floats:
    """The sandwich I^-1 M I^-1, prior precision in I; M the outer product of weighted scores."""
    logit, slope = _logit(theta, cells, channel)
    p = 1 / (1 + np.exp(-logit))
    information = (slope * (counts.rows * p * (1 - p))[:, None]).T @ slope + np.diag(1 / sd**2)
    spread = counts.squared_events * (1 - 2 * p) + counts.squared_rows * p**2
    meat = (slope * spread[:, None]).T @ slope + np.diag(1 / sd**2)
    inverse = np.linalg.inv(information)
    return np.asarray(inverse @ meat @ inverse)
