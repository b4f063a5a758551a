"""What a marketing team fits to its own log: per-item regressions, and policies by weighting.

Each is a pure function of logged rows; z = (1, x) is the context with an intercept. Rows are
weighted by the impressions they stand for; positions are left to the calibration (rules rank items,
and a log that shows items on random positions ranks them alike).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from envs.personalization.model import CELLS_AT_ONCE, Floats, LoggedRows, sigmoid

NEWTON_STEPS = 8
ITEM_SD = 0.5  # how far items' intercepts are taken to differ, in logits


class Ridge(NamedTuple):
    """One linear regression an item: reward ~ theta_a . z, and (Z'WZ + penalty I)^-1."""

    theta: Floats  # [A, D + 1]
    inverse: Floats  # [A, D + 1, D + 1]


def with_intercept(x: NDArray[np.floating]) -> Floats:
    """z = (1, x): `[n, D]` -> `[n, D + 1]`."""
    return np.column_stack([np.ones(len(x)), x.astype(np.float64)])


def groups_of(rows: LoggedRows, items: int) -> list[NDArray[np.intp]]:
    """The rows of every item."""
    order = np.argsort(rows.item, kind="stable")
    edges = np.searchsorted(rows.item[order], np.arange(1, items))
    return np.split(order, edges)


def ridge(rows: LoggedRows, items: int, penalty: float) -> Ridge:
    """theta_a = (Z'WZ + penalty I)^-1 Z'W r over the rows of item a (disjoint LinUCB's).

    Source: Li et al. 2010, algorithm 1.
    """
    z = with_intercept(rows.x)
    size = z.shape[1]
    gram = np.tile(penalty * np.eye(size), (items, 1, 1))
    moment = np.zeros((items, size))
    for item, mine in enumerate(groups_of(rows, items)):
        weighted = z[mine] * rows.weight[mine, None]
        gram[item] += weighted.T @ z[mine]
        moment[item] = weighted.T @ rows.reward[mine]
    inverse: Floats = np.asarray(np.linalg.inv(gram), np.float64)
    return Ridge(np.einsum("aij,aj->ai", inverse, moment), inverse)


def logistic(rows: LoggedRows, items: int, penalty: float) -> Floats:
    """Coefficients `[A, D + 1]` of logit P(reward | x, a) = beta_a . z, by Newton's method.

    Intercepts are drawn to the pooled rate (with deviation `ITEM_SD`), interactions to zero
    (`penalty` = 1 / variance), so that an item hardly ever shown is taken for an average one.
    """
    z = with_intercept(rows.x)
    rate = float(np.average(rows.reward, weights=rows.weight))
    base = np.log(max(rate, 1e-9) / max(1 - rate, 1e-9))
    precision = np.full(z.shape[1], penalty)
    precision[0] = 1 / ITEM_SD**2
    beta = np.zeros((items, z.shape[1]))
    for item, mine in enumerate(groups_of(rows, items)):
        if len(mine):
            beta[item] = _newton(z[mine], rows.reward[mine], rows.weight[mine], base, precision)
    beta[:, 0] += base
    return beta


def _newton(z: Floats, reward: Floats, weight: Floats, base: float, precision: Floats) -> Floats:
    beta = np.zeros(z.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = sigmoid(base + z @ beta)
        slope = z.T @ (weight * (reward - chance)) - precision * beta
        curvature = (z * (weight * chance * (1 - chance))[:, None]).T @ z + np.diag(precision)
        change = np.linalg.solve(curvature, slope)
        # Rare rewards make the first step overshoot; a step of two logits is as far as it may go.
        change *= min(1.0, 2.0 / max(float(np.abs(change).max()), 1e-12))
        beta = beta + change
        if np.abs(change).max() < 1e-6:
            break
    return beta


def log_loss(rows: LoggedRows, beta: Floats) -> float:
    """Mean negative log-likelihood of the logged rewards, nats an impression."""
    logit = np.einsum("nd,nd->n", with_intercept(rows.x), beta[rows.item])
    loss = np.logaddexp(0.0, logit) - rows.reward * logit
    return float(np.average(loss, weights=rows.weight))


def ipw_policy(rows: LoggedRows, items: int, penalty: float) -> Floats:
    """Scores `[A, D + 1]` of the softmax policy that imitates what was rewarded, r / p weighted.

        max_B  sum_i w_i (r_i / p_i) log softmax(B z_i)[a_i] - penalty / 2 |B|^2,

    weights scaled to mean one over the rewarded rows: weighted classification (zr-obp's IPWLearner;
    Zhang et al. 2012), bounded below and insensitive to the scale of the propensities. Rewarded
    rows of a large catalogue are thinned, so that rows x items fits into memory.
    """
    rewarded = np.flatnonzero(rows.reward > 0)
    rewarded = rewarded[:: max(1, -(-len(rewarded) * items // CELLS_AT_ONCE))]
    if len(rewarded) == 0:
        return np.zeros((items, rows.x.shape[1] + 1))
    z = with_intercept(rows.x[rewarded])
    weight = rows.weight[rewarded] * rows.reward[rewarded] / rows.propensity[rewarded]
    weight = weight / weight.mean()
    taken = np.eye(items)[rows.item[rewarded]]
    size = z.shape[1]
    shrink = np.full((items, size), penalty)
    shrink[:, 0] = 1.0

    def loss(flat: Floats) -> tuple[float, Floats]:
        scores = flat.reshape(items, size)
        logit = z @ scores.T
        logit -= logit.max(axis=1, keepdims=True)
        total = np.log(np.exp(logit).sum(axis=1))
        chance = np.exp(logit - total[:, None])
        fit = float((weight * (total - (logit * taken).sum(axis=1))).sum())
        slope = ((chance - taken) * weight[:, None]).T @ z + shrink * scores
        return fit + 0.5 * float((shrink * scores**2).sum()), slope.ravel()

    start = np.zeros(items * size)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(found.x).reshape(items, size)


def snips(rows: LoggedRows, probability: Floats) -> float:
    """sum w (pi / p) r / sum w (pi / p), `probability [M]` being pi of the logged items.

    NaN where the policy never agrees with the log. Source: Swaminathan and Joachims 2015.
    """
    ratio = rows.weight * probability / rows.propensity
    total = float(ratio.sum())
    return float((ratio * rows.reward).sum() / total) if total > 0 else float("nan")


def item_values(rows: LoggedRows, items: int, least_impressions: float) -> Floats:
    """The self-normalised value of always showing each item, `[A]`.

    Items shown fewer than `least_impressions` times get the log's mean: too little is known.
    """
    ratio = rows.weight / rows.propensity
    shown = np.bincount(rows.item, weights=rows.weight, minlength=items)
    total = np.bincount(rows.item, weights=ratio, minlength=items)
    gained = np.bincount(rows.item, weights=ratio * rows.reward, minlength=items)
    mean = float((ratio * rows.reward).sum() / ratio.sum())
    known = shown >= least_impressions
    return np.where(known, gained / np.where(total > 0, total, 1.0), mean)
