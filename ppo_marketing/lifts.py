"""What a policy earns beyond each that it is compared with, in money and in doubt."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ppo_marketing.evaluation import Estimate, Evidence, Row, bootstrap_means

Beside = Literal["floor", "logging", "rule", "champion"]

WHO: dict[Beside, str] = {
    "floor": "doing nothing",
    "logging": "the log's own policy",
    "rule": "the best rule",
    "champion": "the champion",
}


@dataclass(frozen=True)
class Lift:
    """The policy above one other, paired by episode.

    `money` is in currency an episode, None in records that do not keep it; `points` of the ceiling.
    `probability` is P(lift > 0) over other episodes of the same simulator; None where the two never
    differ, since a tie has no such chance.
    """

    beside: Beside
    name: str
    money: Estimate | None
    points: Estimate | None
    probability: float | None

    @property
    def who(self) -> str:
        """The other, in words."""
        return f"{WHO[self.beside]}, {self.name}" if self.beside == "rule" else WHO[self.beside]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class PairedLift(NamedTuple):
    """What one actor earns above another in the same episodes, P(lift > 0) by the bootstrap.

    The probability is of other episodes of the same simulator, as every interval here.
    """

    value: Estimate
    probability: float
    mine: Estimate
    theirs: Estimate


def paired_lift(
    mine: NDArray[np.float64],
    theirs: NDArray[np.float64],
    *,
    unit: str,
    repetitions: int,
    rng: Generator,
) -> PairedLift:
    """Mean of mine_i - theirs_i over the same n episodes, `[n]` each, resampled in pairs.

    P(lift > 0) is the share of resampled means above 0: 0 where the two never differ.
    """
    draws = bootstrap_means(np.stack([mine - theirs, mine, theirs]), repetitions, rng)
    n = float(len(mine))

    def estimate(values: NDArray[np.float64], means: NDArray[np.float64]) -> Estimate:
        low, high = np.quantile(means, [0.025, 0.975])
        return Estimate(float(values.mean()), float(low), float(high), n, unit)

    return PairedLift(
        value=estimate(mine - theirs, draws[0]),
        probability=float((draws[0] > 0).mean()),
        mine=estimate(mine, draws[1]),
        theirs=estimate(theirs, draws[2]),
    )


def lifts(evidence: Evidence, champion: PairedLift | None = None) -> tuple[Lift, ...]:
    """Above doing nothing, the log's own policy, the best rule and the champion, as far as known.

    `champion` is a comparison made since; without one, it is the champion that was judged along.
    """
    kinds: tuple[Beside, ...] = ("floor", "logging", "rule", "champion")
    found = [
        _of(row, kind)
        for kind in kinds
        for row in evidence.rows
        if row.kind == kind and (kind != "rule" or row.name == evidence.best_rule)
    ]
    if champion is None:
        return tuple(found)
    money, probability = champion.value, champion.probability
    now = Lift("champion", "champion", money, None, None if _tied(money) else probability)
    return (*(lift for lift in found if lift.beside != "champion"), now)


def _of(row: Row, kind: Beside) -> Lift:
    tied = row.policy_lift is None or _tied(row.policy_lift)
    probability = None if tied else row.probability_of_lift
    return Lift(kind, row.name, row.value_lift, row.policy_lift, probability)


def _tied(lift: Estimate) -> bool:
    return lift.low == lift.high == 0
