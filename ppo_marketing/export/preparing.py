"""From decided rows to an export: held to limits and permissions, compared with the last one."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from ppo_marketing.errors import UserError
from ppo_marketing.export.cells import text_of, unusable, would_run
from ppo_marketing.export.permission import Permissions
from ppo_marketing.export.target import Draft, Ready, Refusal, Row, Target

SHOWN = 20
"""Rows of a preview, and of the refusals that are listed one by one: a screen."""
TOLERABLE = "+-"
"""What text for a machine may begin with: a keyword's +, a name's dash; told, never changed."""


class Kept(NamedTuple):
    """One row as the next export is compared with it; of people, only digests."""

    cells: Mapping[str, str]
    sizes: Mapping[str, Decimal]


@dataclass(frozen=True)
class Prepared:
    """Rows that may go, the report on all of them, and why none may (None: they may)."""

    rows: tuple[Row, ...]
    kept: Mapping[str, Kept]
    report: Mapping[str, Any]
    stopped: str | None


def prepare(
    target: Target,
    given: Sequence[Row],
    *,
    last: Mapping[str, Kept] | None,
    permissions: Permissions | None,
    max_change: float,
) -> Prepared:
    """Draft, check every cell, apply permissions last, compare with the `last` export.

    `max_change` is the largest |new / old - 1| of any size; where rows have no sizes, the largest
    share of the last export's rows whose cells may differ.

    Raises:
        UserError: rows are about people and `permissions` are not given.
    """
    if target.personal and permissions is None:
        raise UserError("rows about people need permissions")
    draft = _readable(target, target.draft(given))
    draft = _distinct(target, draft)
    left_out: Counter[str] = Counter()
    allowed = []
    for _, ready in draft.ready:  # permissions come last: nothing after this adds a row
        why = None if permissions is None else permissions.why_not(ready.person)
        if target.personal and why is not None:
            left_out[why] += 1
        else:
            allowed.append(ready)
    kept = {_key(target, ready.row): _kept(target, ready) for ready in allowed}
    changes = _changes(kept, last)
    stopped = None if allowed else "no row is left to export"
    stopped = stopped or _too_much(target, allowed, kept, last, changes, max_change)
    report = {
        "target": target.name,
        "given": len(given),
        "rows": len(allowed),
        **{kind: len(keys) for kind, keys in changes.items()},
        "refused": len(draft.refused),
        "refused_because": _reasons(draft.refused),
        "refused_rows": [one._asdict() for one in draft.refused[:SHOWN]],
        "left_out": dict(left_out),
        "warnings": list(draft.warnings),
        "preview": _preview(kept, last, changes),
        "max_change": max_change,
        "stopped": stopped,
    }
    return Prepared(tuple(ready.row for ready in allowed), kept, report, stopped)


def _readable(target: Target, draft: Draft) -> Draft:
    """The draft without rows whose text cannot stand where it goes."""
    ready, refused = [], list(draft.refused)
    told: Counter[str] = Counter()
    for number, one in draft.ready:
        problem = _cell_problem(target, one.row)
        if problem is not None:
            refused.append(Refusal(number, problem))
            continue
        ready.append((number, one))
        for name, value in one.row.items():
            if target.mode == "machine" and isinstance(value, str) and would_run(value):
                told[f"{name} begins like a formula: never open the file in a spreadsheet"] += 1
    warnings = tuple(f"{said} ({count} rows)" for said, count in told.items())
    return Draft(tuple(ready), tuple(refused), (*draft.warnings, *warnings))


def _cell_problem(target: Target, row: Row) -> str | None:
    for name, value in row.items():
        try:
            written = text_of(value)
        except UserError:  # its message shows the value, which may be about a person
            return f"{name} holds no text, finite number, date or nothing"
        if not isinstance(value, str):
            continue
        why = unusable(written)
        if why is not None:
            return f"{name} {why}"
        starts_badly = written.lstrip(" ")[:1] not in TOLERABLE
        if target.mode == "machine" and would_run(written) and starts_badly:
            return f"{name} begins like a formula, which a spreadsheet would run"
    return None


def _distinct(target: Target, draft: Draft) -> Draft:
    """The draft without keys that come twice: which of the two would hold is the system's guess."""
    counts = Counter(_key(target, ready.row) for _, ready in draft.ready)
    twice = [(n, r) for n, r in draft.ready if counts[_key(target, r.row)] > 1]
    once = tuple((n, r) for n, r in draft.ready if counts[_key(target, r.row)] == 1)
    said = f"the same {', '.join(target.key)} comes more than once"
    return Draft(once, (*draft.refused, *(Refusal(n, said) for n, _ in twice)), draft.warnings)


def _key(target: Target, row: Row) -> str:
    plain = json.dumps([text_of(row.get(name)) for name in target.key], ensure_ascii=False)
    return hashlib.sha256(plain.encode()).hexdigest() if target.personal else plain


def _kept(target: Target, ready: Ready) -> Kept:
    cells = {name: text_of(value) for name, value in ready.row.items()}
    if target.personal:
        # The next export needs to know that a person's row differs, not what it said.
        written = json.dumps(cells, sort_keys=True, ensure_ascii=False)
        cells = {"sha256": hashlib.sha256(written.encode()).hexdigest()}
    return Kept(cells, ready.sizes)


def _changes(kept: Mapping[str, Kept], last: Mapping[str, Kept] | None) -> dict[str, list[str]]:
    before = last or {}
    both = [key for key in kept if key in before]
    return {
        "added": [key for key in kept if key not in before],
        "changed": [key for key in both if kept[key].cells != before[key].cells],
        "unchanged": [key for key in both if kept[key].cells == before[key].cells],
        "removed": [key for key in before if key not in kept],
    }


def _too_much(
    target: Target,
    allowed: Sequence[Ready],
    kept: Mapping[str, Kept],
    last: Mapping[str, Kept] | None,
    changes: Mapping[str, Sequence[str]],
    most: float,
) -> str | None:
    """Why the change is too large, in words; None where it is not."""
    before = last or {}
    steps = []
    for ready in allowed:
        key = _key(target, ready.row)
        old = {**ready.before, **(before[key].sizes if key in before else {})}
        steps += [
            (_relative(old[name], new), key, name, old[name], new)
            for name, new in ready.sizes.items()
            if name in old
        ]
    large = sorted((s for s in steps if s[0] > Decimal(repr(most))), reverse=True)
    if large:
        listed = "\n".join(
            f"  {k}: {name} {old} -> {new}" for _, k, name, old, new in large[:SHOWN]
        )
        return f"{len(large)} changes are larger than {most:.0%} of what was:\n{listed}"
    sized = any(ready.sizes for ready in allowed)
    differ = len(changes["removed"]) + (0 if sized else len(changes["changed"]))
    if before and differ > most * len(before):
        return (
            f"{differ} of the last export's {len(before)} rows would differ or be gone; "
            f"{most:.0%} are the most"
        )
    return None


def _relative(old: Decimal, new: Decimal) -> Decimal:
    if old == new:
        return Decimal(0)
    return abs(new - old) / abs(old) if old else Decimal("Infinity")


def _reasons(refused: Sequence[Refusal]) -> dict[str, int]:
    return dict(Counter(one.reason for one in refused).most_common(SHOWN))


def _preview(
    kept: Mapping[str, Kept],
    last: Mapping[str, Kept] | None,
    changes: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    """The first rows that differ from the last export, cell by cell."""
    shown: list[dict[str, Any]] = []
    for kind in ("changed", "added", "removed"):
        for key in changes[kind][: SHOWN - len(shown)]:
            old = (last or {})[key].cells if kind != "added" else {}
            new = kept[key].cells if kind != "removed" else {}
            names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
            cells = {name: [old.get(name), new.get(name)] for name in names}
            shown.append({"change": kind, "key": key, "cells": cells})
    return shown


def kept_as_plain(kept: Mapping[str, Kept]) -> dict[str, Any]:
    """The rows as they are kept for the next comparison."""
    return {
        key: {"cells": dict(one.cells), "sizes": {n: str(v) for n, v in one.sizes.items()}}
        for key, one in kept.items()
    }


def kept_from_plain(values: Mapping[str, Any]) -> dict[str, Kept]:
    """What `kept_as_plain` wrote."""
    return {
        key: Kept(one["cells"], {name: Decimal(size) for name, size in one["sizes"].items()})
        for key, one in values.items()
    }
