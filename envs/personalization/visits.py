"""A validated visit log as arrays: rows with encoded contexts, the catalogue, the two parts."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.core.calibration_folder import CalibrationError
from envs.core.log import LogTable
from envs.personalization.coherence import incoherent_propensities
from envs.personalization.columns import codes, column_or, texts_or_empty
from envs.personalization.encoding import Encoder, Texts, fit_encoder
from envs.personalization.leaks import leaking_columns
from envs.personalization.log import ITEM_PREFIX
from envs.personalization.model import Bools, Floats, Ints, LoggedRows
from envs.personalization.slates import slates_of

MOST_ITEMS = 10_000
MOST_ROWS = 1_000_000
"""More rows than this are thinned by unit: the response is then known well enough."""

MOST_POSITIONS = 50
LATER_SHARE = 1 / 3
_MOST_ELIGIBLE_CELLS = 1_000_000_000  # bytes of an eligibility matrix


@dataclass(frozen=True)
class Catalogue:
    """The items of a log: names, encoded features `[A, F]`, category and clickbait `[A]`."""

    ids: tuple[str, ...]
    feature: Floats
    category: Ints
    clickbait: Floats


@dataclass(frozen=True)
class Visits:
    """Rows in the order of time; every array is `[M]` or `[M, ...]`.

    `unit` and `session` number the units and the sessions (-1: no session), `day` the log's days.
    `page` numbers the pages of a log whose items compete for one reward (None: they do not).
    `pool_items` `[pools, A]` says what each pool may show; `pool` numbers each row's. A propensity
    that was not logged is NaN.
    """

    x: NDArray[np.float32]
    item: Ints
    position: Ints
    propensity: Floats
    reward: Floats
    weight: Floats
    unit: Ints
    session: Ints
    day: Ints
    time: NDArray[np.int64]
    pool: Ints
    pool_items: Bools | None
    page: Ints | None = None

    @property
    def size(self) -> int:
        """M."""
        return len(self.item)

    @property
    def eligible(self) -> Bools | None:
        """`[M, A]`; None where every item is always eligible."""
        return None if self.pool_items is None else self.pool_items[self.pool]

    def rows(self, index: NDArray[Any]) -> Visits:
        """The rows `index`."""
        kept = {
            name: value[index]
            for name, value in vars(self).items()
            if name != "pool_items" and value is not None
        }
        return replace(self, **kept)

    def logged(self, propensity: Floats) -> LoggedRows:
        """What rules learn from."""
        return LoggedRows(
            self.x, self.item, self.position, propensity, self.reward, self.weight, self.eligible,
            self.day,
        )  # fmt: skip

    @property
    def traffic(self) -> Floats:
        """The impressions of each row's day, x the mean day's, `[M]`."""
        _, day = np.unique(self.day, return_inverse=True)
        impressions = np.bincount(day, self.weight)
        return np.asarray((impressions / impressions.mean())[day])


@dataclass(frozen=True)
class Gathered:
    """A log in arrays, with what was found on the way."""

    earlier: Visits
    later: Visits
    catalogue: Catalogue
    encoder: Encoder
    judged_from: date
    notes: tuple[str, ...]

    @property
    def items(self) -> int:
        """A."""
        return len(self.catalogue.ids)


def gather(log: LogTable) -> Gathered:
    """Read the log into arrays and part it by time.

    Raises:
        CalibrationError: what the log lacks for a calibration; every reason is named.
    """
    columns, notes = kept_columns(log, log.names)
    columns = outcomes_apart(columns)
    context = [c for c in _context_names(log) if not c.startswith(ITEM_PREFIX)]
    ids, item = numbered_items(columns["action_id"])
    day, judged_from, split = _days(log, columns)
    earlier, later = day < split, day >= split
    problems = [
        *_structural_problems(log, len(ids), earlier),
        *leaking_columns({name: columns[name] for name in context}, columns["reward"]),
        *_item_problems(columns, item, [c for c in _context_names(log) if c not in context]),
        *incoherent_propensities(columns),
    ]
    if problems:
        raise CalibrationError(_listed(log.source, problems))
    encoder = fit_encoder({name: columns[name][earlier] for name in context}, context)
    pools, pool = np.unique(texts_or_empty(columns, "pool_id"), return_inverse=True)
    slates = slates_of(columns)
    visits = Visits(
        x=encoder.encoded(columns, len(item)),
        item=item,
        position=(column_or(columns, "position", 1.0) - 1).astype(np.int32),
        propensity=column_or(columns, "propensity", np.nan),
        reward=columns["reward"],
        weight=column_or(columns, "impressions", 1.0),
        unit=codes(columns["unit_id"]),
        session=codes(columns["session_id"])
        if "session_id" in columns
        else np.full(len(item), -1, np.int32),
        day=day,
        time=columns["timestamp"].astype(np.int64),
        pool=pool.astype(np.int32),
        pool_items=pool_items(pool, item, len(pools), len(ids)) if "pool_id" in columns else None,
        page=slates.page if slates.one_choice else None,
    )
    notes += slates.notes()
    if context:
        notes.append(_context_note(context, encoder))
    return Gathered(
        earlier=visits.rows(earlier),
        later=visits.rows(later),
        catalogue=_catalogue(columns, ids, item),
        encoder=encoder,
        judged_from=judged_from,
        notes=tuple(notes),
    )


def outcomes_apart(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Rows of several impressions with their mean reward become one row an outcome, 1 and 0.

    A mean hides how much single impressions vary; n of them at rate r are n r ones and n (1 - r)
    zeros.
    """
    shown, reward = column_or(columns, "impressions", 1.0), columns["reward"]
    mixed = (shown > 1) & (reward > 0) & (reward < 1)
    if not mixed.any():
        return columns
    twice = {name: np.concatenate([cells, cells[mixed]]) for name, cells in columns.items()}
    rate, rows = reward[mixed], len(reward)
    twice["reward"] = twice["reward"].copy()
    twice["impressions"] = np.concatenate([shown, shown[mixed] * (1 - rate)])
    twice["reward"][:rows][mixed], twice["reward"][rows:] = 1.0, 0.0
    twice["impressions"][:rows][mixed] = shown[mixed] * rate
    return twice


def _context_names(log: LogTable) -> list[str]:
    return [name for name in log.names if name not in log.schema.names]


def kept_columns(log: LogTable, names: Sequence[str]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """The columns whole, or those of one unit in N where the log is very long, and a note of it."""
    one_in = -(-log.rows // MOST_ROWS)
    if one_in == 1:
        return log.arrays(names), []
    parts: list[dict[str, NDArray[Any]]] = []
    for batch in log.batches(names):
        # A checksum, not Python's hash, which differs from one process to the next.
        kept = np.array([zlib.crc32(unit.encode()) % one_in == 0 for unit in batch["unit_id"]])
        parts.append({name: cells[kept] for name, cells in batch.items()})
    note = f"one unit in {one_in} was kept, chosen by a checksum of its id"
    return {name: np.concatenate([part[name] for part in parts]) for name in names}, [note]


def numbered_items(names: Texts) -> tuple[tuple[str, ...], Ints]:
    """The items' ids in their order, 2 before 10, and every row's number `[M]` among them."""
    found, item = np.unique(names.astype(str), return_inverse=True)
    try:
        order = np.argsort(found.astype(np.int64), kind="stable")  # 2 before 10
    except ValueError:
        order = np.arange(len(found))
    rank = np.argsort(order)
    return tuple(str(found[i]) for i in order), rank[item].astype(np.int32)


def _days(log: LogTable, columns: dict[str, NDArray[Any]]) -> tuple[Ints, date, int]:
    """Each row's day, the first day of the later part and its number.

    The later part is the last days that hold nearest to a third of the impressions.
    """
    dates = columns["timestamp"].astype("datetime64[D]")
    days, day = np.unique(dates, return_inverse=True)
    rows = np.bincount(day, weights=column_or(columns, "impressions", 1.0))
    if len(days) == 1:
        return day.astype(np.int32), days[0].item(), 1
    before = np.cumsum(rows)[:-1] / rows.sum()
    split = int(np.abs(before - (1 - LATER_SHARE)).argmin()) + 1
    return day.astype(np.int32), days[split].item(), split


def _structural_problems(log: LogTable, items: int, earlier: Bools) -> list[str]:
    problems = []
    if earlier.all():
        problems.append(
            "all rows lie on one UTC day: two days or more are needed to judge on later ones (the "
            "reader 'table' deals rows without times to days)"
        )
    if items > MOST_ITEMS:
        problems.append(
            f"{items:,} items: at most {MOST_ITEMS:,} can be chosen from; group them, or keep the "
            "ones on offer today"
        )
    if "pool_id" in log.names and log.rows * items > _MOST_ELIGIBLE_CELLS:
        problems.append(
            f"{log.rows:,} rows with pools of {items:,} items: at most {_MOST_ELIGIBLE_CELLS:,} "
            "cells of eligibility fit into memory; keep fewer items or rows"
        )
    return problems


def _item_problems(columns: dict[str, NDArray[Any]], item: Ints, names: list[str]) -> list[str]:
    """Item columns that say different things of the same item."""
    problems = []
    for name in names:
        value = codes(columns[name])
        first = np.zeros(item.max() + 1, np.int32)
        first[item[::-1]] = value[::-1]
        differing = np.unique(item[value != first[item]])
        if differing.size:
            problems.append(
                f"{name} differs between rows of the same item ({differing.size} items): columns "
                f"named {ITEM_PREFIX}... describe the item; rename what describes the visitor"
            )
    for name, low, high in ((f"{ITEM_PREFIX}clickbait", 0.0, 1.0),):
        if name in names:
            try:
                values = columns[name].astype(np.float64)
            except ValueError:
                values = np.array([np.nan])
            if not ((values >= low) & (values <= high)).all():
                problems.append(f"{name} must be a number from {low:g} to {high:g} in every row")
    position = columns.get("position")
    if position is not None and position.max() > MOST_POSITIONS:
        problems.append(f"position goes up to {position.max():g}: at most {MOST_POSITIONS}")
    return problems


def _catalogue(columns: dict[str, NDArray[Any]], ids: tuple[str, ...], item: Ints) -> Catalogue:
    row_of = np.zeros(len(ids), np.int64)
    row_of[item[::-1]] = np.arange(len(item))[::-1]
    names = [name for name in columns if name.startswith(ITEM_PREFIX)]
    cells = {name: columns[name][row_of] for name in names}
    encoder = fit_encoder(cells, names)
    category = codes(cells.get(f"{ITEM_PREFIX}category", np.full(len(ids), "")))
    clickbait = cells.get(f"{ITEM_PREFIX}clickbait", np.zeros(len(ids))).astype(np.float64)
    return Catalogue(ids, encoder.encoded(cells, len(ids)).astype(np.float64), category, clickbait)


def pool_items(pool: NDArray[Any], item: Ints, pools: int, items: int) -> Bools:
    """An item is eligible wherever its pool ever showed it, before or after the split."""
    eligible = np.zeros((pools, items), np.bool_)
    eligible[pool, item] = True
    return eligible


def _context_note(context: list[str], encoder: Encoder) -> str:
    used = f"context columns, taken to be known before the choice: {', '.join(context[:12])}"
    more = f" and {len(context) - 12} more" if len(context) > 12 else ""
    projected = (
        f"; projected onto their {encoder.size} leading principal components"
        if encoder.projection is not None
        else ""
    )
    return used + more + projected


def _listed(source: str, problems: list[str]) -> str:
    count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
    lines = [f"{source} cannot be calibrated: {count}."]
    return "\n".join(lines + [f"  {number}. {text}" for number, text in enumerate(problems, 1)])
