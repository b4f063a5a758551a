"""Items and visitors as arrays: the response q(x, a, position), contexts and logged rows.

    logit q_k(x, a, p) = bias[k, a] + x . vector[k, a] + position[k, p],    k = 1..K members

The generator is one such model with K = 1; a calibration is one with K = 5, each member fitted to
another bootstrap of the log. Everything here is arrays: no member knows where it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]

CONTEXT_BOUND = 10.0
"""Contexts are standardised by whoever fits them; beyond ten deviations they are cut off."""


CELLS_AT_ONCE = 20_000_000
"""Rows x items held in memory together (160 MB a matrix); more rows are worked off in chunks."""


class RewardModel(NamedTuple):
    """K members of the probability that an item, once shown, is rewarded.

    `bias` is the logit at x = 0 and the first position (intercept + item effect); `vector` the
    context x item interaction, of whatever rank the fit allows; `position[:, 0] = 0`.
    """

    bias: Floats  # [K, A]
    vector: Floats  # [K, A, D]
    position: Floats  # [K, P]

    @property
    def members(self) -> int:
        """K."""
        return int(self.bias.shape[0])

    @property
    def items(self) -> int:
        """A."""
        return int(self.bias.shape[1])

    @property
    def context_size(self) -> int:
        """D."""
        return int(self.vector.shape[2])

    @property
    def positions(self) -> int:
        """P."""
        return int(self.position.shape[1])


class Items(NamedTuple):
    """The catalogue. `feature` is what a policy knows of an item, so that it can score new ones.

    `category` groups items for boredom (0-based); `clickbait` in [0, 1] is what satisfaction
    suffers from. Both matter in sessions alone.
    """

    ids: tuple[str, ...]
    feature: NDArray[np.float32]  # [A, F]
    category: Ints  # [A]
    clickbait: Floats  # [A]

    @property
    def categories(self) -> int:
        """C."""
        return int(self.category.max()) + 1


class Contexts(NamedTuple):
    """Who arrives: encoded contexts, and which items each may be shown (None: all).

    `traffic` is that of the day of the log which each came on, x the mean day's, and `time` when
    they came, UTC (None: visitors without a log).
    """

    x: NDArray[np.float32]  # [N, D]
    eligible: Bools | None  # [N, A]
    traffic: Floats | None = None  # [N]
    time: NDArray[np.int64] | None = None  # [N] microseconds since 1970

    @property
    def size(self) -> int:
        """N."""
        return int(self.x.shape[0])

    def rows(self, index: NDArray[np.integer]) -> Contexts:
        """The contexts `index [n]`."""
        return Contexts._make(None if column is None else column[index] for column in self)


class LoggedRows(NamedTuple):
    """What was shown to whom, how likely that was, and what came of it: what rules learn from.

    `weight` is how many impressions a row stands for (1, but for logs kept as counts);
    `position` counts from 0; `reward` is the mean reward of those impressions, in [0, 1]; `day`
    numbers the log's days (None: it has none).
    """

    x: NDArray[np.float32]  # [M, D]
    item: Ints  # [M]
    position: Ints  # [M]
    propensity: Floats  # [M]
    reward: Floats  # [M]
    weight: Floats  # [M]
    eligible: Bools | None  # [M, A]
    day: Ints | None = None  # [M]

    @property
    def size(self) -> int:
        """M."""
        return int(self.x.shape[0])

    def rows(self, index: NDArray[np.integer]) -> LoggedRows:
        """The rows `index [m]`."""
        return LoggedRows._make(None if column is None else column[index] for column in self)


class SoftmaxPolicy(NamedTuple):
    """pi(a | x) = (1 - uniform) softmax_a(bias + x . vector) + uniform / (number eligible).

    The generator's logging policy is one, and so is an estimate of a real log's.
    """

    bias: Floats  # [A]
    vector: Floats  # [A, D]
    uniform: float

    def probabilities(self, x: NDArray[np.floating], eligible: Bools | None) -> Floats:
        """pi `[n, A]` of contexts `[n, D]`; 0 for items that are not eligible."""
        logit = self.bias + x.astype(np.float64) @ self.vector.T
        allowed = np.ones(logit.shape, np.bool_) if eligible is None else eligible
        logit = np.where(allowed, logit, -np.inf)
        weight = np.exp(logit - logit.max(axis=1, keepdims=True))
        share = weight / weight.sum(axis=1, keepdims=True)
        even = allowed / allowed.sum(axis=1, keepdims=True)
        return np.asarray((1 - self.uniform) * share + self.uniform * even)


def drawn_items(propensities: Floats, rng: Generator) -> Ints:
    """One item a row from probabilities `[n, A]`, `[n]`."""
    reached = propensities.cumsum(axis=1) > rng.random(len(propensities))[:, None]
    # Rounding may leave the last sum below one.
    item = np.where(reached[:, -1], reached.argmax(axis=1), propensities.argmax(axis=1))
    return np.asarray(item, np.int32)


def sigmoid(logit: Floats) -> Floats:
    """1 / (1 + e^-logit), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logit)))


def logit_of(
    model: RewardModel,
    member: NDArray[np.integer],
    x: NDArray[np.floating],
    item: NDArray[np.integer],
    position: NDArray[np.integer],
) -> Floats:
    """logit q of one chosen item a row: all arguments `[n]`, x `[n, D]` -> `[n]`."""
    interaction = np.einsum("nd,nd->n", x.astype(np.float64), model.vector[member, item])
    return np.asarray(model.bias[member, item] + interaction + model.position[member, position])


def mean_logit(
    model: RewardModel,
    x: NDArray[np.floating],
    item: NDArray[np.integer],
    position: NDArray[np.integer],
) -> Floats:
    """Mean over the members of the logit of one chosen item a row, `[n]`."""
    members = [
        logit_of(model, np.full(len(item), k), x, item, position) for k in range(model.members)
    ]
    return np.asarray(np.mean(members, axis=0))


def logits_of(model: RewardModel, member: NDArray[np.integer], x: NDArray[np.floating]) -> Floats:
    """logit q of every item at the first position: members `[n]`, x `[n, D]` -> `[n, A]`."""
    logit = np.empty((len(x), model.items))
    for k in range(model.members):
        rows = member == k
        logit[rows] = model.bias[k] + x[rows].astype(np.float64) @ model.vector[k].T
    return logit


def mean_probability(model: RewardModel, x: NDArray[np.floating]) -> Floats:
    """Mean over the members of q(x, a) at the first position: `[n, D]` -> `[n, A]`."""
    total = np.zeros((len(x), model.items))
    for k in range(model.members):
        total += sigmoid(logits_of(model, np.full(len(x), k), x))
    return total / model.members


def chunks(rows: int, items: int) -> list[slice]:
    """Stretches of `rows` that hold at most `CELLS_AT_ONCE` cells each."""
    size = max(1, CELLS_AT_ONCE // items)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def disagreement(
    model: RewardModel,
    x: NDArray[np.floating],
    item: NDArray[np.integer],
    position: NDArray[np.integer],
    beta: float,
    expected: Callable[[Floats], Floats],
) -> Floats:
    """beta sd_k r_k: what pessimism takes off the reward of one item a row, `[n]`.

    r_k = expected(logit q_k(x, a, p)), the expected reward of a logit `[n]` in the row's state.

    Source: MODELLING 5.1 (MOPO's form).
    """
    if beta == 0 or model.members == 1:
        return np.zeros(len(item))
    rewards = [
        expected(logit_of(model, np.full(len(item), k), x, item, position))
        for k in range(model.members)
    ]
    return np.asarray(beta * np.std(rewards, axis=0))


def item_features(model: RewardModel, category: Ints | None = None) -> NDArray[np.float32]:
    """What a policy scores items by, `[A, F]`: bias, interaction and, where given, the category.

    Columns are the members' means, centred and divided by their deviation over the items; the
    category is one-hot. With them the greedy choice is a linear function of the context, and an
    item that training never saw is scored as soon as its effects are known or predicted.
    """
    effect = np.column_stack([model.bias.mean(axis=0), model.vector.mean(axis=0)])
    deviation = effect.std(axis=0)
    feature = (effect - effect.mean(axis=0)) / np.where(deviation > 1e-9, deviation, 1.0)
    if category is not None and category.max() > 0:
        feature = np.column_stack([feature, np.eye(int(category.max()) + 1)[category]])
    return np.asarray(feature, np.float32)
