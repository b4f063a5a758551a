"""From cells as written to typed values: each value is taken literally or reported, never guessed.

Every converter takes a column and one raw Arrow array [rows], returns the typed Arrow array with
nulls where a cell is empty or wrong, and reports wrong cells through `report(fault, wrong)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from envs.core.log_problems import Fault
from envs.core.log_schema import Column

Mask = NDArray[np.bool_]
Report = Callable[[Fault, Mask], None]

EARLIEST = datetime(2000, 1, 1)
"""Earlier times come from a wrong unit (seconds read as nanoseconds land in 1970)."""

ARROW_TYPES = {
    "timestamp": pa.timestamp("us"),
    "id": pa.string(),
    "bool": pa.bool_(),
    "number": pa.float64(),
    "category": pa.string(),
}
"""How each kind is kept; timestamps are UTC."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:nan|inf|infinity)$"
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d([.]\d{1,9})?)?(?P<zone> ?(Z|[+-]\d\d:?\d\d))?)?"
)


@dataclass
class TimeForms:
    """How the timestamps of a file are written, counted while they stream past."""

    naive: int = 0
    zoned: int = 0
    dates_only: int = 0


def converted(column: Column, raw: Any, forms: TimeForms, report: Report) -> Any:
    """The typed Arrow array of one raw array; wrong and empty cells are null.

    An empty cell is reported unless the column may be empty.
    """
    raw = _text(raw, report)
    if column.kind == "timestamp":
        values = _timestamps(raw, forms, report)
    elif column.kind == "bool":
        values = _bools(raw, report)
    elif column.kind == "number":
        values = _numbers(column, raw, report)
    else:
        values = raw if pa.types.is_string(raw.type) else _identifiers(column, raw, report)
    if not column.may_be_empty:
        empty = _mask(raw.is_null())
        report(Fault("no value", "a value in every row", "fill it in or leave the row out"), empty)
    return values


def _text(raw: Any, report: Report) -> Any:
    """Text trimmed and decoded, empty text as null; other types as they are."""
    if pa.types.is_dictionary(raw.type):
        raw = raw.dictionary_decode()
    if pa.types.is_null(raw.type):
        return raw.cast(pa.string())
    if pa.types.is_binary(raw.type) or pa.types.is_large_binary(raw.type):
        raw = _decoded(raw, report)
    elif pa.types.is_large_string(raw.type) or pa.types.is_string_view(raw.type):
        raw = raw.cast(pa.string())
    if not pa.types.is_string(raw.type):
        return raw
    trimmed = pc.utf8_trim_whitespace(raw)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _decoded(raw: Any, report: Report) -> Any:
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        cells = raw.to_pylist()
        texts = [None if cell is None else cell.decode("utf-8", "replace") for cell in cells]
        wrong = [text is not None and "\ufffd" in text for text in texts]
        report(
            Fault("bytes that are not UTF-8", "UTF-8 text", "save the file as CSV UTF-8"),
            np.array(wrong, dtype=bool),
        )
        return pa.array(texts, pa.string())


def _numbers(column: Column, raw: Any, report: Report) -> Any:
    allowed = column.bounds
    action = "write numbers with a decimal point and no thousands separator"
    values = _parsed_numbers(raw, Fault("text that is not a number", allowed, action), report)
    numbers = values.fill_null(0.0).to_numpy(zero_copy_only=False)
    infinite = ~np.isfinite(numbers)
    unknown = (
        "leave out rows where none is known"
        if column.required
        else "leave the cell empty where none is known"
    )
    report(Fault("a number that is not finite", allowed, unknown), infinite)
    present = _mask(values.is_valid()) & ~infinite
    outside = np.zeros(len(numbers), dtype=bool)
    if column.low is not None:
        below = present & (numbers < column.low)
        what = "a negative number" if column.low == 0 else f"a number below {column.low:g}"
        report(Fault(what, allowed, "correct the value or the column's unit"), below)
        outside |= below
    if column.high is not None:
        above = present & (numbers > column.high)
        what = f"a number above {column.high:g}"
        report(Fault(what, allowed, "correct the value or the column's unit"), above)
        outside |= above
    return _nulled(values, infinite | outside)


def _parsed_numbers(raw: Any, not_numeric: Fault, report: Report) -> Any:
    if pa.types.is_string(raw.type):
        try:
            return raw.cast(pa.float64())
        except pa.ArrowInvalid:
            numeric = pc.match_substring_regex(raw, _NUMBER).fill_null(True)
            report(not_numeric, ~_mask(numeric))
            return pc.if_else(numeric, raw, pa.scalar(None, pa.string())).cast(pa.float64())
    if pa.types.is_integer(raw.type) or pa.types.is_floating(raw.type):
        return raw.cast(pa.float64(), safe=False)
    if pa.types.is_decimal(raw.type):
        return raw.cast(pa.float64())
    return _of_wrong_type(raw, pa.float64(), not_numeric.allowed, report)


def _bools(raw: Any, report: Report) -> Any:
    if pa.types.is_boolean(raw.type):
        return raw
    other = Fault(
        "a value other than 0 and 1", "0 or 1, or true or false", "log one row per event, as 0 or 1"
    )
    if pa.types.is_string(raw.type):
        named = pc.index_in(pc.utf8_lower(raw), pa.array(["false", "true"]))
        raw = pc.if_else(named.is_valid(), named.cast(pa.string()), raw)
    values = _parsed_numbers(raw, other, report)
    numbers = values.fill_null(0.0).to_numpy(zero_copy_only=False)
    wrong = (numbers != 0.0) & (numbers != 1.0)
    report(other, wrong)
    return _nulled(pc.equal(values, 1.0), wrong)


def _identifiers(column: Column, raw: Any, report: Report) -> Any:
    if pa.types.is_integer(raw.type) or pa.types.is_boolean(raw.type):
        return raw.cast(pa.string())
    if pa.types.is_floating(raw.type) and column.kind == "category":
        # Context may hold numbers: kept as the shortest text that reads back as the same number.
        return pc.if_else(raw.is_null(nan_is_null=True), None, raw.cast(pa.string()))
    return _of_wrong_type(raw, pa.string(), "text or whole numbers", report)


def _timestamps(raw: Any, forms: TimeForms, report: Report) -> Any:
    if pa.types.is_string(raw.type):
        values = _parsed_times(raw, forms, report)
    elif pa.types.is_timestamp(raw.type):
        count = len(raw) - raw.null_count
        forms.naive += 0 if raw.type.tz else count
        forms.zoned += count if raw.type.tz else 0
        values = raw.cast(pa.timestamp("us", raw.type.tz), safe=False).cast(pa.timestamp("us"))
    elif pa.types.is_date(raw.type):
        forms.naive += len(raw) - raw.null_count
        forms.dates_only += len(raw) - raw.null_count
        values = raw.cast(pa.timestamp("us"))
    else:
        return _of_wrong_type(raw, pa.timestamp("us"), _TIMES_ALLOWED, report)
    early = _mask(pc.less(values, pa.scalar(EARLIEST, pa.timestamp("us"))).fill_null(False))
    report(
        Fault("a time before 2000", _TIMES_ALLOWED, "check the unit the times were read in"), early
    )
    return _nulled(values, early)


_TIMES_ALLOWED = "ISO 8601 dates and times, such as 2024-05-31T17:05:09Z"


def _parsed_times(raw: Any, forms: TimeForms, report: Report) -> Any:
    count = len(raw) - raw.null_count
    try:
        values = raw.cast(pa.timestamp("us"))
        forms.naive += count
        forms.dates_only += pc.sum(pc.equal(pc.binary_length(raw), 10)).as_py() or 0
        return values
    except pa.ArrowInvalid:
        pass
    try:
        values = raw.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
        forms.zoned += count
        return values
    except pa.ArrowInvalid:
        pass
    # Mixed or broken: cell by cell, so that each is counted for what it is.
    texts = raw.to_pylist()
    times = [None if text is None else _parsed_time(text, forms) for text in texts]
    wrong = [text is not None and time is None for text, time in zip(texts, times, strict=True)]
    report(
        Fault("text that is not a time", _TIMES_ALLOWED, "export the times in ISO 8601"),
        np.array(wrong, dtype=bool),
    )
    return pa.array(times, pa.timestamp("us"))


def _parsed_time(text: str, forms: TimeForms) -> datetime | None:
    form = _TIME.fullmatch(text)
    if form is None:
        return None
    try:
        time = datetime.fromisoformat(text.replace(" Z", "Z").replace(" +", "+"))
    except ValueError:  # a date that no calendar has
        return None
    if time.tzinfo is None:
        forms.naive += 1
        forms.dates_only += len(text) == 10
        return time
    forms.zoned += 1
    return time.astimezone(UTC).replace(tzinfo=None)


def _of_wrong_type(raw: Any, kind: Any, allowed: str, report: Report) -> Any:
    fault = Fault(f"values of type {raw.type}", allowed, "export the column with another type")
    report(fault, _mask(raw.is_valid()))
    return pa.nulls(len(raw), kind)


def _nulled(values: Any, wrong: Mask) -> Any:
    if not wrong.any():
        return values
    return pc.if_else(pa.array(~wrong), values, pa.scalar(None, values.type))


def _mask(booleans: Any) -> Mask:
    mask: Mask = np.asarray(booleans.to_numpy(zero_copy_only=False), dtype=bool)
    return mask
