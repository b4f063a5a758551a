"""Cells of text files: written exactly, and never as something that a spreadsheet would run."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from ppo_marketing.errors import UserError

Mode = Literal["spreadsheet", "machine"]
"""Who opens a file: people, in whose spreadsheet text must not run; or a system, to which an added
apostrophe would be another name (a keyword may begin with +)."""

STARTERS = frozenset("=+-@\t\r\n\0＝＋－＠")
"""What makes a spreadsheet read text as a formula (OWASP, CSV injection), full-width forms too."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_UNSEEN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


def would_run(text: str) -> bool:
    """Whether a spreadsheet may read the text as a formula; a plain number it may not."""
    return text.lstrip(" ")[:1] in STARTERS and bool(text) and not _NUMBER.fullmatch(text)


def unusable(text: str) -> str | None:
    """Why a text can stand in no export: control or direction marks, lone halves; else None."""
    if _UNSEEN.search(text):
        return "holds control, invisible or direction characters"
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return "is not valid Unicode"
    return None


def text_of(value: Any) -> str:
    """A value as text: NFC, true and false, decimals without exponent, ISO 8601, empty for None.

    Raises:
        UserError: a number is not finite, or the value is none of these.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)), "f")
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise UserError(f"{value!r} cannot stand in a cell: use text, finite numbers, dates or nothing")


def escaped(text: str) -> str:
    """The text as a spreadsheet shows it and never runs it: an apostrophe before what would run."""
    return f"'{text}" if would_run(text) else text


def csv_bytes(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    *,
    mode: Mode,
    delimiter: str = ",",
    bom: bool = False,
) -> bytes:
    """RFC 4180: CRLF, text quoted, numbers bare, nothing (not even quotes) for None.

    Raises:
        UserError: as `text_of`, or a column's name is none that a spreadsheet leaves alone.
    """
    wrong = [name for name in columns if would_run(name) or unusable(name) or not name]
    if wrong:
        raise UserError(f"columns cannot be named {', '.join(map(repr, wrong))}: use plain words")
    lines = [delimiter.join(_quoted(name, mode) for name in columns)]
    lines += [delimiter.join(_cell(row.get(name), mode) for name in columns) for row in rows]
    text = "".join(f"{line}\r\n" for line in lines)
    return text.encode("utf-8-sig" if bom else "utf-8")


def _cell(value: Any, mode: Mode) -> str:
    text = text_of(value)
    return _quoted(text, mode) if isinstance(value, str) else text


def _quoted(text: str, mode: Mode) -> str:
    shown = escaped(text) if mode == "spreadsheet" else text
    return '"' + shown.replace('"', '""') + '"'
