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
        value = model.q(value, allowed=now).max(axis=0)
    return value


def uncontacted(model: Program, weeks: int) -> Floats:
    """Discounted expected margin of the next `weeks` steps without any contact, `shape`."""
    nothing = np.zeros(len(model.channel), np.bool_)
    nothing[0] = True
    # Consent plays no part without contacts.
    value = np.zeros(model.shape)
    for _ in range(weeks):
        value = model.q(value, allowed=nothing)[0]
    return value


def policy_value(model: Program, action: NDArray[np.int64]) -> Floats:
    """V of a stationary policy `action [*shape]`, exactly: the solution of (I - gamma P) V = r.

    Raises ValueError where there are more states than a dense solve should take, or where the
    policy takes an action without consent.
    """
    n = model.states
    if n > LARGEST_SOLVED:
        raise ValueError(f"{n} states are too many for a linear solve of {LARGEST_SOLVED}")
    nothing = np.zeros((*model.shape, 1))
    basis = np.eye(n).reshape(*model.shape, n)
    rows = np.arange(n)
    chosen = np.asarray(action).ravel()
    reward = model.q(nothing).reshape(len(model.channel), n)[chosen, rows]
    if not np.isfinite(reward).all():
        raise ValueError("the policy contacts customers without their consent")
    discounted = np.empty((n, n))  # gamma P of the policy
    for a in range(len(model.channel)):
        only = np.zeros(len(model.channel), np.bool_)
        only[a] = True
        mine = chosen == a
        if mine.any():
            after = model.q(basis, allowed=only)[a].reshape(n, n)[mine]
            pay = model.q(nothing, allowed=only)[a].reshape(n, 1)[mine]
            discounted[mine] = after - pay
    solved = np.linalg.solve(np.eye(n) - discounted, reward)
    return np.asarray(solved.reshape(model.shape))
