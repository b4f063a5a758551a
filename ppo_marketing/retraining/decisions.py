"""What becomes of a challenger: a pure function of what was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a retraining ends."""

    PROMOTED = "promoted"
    WAITING = "waiting"  # the challenger is there; a person has to agree
    KEPT = "kept"  # what runs today stays


@dataclass(frozen=True)
class Ending:
    """An outcome and its reasons, in words."""

    outcome: Outcome
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LiftOverChampion:
    """The challenger's value less the champion's on the same episodes, as shares of the ceiling."""

    value: float
    low: float
    champion_share: float


def decided(
    *,
    unchanged: bool,
    gate_reasons: tuple[str, ...],
    lift: LiftOverChampion | None,
    least_lift: float,
    incomparable: str | None,
    promote: bool,
) -> Ending:
    """Whether the challenger takes over; `unchanged` where it is the champion itself.

    `gate_reasons` are the gate's refusals, which hold it against rules and the log's own policy;
    `lift` is None where there is no champion, or one that cannot be compared for the reason
    `incomparable`. `least_lift` is a share of the champion's value: 0 asks for better, a negative
    one for not worse by more.
    """
    if unchanged:
        return Ending(Outcome.KEPT, ("no training went beyond the champion: it is the best found",))
    reasons = list(gate_reasons)
    if lift is not None:
        least = least_lift * lift.champion_share
        if not lift.low > least:
            reasons.append(
                f"not shown better than the champion: {100 * lift.value:+.2f} points of the "
                f"ceiling, at least {100 * lift.low:+.2f} with 95 % confidence; more than "
                f"{100 * least:+.2f} is asked for"
            )
    if reasons:
        return Ending(Outcome.KEPT, tuple(reasons))
    if incomparable is not None:
        said = f"{incomparable}; a person has to look (`regress`, then `promote`)"
        return Ending(Outcome.WAITING, (said,))
    if not promote:
        return Ending(Outcome.WAITING, ("retraining.promote is false: a person promotes it",))
    return Ending(Outcome.PROMOTED, ())
