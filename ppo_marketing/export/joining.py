"""What a team already runs (keywords, customers), each with what the decision table says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from ppo_marketing.errors import UserError
from ppo_marketing.export.cells import text_of
from ppo_marketing.export.decision_table import DecisionTable


def joined(
    rows: Sequence[Mapping[str, Any]], table: DecisionTable, join: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Every row with the decided columns of the one situation that it is in; unchanged without one.

    `join` says, for every key of the table, which column of `rows` holds it; `{value: X}` sets it
    to X for all. Numbers are compared as numbers, so that 1 is 1.0.

    Raises:
        UserError: a key is missing or unknown, a value or a column is not there, or a column of the
            rows has the name of a decided one.
    """
    problems = [f"join.{name}: unknown" for name in join if name not in table.key]
    problems += [f"join.{name}: it must be given" for name in table.key if name not in join]
    columns = {name for row in rows for name in row}
    fixed: dict[str, Any] = {}
    for name, source in join.items():
        if isinstance(source, Mapping):
            fixed[name] = source.get("value")
        elif source not in columns:
            problems.append(f"join.{name}: the rows have no column {source!r}")
    problems += [
        f"the rows have a column {name!r}, which the decision table decides: rename it"
        for name in table.decided
        if name in columns
    ]
    for name, value in fixed.items():
        known = sorted({text_of(row[name]) for row in table.rows})
        if name in table.key and _plain(value) not in {_plain(v) for v in known}:
            problems.append(f"join.{name} is {value!r}: the table has {', '.join(known[:20])}")
    if problems:
        raise UserError(
            "the rows cannot be joined with the decision table:\n"
            + "\n".join(f"  {problem}" for problem in problems)
            + f"\n  keys of the table: {', '.join(table.key)}"
        )
    situations = {tuple(_plain(row[name]) for name in table.key): row for row in table.rows}
    decided = []
    for row in rows:
        key = tuple(
            _plain(fixed[name] if name in fixed else row.get(join[name])) for name in table.key
        )
        situation = situations.get(key)
        told = {} if situation is None else {name: situation[name] for name in table.decided}
        decided.append({**row, **told})
    return decided


def _plain(value: Any) -> str:
    """A value as keys are compared: numbers by size, truth values and text by their words."""
    written = text_of(value).strip()
    if isinstance(value, bool) or written.lower() in ("true", "false"):
        return written.lower()
    try:
        number = Decimal(written)
    except InvalidOperation:
        return written
    return format(number.normalize(), "f") if number.is_finite() else written
