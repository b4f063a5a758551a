"""Frozen values to and from plain JSON values, strictly, with nothing but the standard library.

What is exported is read where neither pydantic nor torch is installed.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

from ppo_marketing.errors import UserError

T = TypeVar("T")

Check = tuple[str, object, bool, str]
"""(name, value, whether it is allowed, what is allowed)."""


class UnusableLimits(UserError, ValueError):
    """A limit contradicts itself; also a ValueError, so that pydantic lists it beside others."""


def refuse_unless(what: str, *checks: Check) -> None:
    """Raise one UnusableLimits that lists every check that failed."""
    failed = [
        f"{name} is {value!r}: it must be {allowed}" for name, value, good, allowed in checks
        if not good
    ]  # fmt: skip
    if failed:
        raise UnusableLimits(f"{what} cannot be used: " + "; ".join(failed))


def as_plain(value: Any) -> Any:
    """The value as JSON takes it: mappings, lists, numbers and text; sets are sorted."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [as_plain(item) for item in value]
    return value


def from_plain(kind: type[T], values: object, what: str) -> T:
    """Read what `as_plain` wrote of a dataclass `kind`.

    Raises:
        UserError: lists every unknown name, missing value, wrong type and contradiction.
    """
    problems: list[str] = []
    built = _dataclass(kind, values, what, problems)
    if problems:
        raise UserError(f"{what} cannot be read:\n" + "\n".join(f"  {p}" for p in problems))
    return typing.cast(T, built)


def _dataclass(kind: Any, values: object, place: str, problems: list[str]) -> Any:
    if not isinstance(values, Mapping):
        problems.append(f"{place} is {values!r}: it must be `name: value` pairs")
        return None
    fields = {item.name: item for item in dataclasses.fields(kind) if item.init}
    before = len(problems)
    for name in values:
        if name not in fields:
            close = difflib.get_close_matches(str(name), fields, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(fields)}"
            problems.append(f"{place}.{name}: unknown; {hint}")
    hints = typing.get_type_hints(kind)
    read = {}
    for name, item in fields.items():
        if name in values:
            read[name] = _value(hints[name], values[name], f"{place}.{name}", problems)
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            problems.append(f"{place}.{name}: it must be given")
    if len(problems) > before:
        return None
    try:
        return kind(**read)
    except UserError as error:
        problems.append(f"{place}: {error}")
        return None


def _value(hint: Any, value: object, place: str, problems: list[str]) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        (inner,) = (one for one in arguments if one is not type(None))
        return _value(inner, value, place, problems)
    if origin is Literal:
        if value not in arguments:
            problems.append(f"{place} is {value!r}: choose one of {', '.join(arguments)}")
        return value
    if origin in (tuple, frozenset):
        return _several(origin, arguments, value, place, problems)
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, value, place, problems)
    return _single(hint, value, place, problems)


def _several(
    origin: Any, arguments: tuple[Any, ...], value: object, place: str, problems: list[str]
) -> Any:
    if not isinstance(value, list | tuple):
        problems.append(f"{place} is {value!r}: it must be a list")
        return None
    kinds = arguments
    if origin is frozenset or arguments[-1] is Ellipsis:
        kinds = (arguments[0],) * len(value)
    if len(kinds) != len(value):
        problems.append(f"{place} has {len(value)} values: it must have {len(kinds)}")
        return None
    return origin(
        _value(kind, item, f"{place}[{number}]", problems)
        for number, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


_WORDS: Mapping[Any, str] = {
    float: "a number",
    int: "a whole number",
    str: "text",
    bool: "true or false",
}


def _single(hint: Any, value: object, place: str, problems: list[str]) -> Any:
    accepted = (int, float) if hint is float else (hint,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        problems.append(f"{place} is {value!r}: it must be {_WORDS[hint]}")
        return None
    if hint is float:
        try:
            return float(value)
        except OverflowError:
            problems.append(f"{place} is {value!r}: it must be a number below 1e308")
            return None
    return value
