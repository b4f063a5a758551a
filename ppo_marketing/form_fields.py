"""What a form asks of a configuration: its fields with defaults, choices, bounds, units and help.

Everything is read from the configuration itself: types, the text or the comment beside a field,
and what the class says of it. A new setting is in the form without anyone adding it there.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel

from ppo_marketing.errors import UserError

Kind = Literal["switch", "whole", "number", "choice", "text", "values"]

# A unit where the name ends in it; the longest ending decides.
UNITS: Mapping[str, str] = {
    "_cpm": "currency per 1,000 impressions",
    "_cpa": "currency per event",
    "_cost": "currency",
    "_value": "currency",
    "budget": "currency",
    "_weeks": "weeks",
    "days": "days",
    "_hours": "hours",
    "steps": "environment steps",
    "episodes": "episodes",
    "copies": "copies",
    "epochs": "passes",
}


@dataclass(frozen=True)
class Field:
    """One setting; `values` are lists and mappings, which are written as YAML in one line."""

    name: str
    kind: Kind
    default: Any
    optional: bool
    choices: tuple[str, ...]
    low: float | None
    unit: str
    help: str

    @property
    def label(self) -> str:
        """The name in words, with its unit."""
        words = self.name.replace("_", " ").strip().capitalize()
        return f"{words} ({self.unit})" if self.unit else words


def fields_of(kind: type, base: Any = None) -> tuple[Field, ...]:
    """The fields of a dataclass or a pydantic model; defaults are those of `base`, if given."""
    hints = get_type_hints(kind, include_extras=True)
    said, told = _said_beside(kind), _said_in_class(kind)
    return tuple(
        _field(name, hints[name], default if base is None else getattr(base, name), said, told)
        for name, default in _defaults(kind).items()
    )


def changed(fields: tuple[Field, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values that differ from their defaults, `values` read as YAML.

    Raises UserError that lists every text which cannot be read.
    """
    kept, problems = {}, []
    for field in fields:
        if field.name not in given:
            continue
        value = given[field.name]
        if field.kind == "values":
            try:
                value = yaml.safe_load(value) if str(value).strip() else None
            except yaml.YAMLError:
                problems.append(f"{field.label}: {value!r} is no list, mapping or number")
                continue
        if value != plain(field.default):
            kept[field.name] = value
    if problems:
        raise UserError("\n".join(problems))
    return kept


def plain(value: Any) -> Any:
    """A default as YAML would give it: tuples are lists, values of settings are mappings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def written(value: Any) -> str:
    """A value as one line of YAML; nothing for none."""
    if value is None:
        return ""
    text = yaml.safe_dump(plain(value), default_flow_style=True, width=10_000)
    return text.removesuffix("\n...\n").strip()


def _field(
    name: str, hint: Any, default: Any, said: Mapping[str, str], told: Mapping[str, str]
) -> Field:
    low = None
    while get_origin(hint) is not None and hasattr(hint, "__metadata__"):
        low = next((_least(m) for m in hint.__metadata__ if _least(m) is not None), low)
        hint = hint.__origin__
    optional = get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint)
    if optional:
        left = [part for part in get_args(hint) if part is not type(None)]
        hint = left[0] if len(left) == 1 else Any
        return dataclasses.replace(_field(name, hint, default, said, told), optional=True)
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    simple: dict[Any, Kind] = {bool: "switch", int: "whole", float: "number", str: "text"}
    kind: Kind = "choice" if choices else simple.get(hint, "values")
    endings = sorted((end for end in UNITS if name.endswith(end)), key=len)
    return Field(
        name=name,
        kind=kind,
        default=default,
        optional=False,
        choices=tuple(str(choice) for choice in choices),
        low=low,
        unit=UNITS[endings[-1]] if endings and kind in ("whole", "number") else "",
        help=said.get(name) or told.get(name, ""),
    )


def _least(constraint: Any) -> float | None:
    """The least value that an annotation of pydantic allows; of whole numbers, after gt."""
    if getattr(constraint, "ge", None) is not None:
        return float(constraint.ge)
    above = getattr(constraint, "gt", None)
    return None if above is None else float(above) + 1


def _defaults(kind: type) -> dict[str, Any]:
    if issubclass(kind, BaseModel):
        return {
            name: field.get_default(call_default_factory=True)
            for name, field in kind.model_fields.items()
        }
    assert dataclasses.is_dataclass(kind)
    return {
        field.name: field.default_factory()
        if field.default_factory is not dataclasses.MISSING
        else None
        if field.default is dataclasses.MISSING
        else field.default
        for field in dataclasses.fields(kind)
    }


def _said_beside(kind: type) -> dict[str, str]:
    """What stands with each field in the source: a text below it, or a comment at or above it."""
    lines = inspect.getsource(kind).splitlines()
    found: dict[str, str] = {}
    for number, line in enumerate(lines):
        match = re.match(r"    (\w+): [^#]*(?:#\s*(.*))?$", line)
        if not match:
            continue
        name, beside = match.groups()
        rest = "\n".join(lines[number + 1 :])
        below = re.match(r'(?:        .*\n|    \)\n)*    """(.*?)"""', rest, re.DOTALL)
        above: list[str] = []
        for earlier in reversed(lines[:number]):
            if not earlier.startswith("    # "):
                break
            above.insert(0, earlier[6:])
        text = below.group(1) if below else beside or " ".join(above)
        if text:
            found[name] = " ".join(text.split())
    return found


def _said_in_class(kind: type) -> dict[str, str]:
    """The sentences of the class's text that name a field."""
    text = " ".join((inspect.getdoc(kind) or "").split())
    sentences = re.split(r"(?<=[.;])\s+(?=[A-Z`])", text)
    names = _defaults(kind)
    return {
        name: " ".join(part for part in sentences if f"`{name}`" in part).replace("`", "")
        for name in names
    }
