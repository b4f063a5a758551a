"""The ceiling: value iteration over the tables, backward induction, exact judgement of policies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.sequencing.dynamic_program import Program

Floats = NDArray[np.float64]
LARGEST_SOLVED = 4000  # states: a dense transition matrix of 128 MB


def value_iteration(model: Program, tolerance: float = 1e-9) -> tuple[Floats, NDArray[np.int64]]:
    """V* and an optimal action of every state, infinite horizon; `tolerance` in currency.

    Stops when the change guarantees max |V - V*| <= tolerance.
    """
    value = np.zeros(model.shape)
    enough = tolerance * (1 - model.discount) / model.discount
    while True:
        q = model.q(value)
        following = q.max(axis=0)
        change = float(np.abs(following - value).max())
        value = following
        if change <= enough:
            return value, q.argmax(axis=0)


def backward_induction(model: Program, terminal: Floats, allowed: NDArray[np.bool_]) -> Floats:
    """V* at the first step of a problem that ends in `terminal`; `allowed [T, A]` a step."""
    value = np.broadcast_to(terminal, model.shape).copy()
    for now in allowed[::-1]:
        value = model.best(value, now)
    return value


def uncontacted(model: Program, weeks: int) -> Floats:
    """Discounted expected margin of the next `weeks` steps without any contact, `[R, F, g ..]`."""
    # Without contacts consent plays no part: its axes are 1.
    value = np.zeros((*model.shape[: 2 + model.channels], *[1] * model.channels))
    for _ in range(weeks):
        value = model.alone(value)
    return value.reshape(value.shape[: 2 + model.channels])


def transitions(model: Program) -> tuple[Floats, Floats]:
    """Chances `[A, n, n]` of the next state and rewards `[A, n]`, -inf where not allowed.

    Raises ValueError where there are more states than a dense matrix should hold.
    """
    n, actions = model.states, len(model.channel)
    if n > LARGEST_SOLVED:
        raise ValueError(f"{n} states are too many for a linear solve of {LARGEST_SOLVED}")
    reward = model.q(np.zeros(model.shape)).reshape(actions, n)
    basis = np.eye(n).reshape(*model.shape, n)
    chance = np.zeros((actions, n, n))
    for a in range(actions):
        only = np.arange(actions) == a
        after = model.q(basis, allowed=only)[a].reshape(n, n)
        open_to = np.isfinite(reward[a])
        chance[a, open_to] = (after[open_to] - reward[a, open_to, None]) / model.discount
    return chance, reward


def policy_value(model: Program, action: NDArray[np.int64]) -> Floats:
    """V of a stationary policy `action [*shape]`, exactly.

    Raises ValueError where there are more states than a dense solve should take, or where the
    policy takes an action without consent.
    """
    solved = solved_policy(*transitions(model), model.discount, np.asarray(action).ravel())
    return solved.reshape(model.shape)


def solved_policy(
    chance: Floats, reward: Floats, discount: float, action: NDArray[np.int64]
) -> Floats:
    """V = (I - discount P)^-1 r of the policy `action [n]`, `[n]`.

    Raises ValueError where the policy takes an action without consent.
    """
    states = np.arange(len(action))
    paid = reward[action, states]
    if not np.isfinite(paid).all():
        raise ValueError("the policy contacts customers without their consent")
    system = np.eye(len(action)) - discount * chance[action, states]
    return np.asarray(np.linalg.solve(system, paid))
