"""What is asked of `/v1/decide`: read strictly, every problem at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.errors import meant
from ppo_marketing.serve.body import BadRequest
from ppo_marketing.serve.settings import RequestLimits
from ppo_marketing.serve.words import Words

KEYS = ("id", "observation", "mask", "unit", "hour", "cost", "context")
LONGEST_TEXT = 200
MOST_PROBLEMS = 20
ROUNDING = 1e-6
"""By how much single precision may leave a range; the value is then its edge."""

_SCALARS = (str, int, float, bool, type(None))


class Questions(NamedTuple):
    """`n` decisions as the guards take them; what nobody gave is None."""

    ids: list[str | None]
    observation: NDArray[np.float64]  # [n, obs], NaN where unknown
    mask: NDArray[np.bool_] | None  # [n, choices]
    units: list[Any] | None
    hour: NDArray[np.float64] | None  # [n]
    cost: NDArray[np.float64] | None  # [n] or [n, choices]
    context: list[Mapping[str, Any]]


def read_questions(body: Any, words: Words, choices: int, limits: RequestLimits) -> Questions:
    """The decisions that a body asks for.

    `null` in an observation is a value that is not known: the fallback decides there.

    Raises:
        BadRequest: says of everything that is wrong what is allowed.
    """
    problems: list[str] = []
    asked = _decisions(body, words, limits)
    rows = [_row(one, f"decisions[{i}]", words, problems) for i, one in enumerate(asked)]
    columns = [
        _optional(one, f"decisions[{i}]", choices, limits, problems) for i, one in enumerate(asked)
    ]
    if problems:
        more = len(problems) - MOST_PROBLEMS
        raise BadRequest(*problems[:MOST_PROBLEMS], *([f"{more} more"] if more > 0 else []))
    mask = _together([one["mask"] for one in columns], np.ones(choices, np.bool_))
    cost = _together([one["cost"] for one in columns], np.full(choices or 1, np.nan))
    return Questions(
        ids=[one["id"] for one in columns],
        observation=np.array(rows, np.float64),
        mask=mask,
        units=_given([one["unit"] for one in columns]),
        hour=_together([one["hour"] for one in columns], np.array(np.nan)),
        cost=cost if cost is None or choices else cost[:, 0],
        context=[one["context"] for one in columns],
    )


def _decisions(body: Any, words: Words, limits: RequestLimits) -> list[dict[str, Any]]:
    if not isinstance(body, dict) or not isinstance(body.get("decisions"), list):
        raise BadRequest('the body must be {"decisions": [{"observation": ...}, ...]}')
    problems = [
        f"{_short(name)}: unknown; known: decision, decisions"
        for name in body
        if name not in ("decision", "decisions")
    ]
    if body.get("decision", words.decision) != words.decision:
        problems.append(f"decision must be {words.decision!r}: no other is decided here")
    asked = body["decisions"]
    if not 1 <= len(asked) <= limits.decisions:
        problems.append(
            f"decisions holds {len(asked)}: it must hold 1 to {limits.decisions} in a request"
        )
    elif not all(isinstance(one, dict) for one in asked):
        problems.append("decisions must hold `name: value` objects")
    else:
        unknown = {name for one in asked for name in one if name not in KEYS}
        problems += [
            f"decisions: unknown {_short(name)}; {meant(_short(name), KEYS)}"
            for name in sorted(unknown)[:5]
        ]
    if problems:
        raise BadRequest(*problems)
    return list(asked)


def _row(one: Mapping[str, Any], place: str, words: Words, problems: list[str]) -> list[float]:
    """The observation in order; problems are recorded."""
    given = one.get("observation")
    if isinstance(given, dict):
        unknown = [name for name in given if name not in words.names]
        missing = [name for name in words.names if name not in given]
        problems += [
            f"{place}.observation: unknown {_short(name)}; {meant(_short(name), words.names)}"
            for name in unknown[:5]
        ]
        if missing:
            problems.append(f"{place}.observation: missing {', '.join(missing)}")
        if unknown or missing:
            return []
        given = [given[name] for name in words.names]
    if not isinstance(given, list) or len(given) != len(words.names):
        problems.append(
            f"{place}.observation: it must hold {len(words.names)} numbers, or these by name: "
            f"{', '.join(words.names)}"
        )
        return []
    known = _all_within(given, words)
    if known is not None:
        return known
    return [
        _within(value, f"{place}.observation.{name}", low, high, problems)
        for value, name, low, high in zip(
            given, words.names, words.low.tolist(), words.high.tolist(), strict=True
        )
    ]


def _all_within(given: list[Any], words: Words) -> list[float] | None:
    """The values, where all are known and in range, as most always are; None else."""
    if not set(map(type, given)) <= {int, float}:
        return None
    try:
        values = np.array(given, np.float64)
    except OverflowError:
        return None
    # Infinite bounds would let infinity through.
    if not (np.isfinite(values) & (values >= words.low) & (values <= words.high)).all():
        return None
    found: list[float] = values.tolist()
    return found


def _within(value: Any, place: str, low: float, high: float, problems: list[str]) -> float:
    if value is None:
        return math.nan
    number = as_number(value)
    if number is None or not low - ROUNDING <= number <= high + ROUNDING:
        problems.append(f"{place} is {_short(value)}: it must be {_allowed(low, high)}, or null")
        return math.nan
    return min(max(number, low), high)


def _allowed(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return "a finite number"
    return f"a number from {low:g} to {high:g}"


def as_number(value: Any) -> float | None:
    """A JSON value as a finite number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def as_whole(value: Any) -> int | None:
    """A JSON value as a whole number, 3.0 as 3, as JSON Schema has it; None where it is none."""
    number = as_number(value)
    if number is None or number != int(number) or abs(number) >= 2**63:
        return None
    return int(value)


def _optional(
    one: Mapping[str, Any], place: str, choices: int, limits: RequestLimits, problems: list[str]
) -> dict[str, Any]:
    """Everything beside the observation; None where it was not given."""
    found: dict[str, Any] = {name: one.get(name) for name in KEYS}
    if not isinstance(found["id"], str | None) or len(found["id"] or "") > LONGEST_TEXT:
        problems.append(f"{place}.id must be text of at most {LONGEST_TEXT} characters")
    if found["unit"] is not None and not isinstance(found["unit"], str):
        found["unit"] = as_whole(found["unit"])
        if found["unit"] is None:
            problems.append(f"{place}.unit must be text or a whole number of 64 bits")
    elif len(found["unit"] or "") > LONGEST_TEXT:
        problems.append(f"{place}.unit must be text of at most {LONGEST_TEXT} characters")
    if found["hour"] is not None:
        found["hour"] = as_number(found["hour"])
        if found["hour"] is None or not 0 <= found["hour"] < 24:
            problems.append(f"{place}.hour must be a number from 0 up to but not including 24")
    found["mask"] = _mask(found["mask"], place, choices, problems)
    found["cost"] = _cost(found["cost"], place, choices, problems)
    context = found["context"] = {} if found["context"] is None else found["context"]
    if not isinstance(context, dict) or len(context) > limits.context:
        problems.append(f"{place}.context must be at most {limits.context} `name: value` pairs")
    elif not all(
        isinstance(value, _SCALARS) and len(name) <= LONGEST_TEXT and len(str(value)) <= 1000
        for name, value in context.items()
    ):
        problems.append(f"{place}.context must hold short texts, numbers, true, false or null")
    return found


def _mask(given: Any, place: str, choices: int, problems: list[str]) -> Any:
    if given is None:
        return None
    good = isinstance(given, list) and len(given) == choices and choices > 0
    if not good or not all(value in (0, 1) and isinstance(value, int) for value in given):
        allowed = f"{choices} times true or false" if choices else "left out: nothing is chosen"
        problems.append(f"{place}.mask must be {allowed}")
        return None
    return np.array(given, np.bool_)


def _cost(given: Any, place: str, choices: int, problems: list[str]) -> Any:
    if given is None:
        return None
    several = given if isinstance(given, list) else [given] * (choices or 1)
    numbers = [as_number(value) for value in several]
    if len(numbers) != (choices or 1) or any(n is None or n < 0 for n in numbers):
        each = f"or one for each of {choices} choices" if choices else "for each 1 of the amount"
        problems.append(f"{place}.cost must be a number of 0 or more, {each}")
        return None
    return np.array(numbers, np.float64)


def _together(values: list[Any], otherwise: NDArray[Any]) -> NDArray[Any] | None:
    if all(value is None for value in values):
        return None
    return np.stack([otherwise if value is None else np.asarray(value) for value in values])


def _given(values: list[Any]) -> list[Any] | None:
    return None if all(value is None for value in values) else values


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, str) else value
    return text if len(text) <= 40 else f"{text[:37]}..."
