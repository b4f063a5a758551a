"""What a log can and cannot say: support, effective positives and one named verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.personalization.model import Bools, Floats, RewardModel, mean_probability
from envs.personalization.off_policy import PolicyValue, policy_value
from envs.personalization.visits import Visits

LEAST_POSITIVES = 100
MOST_UNSUPPORTED = 0.05
LEAST_CELL_ROWS = 30
_CELL_BITS = 3  # contexts are told apart by the signs of their first three components


class Verdict(Enum):
    """What may be concluded from one log about the policy that the fitted model prefers."""

    TOO_FEW_POSITIVES = "too few effective positives"
    UNSUPPORTED = "not supported by the log"
    NOT_IDENTIFIED = "assumed, not identified"
    NOT_BETTER = "not shown better than the log's own policy"
    BETTER = "shown better than the log's own policy"


@dataclass(frozen=True)
class Evidence:
    """The held-out value of the model's own choice and of simple policies, and the verdict.

    `positives` are the rewards of the whole log that fell on what a model fitted to the other part
    would have shown: the earlier model looks at the later rows, the later at the earlier.
    `unsupported` is the share of the greedy policy's impressions on (context cell, item) pairs with
    fewer than 30 impressions in the earlier part.
    """

    values: Mapping[str, PolicyValue]
    positives: float
    unsupported: float
    verdict: Verdict

    @property
    def greedy(self) -> PolicyValue:
        """The policy that always shows what the model holds best."""
        return self.values["greedy"]

    def notes(self) -> list[str]:
        """The evidence in words; the verdict last."""
        g = self.greedy
        sd = 1.96 * g.sd
        return [
            "held-out evidence on the model's greedy choice: effective sample size "
            f"{g.effective_n:,.0f} of {g.impressions:,.0f} impressions (largest weight "
            f"{g.largest_weight:,.0f}), unsupported mass {100 * self.unsupported:.1f} %, effective "
            f"positives {self.positives:,.0f} (each part looked at by the other's model)",
            f"its value by DR {g.doubly_robust:.3g} +- {sd:.2g}, SNIPS {g.snips:.3g}, IPS "
            f"{g.ips:.3g}, by the model {g.model:.3g}; lift over the log's own {g.lift:.2g} (95 % "
            f"from {g.lift_low:.2g})",
            f"verdict: {self.verdict.value}",
        ]


def gather_evidence(
    model: RewardModel,
    earlier: Visits,
    later: Visits,
    propensity: Floats,
    logging: Floats,
    identified: bool,
    rng: Generator,
    shift: Floats | None = None,
    later_model: RewardModel | None = None,
) -> Evidence:
    """Judge what the model prefers on the later rows, each as a decision of its own.

    `propensity [M]` and `logging [M, A]` are those of the later rows, logged or estimated; `shift
    [M]` is what boredom takes off the logits of a row, where the log has sessions. `later_model`,
    fitted to the later rows, looks at the earlier ones (by default the model itself does).
    """
    q = mean_probability(model, later.x)
    allowed = np.ones(q.shape, np.bool_) if later.eligible is None else later.eligible
    targets = {
        "greedy": greedy_choice(q, allowed),
        "uniform": allowed / allowed.sum(axis=1, keepdims=True),
        "best fixed item": greedy_choice(
            np.broadcast_to(_fixed_values(model, earlier), q.shape), allowed
        ),
        "logging": logging,
    }
    at_position = q_at_position(model, later, q, shift)
    values = {
        name: policy_value(
            name, target, at_position, later.item, propensity, later.reward, later.weight,
            later.unit, rng,
        )
        for name, target in targets.items()
    }  # fmt: skip
    positives = values["greedy"].positives + _positives(later_model or model, earlier)
    unsupported = unsupported_mass(targets["greedy"], earlier, later)
    verdict = _verdict(values["greedy"], positives, unsupported, identified)
    return Evidence(values, positives, unsupported, verdict)


def _positives(model: RewardModel, visits: Visits) -> float:
    """Rewards that fell on the model's own choice."""
    q = mean_probability(model, visits.x)
    if visits.pool_items is not None:
        q = np.where(visits.pool_items[visits.pool], q, -np.inf)
    matched = q.argmax(axis=1) == visits.item
    return float((visits.weight * visits.reward)[matched].sum())


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


def unsupported_mass(target: Floats, earlier: Visits, later: Visits) -> float:
    """Share of the target's later mass on (context cell, item) with < 30 earlier impressions."""
    cell_of = _cells(earlier.x)
    size = (1 << _CELL_BITS, target.shape[1])
    seen = np.bincount(
        cell_of(earlier.x) * size[1] + earlier.item, weights=earlier.weight,
        minlength=size[0] * size[1],
    ).reshape(size)  # fmt: skip
    thin = seen[cell_of(later.x)] < LEAST_CELL_ROWS
    mass = (target * thin).sum(axis=1)
    return float(np.average(mass, weights=later.weight))


def _cells(x: NDArray[np.float32]) -> Callable[[NDArray[np.float32]], NDArray[np.int64]]:
    """Cuts contexts into eight cells by the signs of their leading components."""
    centre = x.mean(axis=0)
    covariance = np.atleast_2d(np.cov(x - centre, rowvar=False))
    leading = np.linalg.eigh(covariance)[1][:, ::-1][:, :_CELL_BITS]

    def cell_of(rows: NDArray[np.float32]) -> NDArray[np.int64]:
        above = (rows - centre) @ leading > 0
        return np.asarray(above @ (1 << np.arange(above.shape[1])), np.int64)

    return cell_of


def _fixed_values(model: RewardModel, earlier: Visits) -> Floats:
    """The mean q of every item over the earlier contexts, `[A]`."""
    rows = np.arange(0, earlier.size, -(-earlier.size // 20_000))
    return np.asarray(mean_probability(model, earlier.x[rows]).mean(axis=0))


def _verdict(
    greedy: PolicyValue, positives: float, unsupported: float, identified: bool
) -> Verdict:
    if positives < LEAST_POSITIVES:
        return Verdict.TOO_FEW_POSITIVES
    if not identified:
        return Verdict.NOT_IDENTIFIED
    if unsupported > MOST_UNSUPPORTED:
        return Verdict.UNSUPPORTED
    return Verdict.BETTER if greedy.lift_low > 0 else Verdict.NOT_BETTER
