"""Behavioural drift: what a challenger does otherwise than the champion, for whom, at what cost.

Both policies are asked what they would do in the same reference states; nothing is played. Money
and the share of decisions that change are of the actions as shipped (the most likely ones), KL and
total variation of the distributions behind them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.behaviour import Behaviour, Choices, Controls, require_comparable
from ppo_marketing.divergence import (
    Floats,
    categorical_kl,
    categorical_variation,
    gaussian_kl,
    gaussian_variation,
)
from ppo_marketing.errors import UserError

EVERYONE = "everyone"
AS_BEFORE = "as before"
"""Where a control comes from, and where it goes when it stays."""


@dataclass(frozen=True, kw_only=True)
class DriftBounds:
    """What a challenger may change; None leaves a measure unbounded.

    The reference is a total variation of .2, where the two policies can be played so that four
    decisions in five agree; it is also the share that the gate's support check tolerates outside
    what the log shows. By Pinsker's inequality TV <= sqrt(KL / 2), a KL of .08 nats guarantees it.
    A single state may go as far as .5 nats (TV <= .5): still more often alike than not. Money has
    the same fifth. In one segment twice as much may change as overall.

    Raises:
        UserError: a bound is not a positive number; all such are listed.
    """

    mean_kl: float | None = 0.08
    kl_95: float | None = 0.5
    total_variation: float | None = 0.2
    changed: float | None = 0.2
    control_change: float | None = None  # in the market's unit, which no default can know
    money_moved: float | None = 0.2  # of the money that the champion's decisions cost
    segment_factor: float = 2.0
    same_within: float = 0.05
    """Controls nearer than this are the same decision: 5 % where they are logarithms."""
    least_decisions: int = 100
    """Of fewer decisions nothing is said: a share of .2 has a standard error of .04 then."""

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value!r}"
            for name, value in vars(self).items()
            if value is not None
            and not 0 < value < math.inf
            and (name, value) != ("same_within", 0)
        ]
        if wrong:
            raise UserError(
                f"bounds of drift must be positive numbers, or null: {'; '.join(wrong)}"
            )


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far challenger and champion lie apart over the decisions of one segment.

    KL(challenger ‖ champion) in nats, infinite where the challenger may do what the champion never
    does; `infinite_kl` is the share of such decisions. `changed` is the share of shipped actions
    that differ, `control_change` the mean absolute difference of a control. `money_moved` is the
    mean absolute and `money_change` the mean signed difference a decision, `money` the champion's
    own mean absolute amount.
    """

    segment: str
    decisions: int
    mean_kl: float
    kl_95: float
    infinite_kl: float
    total_variation: float
    changed: float
    control_change: float | None
    money: float | None
    money_moved: float | None
    money_change: float | None

    @property
    def money_share(self) -> float | None:
        """Money moved as a share of the champion's own; infinite where that is nothing."""
        if self.money is None or self.money_moved is None:
            return None
        if self.money_moved == 0:
            return 0.0
        return self.money_moved / self.money if self.money > 0 else math.inf


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The decisions that go from one action to another.

    `share` is of all decisions; `money_change` a decision of the whole reference set, so that the
    flows add up to the total.
    """

    origin: str
    target: str
    share: float
    money_change: float | None


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What the challenger changes; `reasons` are the bounds that it breaks, in words.

    `too_few` names segments that were measured and not judged.
    """

    overall: Distance
    segments: tuple[Distance, ...]
    flows: tuple[Flow, ...]
    reasons: tuple[str, ...]
    too_few: tuple[str, ...]

    @property
    def within_bounds(self) -> bool:
        """Whether no bound is broken."""
        return not self.reasons

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which knows no infinity: it is written as the text "infinite"."""
        plain: dict[str, Any] = _without_infinity(asdict(self))
        return {**plain, "within_bounds": self.within_bounds}


def drift(
    champion: Behaviour,
    challenger: Behaviour,
    *,
    segment: Any = None,
    labels: Sequence[str] | None = None,
    bounds: DriftBounds | None = None,
) -> Drift:
    """Measure and judge what the challenger does otherwise in n reference states.

    `segment` `[n]` names each state's segment (None: no parting); `labels` names the A actions.

    Raises:
        UserError: the arrays do not fit together or are no distributions; every problem is listed.
    """
    limits = bounds or DriftBounds()
    require_comparable(champion, challenger, segment, labels)
    measured = _Measured.of(champion, challenger, limits)
    overall = measured.over(EVERYONE, np.ones(len(measured.kl), bool))
    names = np.array([], str) if segment is None else np.asarray(segment).astype(str)
    segments = tuple(measured.over(str(name), names == name) for name in np.unique(names))
    judged = [s for s in segments if s.decisions >= limits.least_decisions]
    reasons = [*_broken(overall, limits, 1.0)]
    if overall.decisions < limits.least_decisions:
        reasons.insert(
            0,
            f"{overall.decisions} reference states are too few to say: take "
            f"{limits.least_decisions} or more",
        )
    reasons += [reason for s in judged for reason in _broken(s, limits, limits.segment_factor)]
    return Drift(
        overall=overall,
        segments=segments,
        flows=_flows(champion, challenger, measured, labels),
        reasons=tuple(reasons),
        too_few=tuple(s.segment for s in segments if s.decisions < limits.least_decisions),
    )


@dataclass(frozen=True)
class _Measured:
    """Every state's numbers, each `[n]`."""

    kl: Floats
    variation: Floats
    changed: NDArray[np.bool_]
    control_change: Floats | None
    money: Floats | None
    money_change: Floats | None

    @classmethod
    def of(cls, champion: Behaviour, challenger: Behaviour, bounds: DriftBounds) -> _Measured:
        money = change = None
        if champion.money is not None and challenger.money is not None:
            money = np.asarray(champion.money, np.float64)
            change = np.asarray(challenger.money, np.float64) - money
        if isinstance(champion, Choices):
            assert isinstance(challenger, Choices)
            p, q = challenger.probability, champion.probability
            changed = np.asarray(challenger.action) != np.asarray(champion.action)
            kl, variation = categorical_kl(p, q), categorical_variation(p, q)
            return cls(kl, variation, changed, None, money, change)
        assert isinstance(challenger, Controls)
        both = (challenger.mean, challenger.log_std, champion.mean, champion.log_std)
        moved = _moved(champion, challenger)
        changed = np.abs(moved) > bounds.same_within
        kl, variation = gaussian_kl(*both), gaussian_variation(*both)
        return cls(kl, variation, changed, np.abs(moved), money, change)

    def over(self, segment: str, rows: NDArray[np.bool_]) -> Distance:
        def mean(values: Floats | None) -> float | None:
            return None if values is None else float(values[rows].mean())

        kl = self.kl[rows]
        return Distance(
            segment=segment,
            decisions=int(rows.sum()),
            mean_kl=float(kl.mean()),
            # Between a finite and an infinite neighbour nothing can be interpolated.
            kl_95=float(np.quantile(kl, 0.95, method="higher")),
            infinite_kl=float(np.isinf(kl).mean()),
            total_variation=float(self.variation[rows].mean()),
            changed=float(self.changed[rows].mean()),
            control_change=mean(self.control_change),
            money=mean(None if self.money is None else np.abs(self.money)),
            money_moved=mean(None if self.money_change is None else np.abs(self.money_change)),
            money_change=mean(self.money_change),
        )


def _moved(champion: Controls, challenger: Controls) -> Floats:
    return np.asarray(challenger.control, np.float64) - np.asarray(champion.control, np.float64)


def _broken(distance: Distance, bounds: DriftBounds, factor: float) -> list[str]:
    """The bounds that a segment breaks, each with what was found and what is allowed."""
    checks = [
        ("mean KL", distance.mean_kl, bounds.mean_kl, " nats"),
        ("95th percentile of KL", distance.kl_95, bounds.kl_95, " nats"),
        ("total variation", distance.total_variation, bounds.total_variation, ""),
        ("share of decisions that change", distance.changed, bounds.changed, ""),
        ("mean change of the control", distance.control_change, bounds.control_change, ""),
        ("money moved, of the champion's own,", distance.money_share, bounds.money_moved, ""),
    ]
    reasons = []
    for name, found, bound, unit in checks:
        if found is None or bound is None:
            continue
        allowed = bound * factor
        if found > allowed:
            text = "infinite" if math.isinf(found) else f"{found:.3g}{unit}"
            if name == "mean KL" and distance.infinite_kl:
                text += (
                    f" (in {distance.infinite_kl:.1%} of decisions the challenger may do what the "
                    "champion never does)"
                )
            reasons.append(f"{distance.segment}: {name} is {text}, allowed {allowed:.3g}{unit}")
    return reasons


def _flows(
    champion: Behaviour,
    challenger: Behaviour,
    measured: _Measured,
    labels: Sequence[str] | None,
) -> tuple[Flow, ...]:
    """From each action to each; for controls, the decisions that go lower, stay and go higher."""
    if isinstance(champion, Choices) and isinstance(challenger, Choices):
        count = champion.probability.shape[1]
        names = list(labels or map(str, range(count)))
        origin, target = (np.asarray(who.action, np.int64) for who in (champion, challenger))
        targets = names
    else:
        assert isinstance(champion, Controls)
        assert isinstance(challenger, Controls)
        names, targets = [AS_BEFORE], ["lower", AS_BEFORE, "higher"]
        origin = np.zeros(len(measured.kl), np.int64)
        sign = np.sign(_moved(champion, challenger)) * measured.changed
        target = sign.astype(np.int64) + 1
    number = origin * len(targets) + target
    change = measured.money_change
    flows = [
        Flow(
            origin=names[code // len(targets)],
            target=targets[code % len(targets)],
            share=float((number == code).mean()),
            money_change=None if change is None else float((change * (number == code)).mean()),
        )
        for code in np.unique(number)
    ]
    return tuple(sorted(flows, key=lambda flow: -flow.share))


def _without_infinity(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_infinity(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(inner) for inner in value]
    return "infinite" if isinstance(value, float) and math.isinf(value) else value
