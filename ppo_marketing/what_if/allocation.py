"""One budget over several campaigns: more to whoever makes most of the next unit of money.

    max sum_i V_i(s_i)   with   sum_i s_i <= B   and   low_i <= s_i <= high_i

V_i concave and linear between points. Taking the steepest pieces first is then exact (the greedy
solution of a linear program whose pieces must be taken in order, which concavity guarantees).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppo_marketing.errors import UserError
from ppo_marketing.what_if.curve import Curve, concave

ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Campaign:
    """A curve and how much its spend may change: from `low` to `high` an episode.

    A locked campaign has low = high = what it spends now.
    """

    curve: Curve
    low: float
    high: float

    @property
    def name(self) -> str:
        """The campaign's name."""
        return self.curve.name


def campaign(
    curve: Curve, *, locked: bool = False, least: float = 0.0, most: float | None = None
) -> Campaign:
    """A campaign whose spend stays within [least, most] x what it spends now.

    `most` None: as far as the curve knows. Nothing beyond the curve's last point is ever allotted.
    """
    if locked:
        return Campaign(curve, curve.now, curve.now)
    end = float(curve.spend[-1])
    high = end if most is None else min(most * curve.now, end)
    return Campaign(curve, least * curve.now, high)


@dataclass(frozen=True)
class Allotted:
    """One campaign's share: spend and value now and then, and what the next unit would bring.

    `next_value` is value per unit of spend at the margin; None where no more may or can be spent.
    """

    name: str
    now: float
    spend: float
    value_now: float
    value: float
    next_value: float | None


@dataclass(frozen=True)
class Allocation:
    """How a budget is shared out. `left` is what no campaign can use within its limits and gain
    from; `gain` the value over today's shares of today's money."""

    total: float
    left: float
    shares: tuple[Allotted, ...]

    @property
    def value(self) -> float:
        """Of all campaigns."""
        return sum(share.value for share in self.shares)

    @property
    def gain(self) -> float:
        """Value less that of the shares as they are."""
        return self.value - sum(share.value_now for share in self.shares)


def allocate(campaigns: Sequence[Campaign], total: float, *, worth: float = 0.0) -> Allocation:
    """Share `total` out. Pieces that bring no more than `worth` a unit of spend are left alone.

    `worth` is 0 where value is what is left after spend, 1 where money must earn itself back, and
    anything else for a return on top.

    Raises UserError where limits contradict each other or the total; every problem is listed.
    """
    _refuse_impossible(campaigns, total)
    shaped = [concave(one.curve) for one in campaigns]
    spend = np.array([one.low for one in campaigns], np.float64)
    left = total - float(spend.sum())
    for slope, _, number, size in sorted(_pieces(campaigns, shaped), key=lambda p: (-p[0], p[1])):
        if slope <= worth or left <= 0:
            break
        taken = min(size, left)
        spend[number] += taken
        left -= taken
    shares = [
        Allotted(
            name=one.name,
            now=one.curve.now,
            spend=float(s),
            value_now=curve.value_at(one.curve.now),
            value=curve.value_at(float(s)),
            next_value=_next(curve, float(s), one.high),
        )
        for one, curve, s in zip(campaigns, shaped, spend, strict=True)
    ]
    return Allocation(total, max(left, 0.0), tuple(shares))


def next_money(
    campaigns: Sequence[Campaign], amount: float, *, worth: float = 0.0
) -> tuple[tuple[str, float, float], ...]:
    """Where the next `amount` goes if nothing else moves: (campaign, spend, value gained) each."""
    now = [Campaign(one.curve, one.curve.now, max(one.high, one.curve.now)) for one in campaigns]
    total = sum(one.low for one in now) + amount
    shared = allocate(now, total, worth=worth)
    return tuple(
        (share.name, share.spend - share.now, share.value - share.value_now)
        for share in shared.shares
    )


def _pieces(
    campaigns: Sequence[Campaign], shaped: Sequence[Curve]
) -> list[tuple[float, int, int, float]]:
    """(slope, place, campaign, size) of every stretch between its limits."""
    found = []
    for number, (one, curve) in enumerate(zip(campaigns, shaped, strict=True)):
        for place, slope in enumerate(curve.marginal.tolist()):
            start = max(float(curve.spend[place]), one.low)
            stop = min(float(curve.spend[place + 1]), one.high)
            if stop > start:
                found.append((slope, place, number, stop - start))
    return found


def _next(curve: Curve, spend: float, high: float) -> float | None:
    if spend >= min(high, float(curve.spend[-1])) - ROUNDING:
        return None
    place = int(np.searchsorted(curve.spend, spend + ROUNDING, side="right")) - 1
    return float(curve.marginal[min(place, len(curve.marginal) - 1)])


def _refuse_impossible(campaigns: Sequence[Campaign], total: float) -> None:
    problems = []
    names = [one.name for one in campaigns]
    if not campaigns:
        problems.append("no campaign is given: give at least one")
    if len(set(names)) < len(names):
        problems.append("two campaigns have the same name: rename one")
    if not 0 < total < np.inf:
        problems.append(f"the total is {total:g}: it must be above 0")
    for one in campaigns:
        end = float(one.curve.spend[-1])
        if one.low > one.high + ROUNDING:
            problems.append(
                f"{one.name}: at least {one.low:,.2f} and at most {one.high:,.2f} cannot both hold"
            )
        if one.low > end + ROUNDING:
            problems.append(f"{one.name}: its curve is known up to {end:,.2f}, below its least")
    least = sum(one.low for one in campaigns)
    if least > total + ROUNDING:
        problems.append(
            f"locks and least shares need {least:,.2f} and the total is {total:,.2f}: raise the "
            "total, or free a campaign"
        )
    if problems:
        raise UserError("the budget cannot be shared out so:\n  " + "\n  ".join(problems))
