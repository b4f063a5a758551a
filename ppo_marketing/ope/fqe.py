"""Fitted Q evaluation: what a policy is worth, by regressing one step's outcome on the next's Q.

    Q_{k+1} = regression of r + γ sum_a π(a|s') Q_k(s', a) on (s, a),    V = mean of v(s_0)

with any regressor that has `fit` and `predict`, for choices and for actions that are numbers.
Between discrete cells `cell_fqe` solves for the limit exactly.

Source: Le, Voloshin and Yue 2019, algorithm 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.random import Generator

from ppo_marketing.ope.trajectories import Bools, Floats, discount_problems, refuse


class Regressor(Protocol):
    """Anything that learns numbers from rows, as scikit-learn's regressors do."""

    def fit(self, X: Any, y: Any) -> Any:
        """Learn `y [n]` from `X [n, k]`, forgetting what was learned before."""
        ...

    def predict(self, X: Any) -> Any:
        """Return `[n]`."""
        ...


class Transitions(NamedTuple):
    """Rows with features in place of cells; the state after a row matters unless it ended.

    Where the log was cut and does not show the state after it, leave out the whole step that could
    not be followed, those who ended at it too: or endings would count too often.
    """

    features: Floats  # [n, d]
    action: Any  # [n] integers, or [n, k] numbers
    reward: Floats  # [n]
    next_features: Floats  # [n, d]; anything where `ended`
    ended: Bools  # [n]


Probabilities = Callable[[Floats], Floats]
"""features `[n, d]` -> probabilities `[n, A]`."""
Sampler = Callable[[Floats, Generator], Floats]
"""features `[n, d]` -> actions `[n, k]`; a deterministic one leaves the generator alone."""


class FittedQ(NamedTuple):
    """A Q of features and actions, and v(s) = sum_a π(a|s) Q(s, a) of the policy."""

    q: Callable[[Floats, Any], Floats]
    value: Callable[[Floats], Floats]


def fqe_discrete(
    regressor: Regressor,
    data: Transitions,
    policy: Probabilities,
    *,
    actions: int,
    discount: float,
    iterations: int,
) -> FittedQ:
    """Q_k of `iterations` regressions on features beside a one-hot action.

    It is the value of k steps: of the infinite horizon's a share γ^k is left out. V is the mean of
    `value` over the features of starts.

    Raises:
        UserError: data, discount or iterations cannot be.
    """
    _check(data, discount, iterations)

    def beside(features: Floats, action: Any) -> Floats:
        return np.column_stack([features, np.eye(actions)[action]])

    def all_actions(features: Floats) -> Floats:
        each = [beside(features, np.full(len(features), a)) for a in range(actions)]
        return np.stack(each, axis=1).reshape(len(features) * actions, each[0].shape[1])

    def value_of(rows: Floats, chosen: Floats) -> Floats:
        q = np.asarray(regressor.predict(rows)).reshape(chosen.shape)
        return np.asarray((chosen * q).sum(axis=1), np.float64)

    going = ~data.ended
    rows, chosen = all_actions(data.next_features[going]), policy(data.next_features[going])
    taken = beside(data.features, data.action)
    _iterate(regressor, data, taken, lambda: value_of(rows, chosen), discount, iterations)
    return FittedQ(
        q=lambda features, action: np.asarray(regressor.predict(beside(features, action))),
        value=lambda features: value_of(all_actions(features), policy(features)),
    )


def fqe_continuous(
    regressor: Regressor,
    data: Transitions,
    policy: Sampler,
    *,
    discount: float,
    iterations: int,
    rng: Generator,
    draws: int = 1,
) -> FittedQ:
    """`fqe_discrete` for actions that are numbers: v(s) is the mean Q of `draws` actions of π.

    They are drawn anew in every iteration; of a deterministic policy one is enough.

    Raises:
        UserError: data, discount or iterations cannot be.
    """
    _check(data, discount, iterations)

    def q(features: Floats, action: Any) -> Floats:
        return np.asarray(regressor.predict(np.column_stack([features, action])), np.float64)

    def value(features: Floats) -> Floats:
        drawn = [q(features, policy(features, rng)) for _ in range(draws)]
        return np.asarray(np.mean(drawn, axis=0))

    following = data.next_features[~data.ended]
    taken = np.column_stack([data.features, data.action])
    _iterate(regressor, data, taken, lambda: value(following), discount, iterations)
    return FittedQ(q, value)


def _iterate(
    regressor: Regressor,
    data: Transitions,
    taken: Floats,
    following: Callable[[], Floats],
    discount: float,
    iterations: int,
) -> None:
    """Fit the regressor to r + γ v', `iterations` times, v' being 0 at first and after an end."""
    onwards = np.zeros(len(data.reward))
    for iteration in range(iterations):
        if iteration and discount > 0 and not data.ended.all():
            onwards[~data.ended] = following()
        regressor.fit(taken, data.reward + discount * onwards)


def _check(data: Transitions, discount: float, iterations: int) -> None:
    n = len(data.reward)
    problems = [
        f"{name} has {len(column)} rows: as many as rewards, {n}"
        for name, column in data._asdict().items()
        if len(column) != n
    ] + discount_problems(discount)
    if iterations < 1:
        problems.append(f"iterations is {iterations}: at least 1")
    if not problems:
        following = data.next_features[~data.ended]
        for name, column in (
            ("features", data.features), ("action", data.action), ("reward", data.reward),
            ("next_features", following),
        ):  # fmt: skip
            wrong = ~np.isfinite(column).all(axis=tuple(range(1, np.ndim(column))))
            if wrong.any():
                problems.append(
                    f"{name} has {int(wrong.sum())} rows with numbers that are not finite: leave "
                    "out rows of which they are not known"
                )
    refuse("transitions", problems)
