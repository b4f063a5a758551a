"""What a log can and cannot say of what the fitted model prefers; whether to act is the gate's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.personalization.model import Bools, Floats, RewardModel, SoftmaxPolicy, mean_probability
from envs.personalization.off_policy import PolicyValue, policy_value
from envs.personalization.visits import Visits

LEAST_POSITIVES = 100
MOST_UNSUPPORTED = 0.05
LEAST_CELL_ROWS = 30
_MOST_CELLS = 4_000_000  # of a block's rows x items: 32 MB a matrix
CELL_BITS = 3  # contexts are told apart by the signs of their first three components


@dataclass(frozen=True)
class Evidence:
    """The held-out value of the model's own choice and of simple policies.

    `unsupported` is the share of the greedy policy's impressions on (context cell, item) pairs with
    fewer than 30 impressions in the earlier part.
    """

    values: Mapping[str, PolicyValue]
    unsupported: float

    @property
    def positives(self) -> float:
        """Rewards of the judging part that fell on what the model would have shown.

        Rows that the model was fitted to are no evidence for it, however many they are.
        """
        return self.greedy.positives

    @property
    def greedy(self) -> PolicyValue:
        """The policy that always shows what the model holds best."""
        return self.values["greedy"]

    def notes(self) -> list[str]:
        """The evidence in words."""
        g = self.greedy
        return [
            "what the later part of the log says of always showing what the model holds best: "
            f"effective sample size {g.effective_n:,.0f} of {g.impressions:,.0f} impressions "
            f"(largest weight {g.largest_weight:,.0f}); unsupported mass "
            f"{100 * self.unsupported:.1f} % (choices that such visitors hardly ever saw); "
            f"effective positives {g.positives:,.0f} (rewards that fell on its choices)",
            f"rewards an impression so: {g.doubly_robust:.3g} +- {1.96 * g.sd:.2g} by the doubly "
            f"robust estimate (SNIPS {g.snips:.3g}, IPS {g.ips:.3g}; the model expects "
            f"{g.model:.3g}); the log's own choices earned {g.doubly_robust - g.lift:.3g}, a lift "
            f"of {g.lift:.2g} (95 % interval from {g.lift_low:.2g})",
        ]


def gather_evidence(
    model: RewardModel,
    earlier: Visits,
    later: Visits,
    propensity: Floats,
    logging: SoftmaxPolicy,
    rng: Generator,
    shift: Floats | None = None,
) -> Evidence:
    """Judge what the model prefers on the later rows, each as a decision of its own.

    `propensity [M]` is that of the later rows, `logging` the policy that they look like; `shift
    [M]` is what boredom takes off the logits of a row, where the log has sessions.
    """
    fixed = _fixed_values(model, earlier)
    chosen: dict[str, list[Floats]] = {}
    direct: dict[str, list[Floats]] = {}
    own_q, best = [], []
    for rows in _blocks(later.size, model.items):
        part = later.rows(rows)
        q_first = mean_probability(model, part.x)
        eligible = part.eligible
        allowed = np.ones(q_first.shape, np.bool_) if eligible is None else eligible
        q = q_at_position(model, part, q_first, None if shift is None else shift[rows])
        targets = {
            "greedy": greedy_choice(q_first, allowed),
            "uniform": allowed / allowed.sum(axis=1, keepdims=True),
            "best fixed item": greedy_choice(np.broadcast_to(fixed, q.shape), allowed),
            "logging": logging.probabilities(part.x, eligible),
        }
        index = np.arange(part.size)
        for name, target in targets.items():
            chosen.setdefault(name, []).append(target[index, part.item])
            direct.setdefault(name, []).append((target * q).sum(axis=1))
        own_q.append(q[index, part.item])
        best.append(targets["greedy"].argmax(axis=1))
    values = {
        name: policy_value(
            name, np.concatenate(chosen[name]), np.concatenate(direct[name]),
            np.concatenate(own_q), propensity, later.reward, later.weight, later.unit, rng,
        )
        for name in chosen
    }  # fmt: skip
    unsupported = unsupported_mass(np.concatenate(best), earlier, later, model.items)
    return Evidence(values, unsupported)


def _blocks(rows: int, items: int) -> list[NDArray[np.int64]]:
    """Row numbers in blocks whose matrices over all items fit into memory."""
    return np.array_split(np.arange(rows), -(-rows * items // _MOST_CELLS))


def shown_probability(policy: SoftmaxPolicy, visits: Visits) -> Floats:
    """pi(a | x) of the item shown, `[M]`."""
    parts = []
    for rows in _blocks(visits.size, len(policy.bias)):
        part = visits.rows(rows)
        chances = policy.probabilities(part.x, part.eligible)
        parts.append(chances[np.arange(part.size), part.item])
    return np.concatenate(parts)


def greedy_choice(score: Floats, allowed: Bools) -> Floats:
    """All mass on the best allowed item, `[M, A]`."""
    best = np.where(allowed, score, -np.inf).argmax(axis=1)
    chosen = np.zeros(score.shape)
    chosen[np.arange(len(best)), best] = 1.0
    return chosen


def q_at_position(
    model: RewardModel, visits: Visits, q_first: Floats, shift: Floats | None = None
) -> Floats:
    """q of every item in the position of each row, from q in the first, `[M, A]`.

    Boredom with the item shown (`shift`) is taken for boredom with all of them.
    """
    at = model.position.mean(axis=0)[np.minimum(visits.position, model.positions - 1)]
    total = at if shift is None else at + shift
    if not total.any():
        return q_first
    odds = q_first / (1 - q_first) * np.exp(total)[:, None]
    return np.asarray(odds / (1 + odds))


def unsupported_mass(
    choice: NDArray[np.int64], earlier: Visits, later: Visits, items: int
) -> float:
    """Share of the later choices `[M]` on (context cell, item) with < 30 earlier impressions."""
    cell_of = context_cells(earlier.x)
    size = (1 << CELL_BITS, items)
    seen = np.bincount(
        cell_of(earlier.x) * items + earlier.item, weights=earlier.weight,
        minlength=size[0] * items,
    ).reshape(size)  # fmt: skip
    thin = seen[cell_of(later.x), choice] < LEAST_CELL_ROWS
    return float(np.average(thin, weights=later.weight))


def context_cells(
    x: NDArray[np.float32], bits: int = CELL_BITS
) -> Callable[[NDArray[np.float32]], NDArray[np.int64]]:
    """What cuts contexts `[n, D]` into 2^bits cells, by the signs of their leading components."""
    centre = x.mean(axis=0)
    covariance = np.atleast_2d(np.cov(x - centre, rowvar=False))
    leading = np.linalg.eigh(covariance)[1][:, ::-1][:, :bits]

    def cell_of(rows: NDArray[np.float32]) -> NDArray[np.int64]:
        above = (rows - centre) @ leading > 0
        return np.asarray(above @ (1 << np.arange(above.shape[1])), np.int64)

    return cell_of


def _fixed_values(model: RewardModel, earlier: Visits) -> Floats:
    """The mean q of every item over the earlier contexts, `[A]`."""
    most = max(100, _MOST_CELLS // model.items)
    rows = np.arange(0, earlier.size, -(-earlier.size // most))
    return np.asarray(mean_probability(model, earlier.x[rows]).mean(axis=0))
