"""What guards are told about a batch of decisions, checked before anything is decided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppo_marketing.errors import UserError
from ppo_marketing.guardrails.limits import GuardrailLimits

EPOCH = date(1970, 1, 1).toordinal()
LAST_DAY = date.max.toordinal() - EPOCH


@dataclass(frozen=True, kw_only=True)
class Context:
    """What is known of `n` decisions, all of one day; only what the limits need must be given.

    | field | shape | meaning |
    |---|---|---|
    | observation | [n, obs] | what the policy sees |
    | mask | [n, choices] | non-zero where a choice is allowed |
    | unit | [n] | ids, text or whole numbers: the customer, the visitor |
    | hour | [n] | local time, 0 up to but not including 24 |
    | cost | [n] or [n, choices] | most that it can cost: per 1 of amount, or by choice; currency |
    | day | | days since 1970-01-01 of the calendar that the books are kept in |
    """

    observation: ArrayLike | None = None
    mask: ArrayLike | None = None
    unit: Sequence[object] | None = None
    hour: ArrayLike | None = None
    cost: ArrayLike | None = None
    day: float | None = None


class Asked(NamedTuple):
    """A batch as the guards take it; where something is unreadable it says so by None or NaN."""

    proposed: NDArray[np.float64]  # [n, d]
    champion: NDArray[np.float64]  # [n, d]
    shape: tuple[int, ...]
    observation: NDArray[np.float64] | None
    allowed: NDArray[np.bool_] | None  # [n, choices], closed ones and `nothing` included
    units: Sequence[str | None] | None
    hour: NDArray[np.float64] | None
    cost: NDArray[np.float64] | None
    day: int | None

    @property
    def n(self) -> int:
        """The number of decisions."""
        return len(self.proposed)


def checked(
    limits: GuardrailLimits, proposed: ArrayLike, champion: ArrayLike, context: Context
) -> Asked:
    """Bring a batch into the guards' form.

    Raises:
        UserError: lists every wrong shape and type, everything that the limits need and was not
            given, and decisions that have no allowed choice where there is no `nothing`.
    """
    problems: list[str] = []
    first = _numbers("the proposal", proposed, problems)
    second = _numbers("the champion's proposal", champion, problems)
    if first is not None and second is not None and first.shape != second.shape:
        problems.append(f"the champion's proposal is {second.shape}: it must be {first.shape} too")
    wanted = "[n] or [n, d]" if limits.amounts is not None else "[n]"
    if first is not None and first.ndim not in ((1, 2) if limits.amounts is not None else (1,)):
        problems.append(f"the proposal is {first.shape}: it must be {wanted}")
    elif limits.keeps_books and first is not None and first.ndim == 2 and first.shape[1] != 1:
        problems.append(
            f"the proposal is {first.shape}: budgets, caps and daily limits hold one amount a "
            "decision, [n] or [n, 1]"
        )
    n = 0 if first is None or first.ndim == 0 else len(first)
    problems += [
        f"{name} is missing: the limits need it of every decision"
        for name in limits.needs
        if getattr(context, name) is None
    ]
    observation = _observation(limits, context, n, problems)
    allowed = _allowed(limits, context, n, problems)
    hour = _of_decisions("hour", context.hour, (n,), problems)
    cost = _cost(limits, context, n, problems)
    units = _units(context.unit, n, problems)
    day = _day(context.day, problems)
    if problems:
        raise UserError("guardrails cannot take these decisions: " + "; ".join(problems))
    assert first is not None
    assert second is not None
    wide = (n, *first.shape[1:]) if first.ndim == 2 else (n, 1)
    return Asked(
        first.reshape(wide), second.reshape(wide), first.shape, observation, allowed, units, hour,
        cost, day,
    )  # fmt: skip


def static_mask(limits: GuardrailLimits, mask: NDArray[Any] | None, n: int) -> NDArray[np.bool_]:
    """What the mask and the closed choices leave, with `nothing`: `[n, choices]`."""
    menu = limits.choices
    assert menu is not None
    allowed = np.ones((n, menu.choices), np.bool_)
    if mask is not None:
        given = np.asarray(mask)
        allowed &= (given != 0) & np.isfinite(given)
    allowed[:, list(menu.closed)] = False
    if menu.nothing is not None:
        allowed[:, menu.nothing] = True
    return allowed


def calendar(day: int) -> tuple[int, int]:
    """The weekday (0: Monday) and the week of the year (0 to 51) of a day since 1970-01-01."""
    that = date.fromordinal(EPOCH + day)
    return that.weekday(), min((that.timetuple().tm_yday - 1) // 7, 51)


def _numbers(name: str, values: object, problems: list[str]) -> NDArray[np.float64] | None:
    try:
        array = np.asarray(values)
    except ValueError:  # ragged
        problems.append(f"{name} is ragged: every decision needs as many numbers")
        return None
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        problems.append(f"{name} is {array.dtype} of shape {array.shape}: it must be real numbers")
        return None
    with np.errstate(over="ignore"):  # beyond a double is infinite, and infinite is guarded
        return array.astype(np.float64)


def _of_decisions(
    name: str, values: object, shape: tuple[int, ...], problems: list[str]
) -> NDArray[np.float64] | None:
    if values is None:
        return None
    array = _numbers(name, values, problems)
    if array is not None and array.shape != shape:
        problems.append(f"{name} is {array.shape}: it must be {shape}")
        return None
    return array


def _observation(
    limits: GuardrailLimits, context: Context, n: int, problems: list[str]
) -> NDArray[np.float64] | None:
    if context.observation is None:
        if limits.support is not None:
            problems.append("observation is missing: the support is checked on it")
        return None
    array = _numbers("observation", context.observation, problems)
    if array is None:
        return None
    size = None if limits.support is None else len(limits.support.low)
    if array.ndim != 2 or len(array) != n or size not in (None, array.shape[-1]):
        wanted = f"({n}, {'any' if size is None else size})"
        problems.append(f"observation is {array.shape}: it must be {wanted}")
        return None
    return array


def _allowed(
    limits: GuardrailLimits, context: Context, n: int, problems: list[str]
) -> NDArray[np.bool_] | None:
    if limits.choices is None:
        return None
    mask = _of_decisions("mask", context.mask, (n, limits.choices.choices), problems)
    if mask is None and context.mask is not None:
        return None
    allowed = static_mask(limits, mask, n)
    shut = np.flatnonzero(~allowed.any(axis=1))
    if len(shut):
        problems.append(
            f"{len(shut)} decisions allow no choice at all (the first is number {shut[0]}): set "
            "choices.nothing to the one that leaves everybody alone"
        )
    return allowed


def _cost(
    limits: GuardrailLimits, context: Context, n: int, problems: list[str]
) -> NDArray[np.float64] | None:
    shape = (n,) if limits.choices is None else (n, limits.choices.choices)
    return _of_decisions("cost", context.cost, shape, problems)


def _units(
    units: Sequence[object] | None, n: int, problems: list[str]
) -> Sequence[str | None] | None:
    if units is None:
        return None
    if isinstance(units, str) or len(units) != n:
        problems.append(f"unit is {str(units)[:60]!r}: it must be a list of {n} ids")
        return None
    return [_unit(one) for one in units]


def _unit(one: object) -> str | None:
    """The id as text; None where it is none: empty, NaN, a truth value."""
    if isinstance(one, str) and one:
        return str(one)
    if isinstance(one, int | np.integer) and not isinstance(one, bool):
        return str(int(one))
    return None


def _day(day: object, problems: list[str]) -> int | None:
    """The day as a whole number; None where it cannot be one of the calendar."""
    if day is None:
        return None
    if isinstance(day, bool) or not isinstance(day, int | float | np.integer | np.floating):
        problems.append(f"day is {day!r}: it must be a number of days since 1970-01-01")
        return None
    if isinstance(day, float | np.floating) and not math.isfinite(day):
        return None
    return int(day) if day == int(day) and 0 <= day <= LAST_DAY else None
