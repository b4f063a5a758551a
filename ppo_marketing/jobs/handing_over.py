"""From a judged run to the files of one target system: read, joined, held, compared, written."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from ppo_marketing.config import build
from ppo_marketing.errors import IntegrityError, Refused, UserError, meant
from ppo_marketing.export.decision_table import DecisionTable
from ppo_marketing.export.joining import joined
from ppo_marketing.export.permission import permissions
from ppo_marketing.export.preparing import Kept, kept_as_plain, kept_from_plain, prepare
from ppo_marketing.export.sealed import (
    as_json,
    opened,
    read_json_bytes,
    require_replaceable,
    sealed,
)
from ppo_marketing.export.target import Row, Target
from ppo_marketing.export.targets import PROFILED, DecisionPack
from ppo_marketing.export.whole_folder import write_whole
from ppo_marketing.files import held_alone
from ppo_marketing.jobs.exporting import Exportable, exportable, require_may_export
from ppo_marketing.jobs.release_book import Desk

KIND = "export"
KEPT, REPORT = "rows.json", "report.json"
TARGETS = (DecisionPack.name, *PROFILED)
LARGEST_CHANGE = 0.5
"""Of a bid, a factor or the rows of a table: half is more than a week's decisions should move."""
LIST_HOURS = 24.0
"""A day: an unsubscribe has to work by the next one."""
MOST_BYTES = 500_000_000
"""Of the file of rows: the most that any of the targets takes."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to export where; `now` is the time of the export, UTC."""

    target: str
    output: Path
    now: datetime
    rows: Path | None = None
    profile: Path | None = None
    suppression: Path | None = None
    consent: Path | None = None
    list_hours: float = LIST_HOURS
    max_change: float = LARGEST_CHANGE
    dry_run: bool = False


def hand_over(run: Path, order: Order, desk: Desk | None = None) -> dict[str, Any]:
    """Write the files of one target, or say why not; the report on every row.

    Nothing is written in a dry run, or where the report's `stopped` says why not: that is then for
    the caller to raise, after the report was shown. `desk` says who exports; None: local use.

    Raises:
        UserError: the run, the rows or the profile cannot be used.
        GateNotPassed: the gate refused the policy.
        Refused: whoever stands at the desk may not; a list is missing or stale; or the files break
            a limit of the target.
        IntegrityError: the run, or the last export, is not what was written.
    """
    if order.target not in TARGETS:
        raise UserError(f"there is no target {order.target!r}; {meant(order.target, TARGETS)}")
    if not order.dry_run:
        require_may_export(run, order.target, desk)
    if math.isnan(order.max_change) or order.max_change < 0:
        raise UserError(f"--max-change is {order.max_change}: it must be 0 or more")
    found = exportable(run)
    profile = _profile(order.profile)
    join = profile.pop("join", None)
    target = _target(order, profile, found)
    given = _given(order, join, found)
    lists = None
    if target.personal:
        named = {"suppression": order.suppression, "consent": order.consent}
        age = timedelta(hours=order.list_hours)
        lists = permissions(named, now=order.now, largest_age=age)
    # Held while comparing too: two exports must not both be measured against the same last one.
    with nullcontext() if order.dry_run else held_alone(order.output.parent):
        prepared = prepare(
            target, given, last=_last(order.output), permissions=lists, max_change=order.max_change
        )
        report = {
            **prepared.report,
            "output": str(order.output),
            "dry_run": order.dry_run,
            "policy_sha256": found.agent.sha256(),
        }
        if prepared.stopped is not None:
            return report
        files = target.files(prepared.rows)
        report["files"] = {name: len(content) for name, content in files.items()}
        if not order.dry_run:
            parts = {REPORT: as_json(report), KEPT: as_json(kept_as_plain(prepared.kept))}
            write_whole(order.output, sealed({**files, **parts}, _origin(order, found)))
        return report


def _origin(order: Order, found: Exportable) -> dict[str, Any]:
    """Where an export comes from, for its manifest."""
    return {
        "kind": KIND,
        "target": order.target,
        "decision": found.decision.name,
        "made_at": order.now.isoformat(timespec="seconds"),
        "policy_sha256": found.agent.sha256(),
        "verdict_sha256": found.audited.sha256,
    }


def require_written(report: Mapping[str, Any]) -> None:
    """Raise Refused where a report says that nothing may be exported."""
    if report["stopped"] is not None:
        raise Refused(f"nothing is exported: {report['stopped']}")


def _profile(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"the profile {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"the profile {path} must hold `name: value` lines")
    return content


def _target(order: Order, profile: Mapping[str, Any], found: Exportable) -> Target:
    if order.target != DecisionPack.name:
        kind: Any = PROFILED[order.target]
        made: Target = build(kind, profile, f"the profile of {order.target}")
        return made
    if profile or order.rows is not None:
        raise UserError("the table is exported as it is: it takes neither --rows nor --profile")
    return DecisionPack(
        _table(found), found.agent.sha256()[:12], order.now.isoformat(timespec="seconds")
    )


def _given(order: Order, join: Any, found: Exportable) -> Sequence[Row]:
    """The rows to decide: the team's own, joined with the table where asked; or the table's."""
    if order.rows is None:
        if join is not None:
            raise UserError("`join` of the profile joins rows with the table: give --rows too")
        return _table(found).rows
    rows = read_rows(order.rows)
    if join is None:
        return rows
    if not isinstance(join, dict):
        raise UserError("`join` of the profile must map keys of the table to columns of the rows")
    return joined(rows, _table(found), join)


def _table(found: Exportable) -> DecisionTable:
    if found.table is None:
        raise UserError(f"there is no decision table: {found.without_table}")
    return found.table


def _last(output: Path) -> dict[str, Kept] | None:
    """The rows of the export that is in `output`, verified; None where there is none.

    Raises UserError where something else is there: it would be replaced.
    """
    if not output.exists():
        return None
    require_replaceable(output, KIND)
    try:
        _, files = opened(output, KIND)
    except IntegrityError as error:
        raise IntegrityError(
            f"{error}. What changed since cannot be told from it: move it away to export afresh"
        ) from error
    return kept_from_plain(read_json_bytes(files[KEPT], KEPT))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV (comma, semicolon or tab; UTF-8 or UTF-16) or Parquet file.

    Cells of a CSV stay text, so that 33.51 is 33.51 and 007 is 007.

    Raises:
        UserError: it cannot be read, is larger than `MOST_BYTES`, has no rows, names a column
            twice, or has lines of another length.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} is larger than {MOST_BYTES:,} bytes: export in parts")
        rows = _from_parquet(path) if path.suffix == ".parquet" else _from_csv(path)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not rows:
        raise UserError(f"{path} has no rows")
    return rows


def _from_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def _from_csv(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    written = content.decode("utf-16" if wide else "utf-8-sig")
    first = written.partition("\n")[0]
    delimiter = max("\t;,", key=first.count)
    lines = csv.reader(io.StringIO(written, newline=""), delimiter=delimiter, strict=True)
    header = [name.strip() for name in next(lines, [])]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ValueError(f"columns come twice: {', '.join(twice)}")
    rows = []
    for number, cells in enumerate(lines, 2):
        if cells and len(cells) != len(header):
            raise ValueError(f"record {number} has {len(cells)} cells, the header {len(header)}")
        if cells:
            rows.append(dict(zip(header, cells, strict=True)))
    return rows
