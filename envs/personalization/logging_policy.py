"""An estimate of the policy that logged: who was shown what, and whether the context mattered."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import chi2

from envs.personalization.model import Bools, Floats, Ints, SoftmaxPolicy

MOST_ITEMS_WITH_TASTE = 200
"""With more items only their popularity is estimated."""

MOST_CELLS = 400_000
"""Rows x items that the estimate looks at: 20,000 rows of 20 items place a taste within .05."""

LEAST_ROWS = 5_000
DEPENDS_AT = 0.001
"""Assignment counts as randomised unless this level says that it depends on the context."""

_PRIOR_SD = 2.0


class LoggingEstimate(NamedTuple):
    """The estimated policy; `randomised` unless the context visibly mattered for the choice."""

    policy: SoftmaxPolicy
    randomised: bool


def estimate_logging(
    x: NDArray[np.float32], item: Ints, weight: Floats, eligible: Bools | None, items: int
) -> LoggingEstimate:
    """Maximum likelihood of (1 - e) softmax(b + x . W) + e uniform over evenly taken rows."""
    popular = np.bincount(item, weights=weight, minlength=items)
    bias = np.log(np.maximum(popular, 0.5) / popular.sum())
    plain = SoftmaxPolicy(bias, np.zeros((items, x.shape[1])), 0.0)
    if items > MOST_ITEMS_WITH_TASTE:
        return LoggingEstimate(plain, False)  # not looked at, so nothing is claimed
    most_rows = max(LEAST_ROWS, MOST_CELLS // items)
    taken = np.arange(0, len(item), -(-len(item) // most_rows))
    sample, item, weight = x[taken].astype(np.float64), item[taken], weight[taken]
    allowed = np.ones((len(item), items), np.bool_) if eligible is None else eligible[taken]
    fitted = _maximised(sample, item, weight, allowed, plain)
    gain = _log_likelihood(sample, item, weight, allowed, fitted) - _log_likelihood(
        sample, item, weight, allowed, plain._replace(uniform=0.0)
    )
    degrees = (items - 1) * int((x.std(axis=0) > 0).sum()) + 1
    randomised = bool(chi2.sf(2 * max(gain, 0.0), degrees) > DEPENDS_AT)
    return LoggingEstimate(plain if randomised else fitted, randomised)


def _log_likelihood(
    x: Floats, item: Ints, weight: Floats, allowed: Bools, policy: SoftmaxPolicy
) -> float:
    chosen = policy.probabilities(x, allowed)[np.arange(len(item)), item]
    return float((weight * np.log(np.maximum(chosen, 1e-12))).sum())


def _maximised(
    x: Floats, item: Ints, weight: Floats, allowed: Bools, start: SoftmaxPolicy
) -> SoftmaxPolicy:
    items, size = start.vector.shape
    rows = np.arange(len(item))
    total = weight.sum()
    even = 1.0 / allowed.sum(axis=1)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        uniform = 0.5 * (1 + np.tanh(parameters[0] / 2))
        weights = parameters[1:].reshape(items, 1 + size)
        softmax = SoftmaxPolicy(weights[:, 0], weights[:, 1:], 0.0).probabilities(x, allowed)
        mixed = (1 - uniform) * softmax[rows, item] + uniform * even
        value = -(weight * np.log(np.maximum(mixed, 1e-300))).sum()
        blame = weight * (1 - uniform) * softmax[rows, item] / mixed
        slope = softmax * blame[:, None]
        slope[rows, item] -= blame
        of_uniform = -(weight * (even - softmax[rows, item]) / mixed).sum()
        gradient = np.concatenate(
            [
                [of_uniform * uniform * (1 - uniform)],
                np.column_stack([slope.sum(axis=0), slope.T @ x]).ravel(),
            ]
        )
        gradient[1:] += parameters[1:] / _PRIOR_SD**2
        value += 0.5 * (parameters[1:] ** 2).sum() / _PRIOR_SD**2
        return value / total, gradient / total

    centred = start.bias - start.bias.mean()
    first = np.concatenate([[-3.0], np.column_stack([centred, start.vector]).ravel()])
    found = minimize(
        loss, first, jac=True, method="L-BFGS-B", options={"maxiter": 60, "ftol": 1e-3 / total}
    ).x
    weights = found[1:].reshape(items, 1 + size)
    uniform = float(0.5 * (1 + np.tanh(found[0] / 2)))
    return SoftmaxPolicy(weights[:, 0], weights[:, 1:], uniform)
