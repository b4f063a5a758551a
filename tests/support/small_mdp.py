"""A small decision problem whose values are known by linear algebra, and logs of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ppo_marketing.ope.trajectories import ENDED, UNKNOWN, CellLog, Trajectories

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class SmallMdp(NamedTuple):
    """`S` states, `A` actions; what `move` leaves of 1 is the chance that the trajectory ends."""

    start: Floats  # [S]
    move: Floats  # [S, A, S]
    reward: Floats  # [S, A] mean
    noise: float  # standard deviation of a reward
    logging: Floats  # [S, A]
    target: Floats  # [S, A]
    discount: float

    def q(self, policy: Floats, horizon: int | None) -> Floats:
        """Exact Q: `[S, A]` of the infinite horizon, or `[H, S, A]` by step of a finite one."""
        states, actions = self.reward.shape
        if horizon is None:
            chain = np.einsum("sa,sat->st", policy, self.move)
            earned = (policy * self.reward).sum(1)
            value = np.linalg.solve(np.eye(states) - self.discount * chain, earned)
            return np.asarray(self.reward + self.discount * self.move @ value)
        q = np.zeros((horizon + 1, states, actions))
        for step in reversed(range(horizon)):
            value = (policy * q[step + 1]).sum(1)
            q[step] = self.reward + self.discount * self.move @ value
        return q[:horizon]

    def value(self, policy: Floats, horizon: int | None) -> float:
        """The exact value from the starts."""
        q = self.q(policy, horizon)
        first = q if horizon is None else q[0]
        return float(self.start @ (policy * first).sum(1))

    def occupancy(self, policy: Floats) -> Floats:
        """sum_t γ^t P(s_t = s) under the policy, `[S]`."""
        chain = np.einsum("sa,sat->st", policy, self.move)
        return np.asarray(np.linalg.solve(np.eye(len(chain)) - self.discount * chain.T, self.start))


def small_mdp(discount: float = 0.9, *, ends: float = 0.1) -> SmallMdp:
    """Four states, three actions; the target prefers what the log rarely does."""
    rng = np.random.default_rng(7)
    states, actions = 4, 3
    move = rng.dirichlet(np.ones(states), (states, actions))
    move *= 1 - ends * 2 * rng.random((states, actions, 1))
    logging = 0.6 * rng.dirichlet(np.full(actions, 2.0), states) + 0.4 / actions
    target = rng.dirichlet(np.full(actions, 1.0), states)
    return SmallMdp(
        start=np.array([0.4, 0.3, 0.2, 0.1]),
        move=move,
        reward=rng.normal(1.0, 1.0, (states, actions)),
        noise=0.5,
        logging=logging,
        target=target,
        discount=discount,
    )


class Log(NamedTuple):
    """A log of the small problem, as both kinds of estimators take it."""

    cells: CellLog
    weighed: Trajectories


def drawn(choices: Floats, rng: Generator) -> Ints:
    """One index for every row of probabilities; what they leave of 1 gives the last index + 1."""
    return np.asarray((rng.random(len(choices))[:, None] > choices.cumsum(1)).sum(1), np.int64)


def draw_log(
    mdp: SmallMdp,
    count: int,
    steps: int,
    rng: Generator,
    *,
    late: float = 0.0,
    state_after: bool = True,
) -> Log:
    """`count` trajectories of at most `steps`; a share `late` joined later and is cut sooner.

    With `state_after` the state after a cut is in the log.
    """
    states, actions = mdp.reward.shape
    limit = np.where(rng.random(count) < late, rng.integers(1, steps + 1, count), steps)
    state = rng.choice(states, count, p=mdp.start)
    after = np.full(count, UNKNOWN)
    going = np.arange(count)
    rows: list[list[Ints | Floats]] = []
    for step in range(steps):
        s = state[going]
        a = np.minimum(drawn(mdp.logging[s], rng), actions - 1)
        r = mdp.reward[s, a] + mdp.noise * rng.normal(size=len(s))
        rows.append([going, np.full(len(s), step), s, a, r])
        following = drawn(mdp.move[s, a], rng)
        ended = following == states
        after[going[ended]] = ENDED
        state[going[~ended]] = following[~ended]
        cut = ~ended & (limit[going] == step + 1)
        after[going[cut]] = state[going[cut]] if state_after else UNKNOWN
        going = going[~ended & ~cut]
        if len(going) == 0:
            break
    columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
    order = np.lexsort((columns[1], columns[0]))
    trajectory, step_of, cell, action = (column[order].astype(np.int64) for column in columns[:4])
    reward = columns[4][order].astype(np.float64)
    return Log(
        CellLog(trajectory, step_of, cell, action, reward, after, states, actions),
        Trajectories(
            trajectory, step_of, reward, mdp.logging[cell, action], mdp.target[cell, action],
            after == ENDED, mdp.discount,
        ),
    )  # fmt: skip
