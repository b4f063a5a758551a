"""The limits of a policy one by one: which a simulated world can ask about, alone and lifted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from envs.core.moments import Moments
from ppo_marketing.guardrails import GuardrailLimits, Quiet
from ppo_marketing.guardrails.guards import AmountLimits

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NO_DATES = Moments()
_CLOCK = {"hours": "hour", "weekdays": "weekday", "weeks": "week"}
"""What a world must tell for each kind of quiet time."""


class Part(NamedTuple):
    """One limit of several: its name, what it allows, itself alone, and the others without it."""

    name: str
    allows: str
    alone: GuardrailLimits
    others: GuardrailLimits


def simulated(
    limits: GuardrailLimits, moments: Moments = NO_DATES, units: int | None = None
) -> GuardrailLimits:
    """The limits that simulated episodes can ask about.

    `moments` tells which parts of a date the world knows; `units` how many units' episodes are
    like, None where an episode is not one unit's. Limits on earlier decisions are never asked.
    """
    return replace(
        limits.alone(),
        quiet=_quiet(limits.quiet, moments),
        suppressed=limits.suppressed if units else frozenset(),
        holdout=limits.holdout if units else None,
    )


def _quiet(quiet: Quiet | None, moments: Moments) -> Quiet | None:
    if quiet is None:
        return None
    unknown = [kind for kind, part in _CLOCK.items() if getattr(moments, part) is None]
    return _without(quiet, *unknown)


def _without(quiet: Quiet, *kinds: str) -> Quiet | None:
    """The quiet times but those of some kinds; None where none is left."""
    left = {kind: getattr(quiet, kind) for kind in _CLOCK if kind not in kinds}
    return Quiet(**left) if any(left.values()) else None


def not_simulated(limits: GuardrailLimits, asked: GuardrailLimits) -> tuple[str, ...]:
    """Those of the limits that `asked` does without, by their names in a configuration."""
    amounts = limits.amounts
    given = {
        "amounts.daily_change": amounts is not None and amounts.daily_change is not None,
        "amounts.daily_relative_change": amounts is not None
        and amounts.daily_relative_change is not None,
        "budget": limits.budget is not None,
        "contact_caps": bool(limits.contact_caps),
        **{
            f"quiet.{kind}": _has(limits.quiet, kind) and not _has(asked.quiet, kind)
            for kind in _CLOCK
        },
        "holdout.share": limits.holdout is not None and asked.holdout is None,
        "suppressed": bool(limits.suppressed) and not asked.suppressed,
        "changed_share": limits.changed_share is not None,
    }
    return tuple(name for name, left_out in given.items() if left_out)


def _has(quiet: Quiet | None, kind: str) -> bool:
    return quiet is not None and bool(getattr(quiet, kind))


def parts(
    held: GuardrailLimits, widest: AmountLimits | None, units: int | None = None
) -> tuple[Part, ...]:
    """The limits, as `simulated` leaves them, one by one.

    `widest` are the bounds of the action space, for amounts: within them nothing is limited.
    """
    free = _free(held, widest)
    return tuple(
        Part(name, allows, replace(free, **alone), replace(held, **others))
        for name, allows, alone, others in (*_decided(held, free), *_standing(held, units))
    )


def _free(held: GuardrailLimits, widest: AmountLimits | None) -> GuardrailLimits:
    """Limits that nothing within the action space breaks."""
    choices = None if held.choices is None else replace(held.choices, closed=())
    amounts = None
    if held.amounts is not None:
        assert widest is not None
        amounts = replace(widest, nothing=held.amounts.nothing)
    return GuardrailLimits(amounts=amounts, choices=choices)


Change = tuple[str, str, dict[str, Any], dict[str, Any]]
"""Name, what is allowed, what to set for this limit alone, what to lift for all but it."""


def _decided(held: GuardrailLimits, free: GuardrailLimits) -> Iterator[Change]:
    """Limits on what is decided."""
    if held.amounts is not None and free.amounts is not None:
        for name in ("floor", "cap", "change", "relative_change"):
            own, wide = getattr(held.amounts, name), getattr(free.amounts, name)
            if own != wide:
                yield (
                    f"amounts.{name}", f"{own:g}",
                    {"amounts": replace(free.amounts, **{name: own})},
                    {"amounts": replace(held.amounts, **{name: wide})},
                )  # fmt: skip
    if held.choices is not None and free.choices is not None:
        for choice in held.choices.closed:
            rest = tuple(one for one in held.choices.closed if one != choice)
            yield (
                "choices.closed", f"not {choice}",
                {"choices": replace(free.choices, closed=(choice,))},
                {"choices": replace(held.choices, closed=rest)},
            )  # fmt: skip
    if held.support is not None:
        yield (
            "support_margin",
            f"{held.support.margin:.0%}",
            {"support": held.support},
            {"support": None},
        )


def _standing(held: GuardrailLimits, units: int | None) -> Iterator[Change]:
    """Limits that hold whatever is decided: when, and for whom."""
    quiet = held.quiet
    if quiet is not None:
        told = {
            "hours": quiet.hours and f"not from {quiet.hours[0]} to {quiet.hours[1]} h",
            "weekdays": "not on " + ", ".join(WEEKDAYS[day] for day in quiet.weekdays),
            "weeks": "not in weeks " + ", ".join(map(str, quiet.weeks)),
        }
        for kind in _CLOCK:
            if value := getattr(quiet, kind):
                yield (
                    f"quiet.{kind}", str(told[kind]),
                    {"quiet": Quiet(**{kind: value})},
                    {"quiet": _without(quiet, kind)},
                )  # fmt: skip
    if held.suppressed:
        assert units is not None
        share = suppressed_share(held, units)
        yield (
            "suppressed", f"not {len(held.suppressed):,} ids, at most {share:.2g} of units",
            {"suppressed": held.suppressed}, {"suppressed": frozenset()},
        )  # fmt: skip
    if held.holdout is not None:
        yield (
            "holdout.share", f"{held.holdout.share:.0%} get {held.holdout.gets}",
            {"holdout": held.holdout}, {"holdout": None},
        )  # fmt: skip


def suppressed_share(limits: GuardrailLimits, units: int) -> float:
    """Of the units, how many a suppression list leaves alone at most: all ids are among them."""
    return min(1.0, len(limits.suppressed) / units)
