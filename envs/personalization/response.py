"""The response model fitted to logged rows: shrunk item effects and interactions, by position.

    logit q(x, a, p) = b + r_p + x . beta + m_a + u_a + x . (w_a + V_a)
    m_a = z_a . gamma + g_0 l_a,   w_a = g_1 k_a
    u_a ~ N(0, tau_u^2),   V_ad ~ N(0, tau_V^2)
    beta_d ~ N(0, tau_b^2),   gamma_f, g_0 ~ N(0, tau_g^2)

z_a are item features, l_a and k_a the bias and interaction of the policy that logged: what a team
already preferred is a guess of what works, worth as much (g) as the rewards confirm. Where the
items of a page compete for one reward, logits are those of `choice.py`. Penalised
maximum likelihood; every tau by MacKay's empirical Bayes; the rank of V by cross-fitting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from envs.personalization.choice import chances, deviances
from envs.personalization.model import Bools, Floats, Ints, SoftmaxPolicy

SHARED_SD = 1.0
"""Prior sd, in logits, of the positions and of g_1: single numbers that many rows speak of."""

EB_ROUNDS = 12
_MOST_RUNS = 300  # products item by item are the faster way for few items, gathered ones for many
_LEAST_SD, _MOST_SD = 0.01, 3.0
_STEPS, _STEPS_BETWEEN = 400, 12  # of L-BFGS: deviations settle long before the effects do
_LEAST_GAIN = 1e-4  # nats: evidences are compared to a tenth of a nat
_GAIN_BETWEEN = 0.01  # nats: enough for deviations that are updated again
_FIRST_SDS = {"context_sd": 0.1, "shared_sd": 0.3, "item_sd": 0.3, "taste_sd": 0.1}
_USUAL_SDS = {"context_sd": 0.1, "shared_sd": 0.2, "item_sd": 0.1, "taste_sd": 0.03}
_USUAL_WORTH = 2.0
"""A deviation starts from the usual one, which is worth two determined effects, so that a few noisy
effects do not make it vanish (a scaled inverse chi-squared prior)."""


class Rows(NamedTuple):
    """What a fit sees, sorted by item: `start` holds each item's first row."""

    x: Floats  # [M, D]
    item: Ints  # [M]
    position: Ints  # [M]
    reward: Floats  # [M]
    weight: Floats  # [M]
    offset: Floats  # [M] what is added to the logit, such as boredom
    start: NDArray[np.int64]  # first rows of the items that have any
    present: Ints  # those items
    page: NDArray[np.int64] | None = None  # [M] where the items of a page compete for one reward

    def runs(self) -> Iterator[tuple[int, slice]]:
        """Every item with its rows."""
        ends = [*self.start[1:].tolist(), len(self.item)]
        for item, first, end in zip(self.present.tolist(), self.start.tolist(), ends, strict=True):
            yield item, slice(first, end)


class Guess(NamedTuple):
    """What is known of the items before any reward; columns have unit spread."""

    feature: Floats  # [A, F + 1] item features, then the logging policy's bias
    taste: Floats  # [A, D] the logging policy's interaction


@dataclass(frozen=True)
class Response:
    """Fitted parameters (K = 1) and the prior's deviations; `rank` is that of the interaction."""

    intercept: float
    position: Floats  # [P]
    context: Floats  # [D] beta
    shared: Floats  # [F + 1] gamma and g_0
    trust: float  # g_1
    item: Floats  # [A] u
    taste: Floats  # [A, D] V
    context_sd: float
    shared_sd: float
    item_sd: float
    taste_sd: float

    @property
    def sds(self) -> Floats:
        """The prior's deviations, `[4]`."""
        return np.array([self.context_sd, self.shared_sd, self.item_sd, self.taste_sd])

    def bias(self, guess: Guess) -> Floats:
        """Logit of every item at x = 0 in the first position, `[A]`."""
        return np.asarray(self.intercept + guess.feature @ self.shared + self.item)

    def vector(self, guess: Guess, rank: int | None = None) -> Floats:
        """Interaction of every item, `[A, D]`, its item-specific part of at most `rank`."""
        own = self.trust * guess.taste + self.taste
        if rank is not None and rank < min(own.shape):
            left, values, right = np.linalg.svd(own, full_matrices=False)
            own = (left[:, :rank] * values[:rank]) @ right[:rank]
        return np.asarray(self.context + own)


def sorted_rows(
    x: NDArray[np.floating],
    item: Ints,
    position: Ints,
    reward: Floats,
    weight: Floats,
    offset: Floats | None = None,
    page: NDArray[np.integer] | None = None,
) -> Rows:
    """The rows by item, so that sums over an item's rows are runs."""
    kept = np.flatnonzero(weight > 0)
    order = kept[np.argsort(item[kept], kind="stable")]
    present, start = np.unique(item[order], return_index=True)
    return Rows(
        x[order].astype(np.float64), item[order], position[order], reward[order], weight[order],
        np.zeros(len(order)) if offset is None else offset[order], start, present,
        None if page is None else np.unique(page[order], return_inverse=True)[1],
    )  # fmt: skip


def guess_of(feature: Floats, logging: SoftmaxPolicy, shown: Bools | None = None) -> Guess:
    """The guess from item features and the logging policy; what does not vary says nothing.

    Items that this part never showed (`shown [A]` false) are guessed from their features alone:
    that a policy could not show an item does not say that it disliked it.
    """
    known = np.ones(len(feature), np.bool_) if shown is None else shown
    liked = np.where(known, logging.bias, logging.bias[known].mean())
    columns = np.column_stack([feature, liked])
    columns = columns - columns.mean(axis=0)
    spread = columns.std(axis=0)
    taste = np.where(known[:, None], logging.vector, logging.vector[known].mean(axis=0))
    taste = taste - taste.mean(axis=0)
    scale = taste.std()
    return Guess(
        columns / np.where(spread > 1e-9, spread, np.inf),
        taste / (scale if scale > 1e-9 else np.inf),
    )


def fit_response(
    rows: Rows, guess: Guess, positions: int, start: Response | None = None, rounds: int = EB_ROUNDS
) -> Response:
    """The penalised fit; `rounds` of empirical Bayes, 0 to keep the deviations of `start`."""
    fitted = start or _blank(rows, guess, positions)
    for _ in range(rounds):
        before = fitted.sds
        fitted = _maximised(rows, guess, fitted, _STEPS_BETWEEN, _GAIN_BETWEEN)
        fitted = _updated_sds(rows, guess, fitted)
        if np.allclose(before, fitted.sds, rtol=0.02):
            break
    return _maximised(rows, guess, fitted, _STEPS, _LEAST_GAIN)


def _blank(rows: Rows, guess: Guess, positions: int) -> Response:
    rate = np.clip(np.average(rows.reward, weights=rows.weight), 1e-6, 1 - 1e-6)
    items, size = guess.taste.shape
    return Response(
        intercept=float(np.log(rate / (1 - rate))),
        position=np.zeros(positions),
        context=np.zeros(size),
        shared=np.zeros(guess.feature.shape[1]),
        trust=0.0,
        item=np.zeros(items),
        taste=np.zeros((items, size)),
        **_FIRST_SDS,
    )


def logits(rows: Rows, guess: Guess, fitted: Response) -> Floats:
    """The fitted logit of every row, `[M]`."""
    logit = fitted.bias(guess)[rows.item] + fitted.position[rows.position] + rows.offset
    return np.asarray(logit + interaction(rows, fitted.vector(guess)))


def interaction(rows: Rows, vector: Floats) -> Floats:
    """x . vector of every row's item, `[M]`."""
    if len(rows.present) > _MOST_RUNS:
        return np.asarray(np.einsum("nd,nd->n", rows.x, vector[rows.item]))
    product = np.empty(len(rows.item))
    for item, run in rows.runs():
        product[run] = rows.x[run] @ vector[item]
    return product


def _by_item(rows: Rows, amount: Floats, x: Floats, shape: tuple[int, ...]) -> Floats:
    """sum over an item's rows of amount_i x_i, `[A, D]`."""
    summed = np.zeros(shape)
    if len(rows.present) > _MOST_RUNS:
        summed[rows.present] = np.add.reduceat(amount[:, None] * x, rows.start, axis=0)
        return summed
    for item, run in rows.runs():
        summed[item] = amount[run] @ x[run]
    return summed


def _maximised(rows: Rows, guess: Guess, fitted: Response, steps: int, gain: float) -> Response:
    """Maximum of log likelihood plus log prior, over parameters divided by their deviations."""
    sizes = [1, len(fitted.position) - 1, len(fitted.context), len(fitted.shared), 1]
    sizes += [fitted.item.size, fitted.taste.size]
    cuts = np.cumsum(sizes)[:-1]
    of_group = [1.0, SHARED_SD, fitted.context_sd, fitted.shared_sd, SHARED_SD]
    scale = np.repeat([*of_group, fitted.item_sd, fitted.taste_sd], sizes)
    total = rows.weight.sum()

    def unpacked(parameters: Floats) -> Response:
        parts = np.split(parameters * scale, cuts)
        return replace(
            fitted,
            intercept=float(parts[0][0]),
            position=np.concatenate([[0.0], parts[1]]),
            context=parts[2],
            shared=parts[3],
            trust=float(parts[4][0]),
            item=parts[5],
            taste=parts[6].reshape(fitted.taste.shape),
        )

    def loss(parameters: Floats) -> tuple[float, Floats]:
        now = unpacked(parameters)
        logit = logits(rows, guess, now)
        error = rows.weight * (chances(logit, rows.page) - rows.reward)
        value = (rows.weight * deviances(logit, rows.reward, rows.page)).sum()
        by_item = np.zeros(fitted.item.shape)
        by_item[rows.present] = np.add.reduceat(error, rows.start)
        by_taste = _by_item(rows, error, rows.x, fitted.taste.shape)
        by_position = np.bincount(rows.position, weights=error, minlength=len(fitted.position))
        gradient = np.concatenate(
            [
                [error.sum()],
                by_position[1:],
                by_taste.sum(axis=0),
                guess.feature.T @ by_item,
                [(guess.taste * by_taste).sum()],
                by_item,
                by_taste.ravel(),
            ]
        )
        penalised = parameters.copy()
        penalised[0] = 0.0  # the intercept is free
        value += 0.5 * float(penalised @ penalised)
        return value / total, (gradient * scale + penalised) / total

    first = np.concatenate(
        [
            [fitted.intercept], fitted.position[1:], fitted.context, fitted.shared,
            [fitted.trust], fitted.item, fitted.taste.ravel(),
        ]
    ) / scale  # fmt: skip
    # The loss is a mean per unit of weight: the fit ends where a step gains less than `gain` nats.
    found = minimize(
        loss, first, jac=True, method="L-BFGS-B",
        options={"maxiter": steps, "maxcor": 20, "ftol": gain / total, "gtol": 0.0},
    )  # fmt: skip
    return unpacked(found.x)


def _updated_sds(rows: Rows, guess: Guess, fitted: Response) -> Response:
    """tau^2 = (sum u^2 + 2 s^2) / (sum(h tau^2 / (1 + h tau^2)) + 2).

    h is the curvature of the log likelihood, s the usual deviation.

    Source: MacKay, Neural Computation 1992 (with a diagonal Hessian).
    """
    q = chances(logits(rows, guess, fitted), rows.page)
    curvature = rows.weight * q * (1 - q)
    of_item = np.zeros(fitted.item.shape)
    of_item[rows.present] = np.add.reduceat(curvature, rows.start)
    of_taste = _by_item(rows, curvature, rows.x**2, fitted.taste.shape)
    of_context = of_taste.sum(axis=0)
    of_shared = (guess.feature**2).T @ of_item
    return replace(
        fitted,
        context_sd=_mackay(fitted.context, of_context, fitted.context_sd, _USUAL_SDS["context_sd"]),
        shared_sd=_mackay(fitted.shared, of_shared, fitted.shared_sd, _USUAL_SDS["shared_sd"]),
        item_sd=_mackay(fitted.item, of_item, fitted.item_sd, _USUAL_SDS["item_sd"]),
        taste_sd=_mackay(fitted.taste, of_taste, fitted.taste_sd, _USUAL_SDS["taste_sd"]),
    )


def _mackay(effects: Floats, curvature: Floats, sd: float, usual: float) -> float:
    determined = curvature * sd**2 / (1 + curvature * sd**2)
    squares = (effects**2).sum() + _USUAL_WORTH * usual**2
    return float(np.clip(np.sqrt(squares / (determined.sum() + _USUAL_WORTH)), _LEAST_SD, _MOST_SD))
