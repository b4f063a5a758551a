"""Readers of the iPinYou competition logs in the forms that research repositories keep them.

All hold won impressions only; prices and bids are CPM in CNY fen. Sources: Liao, Peng, Liu and
Shen, ADKDD 2014 (the log); Zhang, Yuan, Wang and Shen, arXiv:1407.7073 (its truncation); Cai et
al., WSDM 2017 (the rlb-dp files and how they were selected).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envs.core.log import LogProblem, RawLog, Reader
from envs.core.log_problems import Problems
from envs.core.log_source import BATCH_ROWS, read_delimited, text_lines

LARGEST_BID_CPM = 300.0
"""iPinYou's bids went up to 300, so prices are truncated there where the bid was not kept."""

PSEUDO_START = np.datetime64("2013-06-06T00:00:00", "us")
"""First pseudo-day: the first day of the competition's log."""

_DAY_MICROSECONDS = 86_400_000_000
_WON_ONLY = "won impressions only: the price is truncated at the logged bid"
_BID_UNKNOWN = f"the bid was not kept: bid_cpm is {LARGEST_BID_CPM:g}, the largest price in the log"
_NO_TIMES = (
    "timestamps are positions in the file, not times: hour-of-day and day-to-day drift cannot be "
    "identified from this sample"
)
_IN_SAMPLE = "pctr was fitted by its authors on these very days"
_ONE_DAY = "the hour index is left out: the sample lies within one day, which pseudo-days cut up"
_BLOCKS_WITH_CLICKS = (
    "selected: only blocks of auctions with at least one click were kept, so the click rate is too "
    "high; correct it with clk_train / imp_train of the campaign's info.json"
)

_ROW_FIELDS = [
    *("click", "weekday", "hour", "bidid", "timestamp", "logtype", "ipinyouid", "useragent", "ip"),
    *("region", "city", "adexchange", "domain", "url", "urlid", "slotid", "slotwidth"),
    *("slotheight", "slotvisibility", "slotformat", "slotprice", "creative", "bidprice"),
    *("payprice", "keypage", "advertiser", "usertag"),
]
_ROW_EXTRAS = ["nclick", "nconversion"]
_ROW_NAMES = {
    "timestamp": "timestamp",
    "campaign_id": "advertiser",
    "bid_cpm": "bidprice",
    "price_cpm": "payprice",
    "floor_cpm": "slotprice",
    "click": "click",
    "exchange": "adexchange",
    "region": "region",
    "slot_format": "slotformat",
    "slot_visibility": "slotvisibility",
}
_SAMPLE_FIELDS = ("click", "price_cpm", "pctr")
_SAMPLE_NAMES = ("timestamp", "bid_cpm", "won", "price_cpm", "pctr", "click")


def _open_rows(path: Path, _options: Mapping[str, int], problems: Problems) -> RawLog:
    """27 tab-separated columns without a header (29 in the test period)."""
    width = len(next(text_lines(path, problems)).split(b"\t"))
    if width not in (len(_ROW_FIELDS), len(_ROW_FIELDS) + len(_ROW_EXTRAS)):
        problems.refuse_file(
            f"{width} tab-separated columns",
            "the 27 columns of an iPinYou row, or 29 with nclick and nconversion",
            "choose another reader",
        )
    fields = (_ROW_FIELDS + _ROW_EXTRAS)[:width]

    def read(_wanted: Sequence[str], found: Problems) -> Iterator[Any]:
        wanted = list(_ROW_NAMES.values())
        for batch in read_delimited(
            path, fields, wanted, found, delimiter="\t", header_rows=0, quoting=False
        ):
            columns = {name: batch.column(field) for name, field in _ROW_NAMES.items()}
            columns["timestamp"] = _iso_times(columns["timestamp"])
            columns["won"] = pa.array(np.ones(batch.num_rows, dtype=bool))
            yield pa.record_batch(columns)

    notes = (
        _WON_ONLY,
        "the log states no time zone: times are taken as written, so hours are the log's own",
        "bid ids are left out: one bid can have several impressions, so they name no row",
    )
    return RawLog((*_ROW_NAMES, "won"), read, notes)


def _iso_times(stamps: Any) -> Any:
    """20131022135101295 -> 2013-10-22T13:51:01.295; anything else stays, to be reported."""
    try:
        texts = stamps.cast(pa.string())
    except pa.ArrowInvalid:  # not UTF-8: told with the other cells
        return stamps
    return pc.replace_substring_regex(
        texts,
        r"^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d{3})$",
        r"\1-\2-\3T\4:\5:\6.\7",
    )


def _open_sample(
    path: Path,
    options: Mapping[str, int],
    problems: Problems,
    *,
    fields: tuple[str, ...],
    delimiter: str,
    notes: tuple[str, ...],
) -> RawLog:
    """Click, price and pCTR by row, with no times: the rows are spread evenly over pseudo-days."""
    width = len(next(text_lines(path, problems)).split(delimiter.encode()))
    if width != len(fields):
        problems.refuse_file(
            f"{width} columns", f"{len(fields)}: {', '.join(fields)}", "choose another reader"
        )

    def read(_wanted: Sequence[str], found: Problems) -> Iterator[Any]:
        rows = sum(1 for line in text_lines(path, found) if line)
        start = 0
        for batch in read_delimited(
            path, fields, _SAMPLE_FIELDS, found, delimiter=delimiter, header_rows=0, quoting=False
        ):
            cells = {field: batch.column(field) for field in _SAMPLE_FIELDS}
            yield _sample_batch(cells, start, rows, options["days"])
            start += batch.num_rows

    return RawLog(_SAMPLE_NAMES, read, (_WON_ONLY, _BID_UNKNOWN, _NO_TIMES, *notes))


def _open_episodes(path: Path, options: Mapping[str, int], problems: Problems) -> RawLog:
    """Line 1: feature count and T; then per episode a number line and T lines of three fields."""
    first = next(text_lines(path, problems)).split()
    if len(first) != 2 or not all(part.isdigit() for part in first):
        problems.refuse_file(
            "a first line that is not two whole numbers",
            "the feature count and T, the rows of an episode",
            "choose another reader",
        )
    length = int(first[1])

    def read(_wanted: Sequence[str], found: Problems) -> Iterator[Any]:
        sizes = [0]
        for line in _after_first(text_lines(path, found)):
            if _is_row(line):
                sizes[-1] += 1
            else:
                sizes.append(0)
        wrong = [
            episode for episode, size in enumerate(sizes) if size != (length if episode else 0)
        ]
        if wrong:
            found.add(
                LogProblem(
                    "",
                    f"{len(wrong)} episodes (first: {wrong[0]}) that do not have {length} rows",
                    f"{length} rows in every episode, as line 1 says",
                    "copy the file again: it is cut or damaged",
                )
            )
        lines = (line for line in _after_first(text_lines(path, found)) if _is_row(line))
        start, rows = 0, sum(sizes)
        while block := list(islice(lines, BATCH_ROWS)):
            cells = [pa.array(cell, pa.binary()) for cell in zip(*map(_fields, block), strict=True)]
            named = dict(zip(_SAMPLE_FIELDS, cells, strict=True))
            yield _sample_batch(named, start, rows, options["days"])
            start += len(block)

    notes = (_WON_ONLY, _BID_UNKNOWN, _NO_TIMES, _IN_SAMPLE, _BLOCKS_WITH_CLICKS)
    return RawLog(_SAMPLE_NAMES, read, notes)


def _after_first(lines: Iterator[bytes]) -> Iterator[bytes]:
    return islice(lines, 1, None)


def _fields(line: bytes) -> list[bytes]:
    return line.split(maxsplit=2)


def _is_row(line: bytes) -> bool:
    # An episode's own line holds its number and, in some versions of the file, its cost.
    return len(_fields(line)) == len(_SAMPLE_FIELDS)


def _sample_batch(cells: Mapping[str, Any], start: int, rows: int, days: int) -> Any:
    """Canonical batch of won impressions, rows `start` onward of `rows` in all."""
    count = len(cells["click"])
    # Evenly spaced times give any number of slots a day equal counts, in file order.
    whole, rest = divmod(days * _DAY_MICROSECONDS, rows)
    position = np.arange(start, start + count)
    offset = position * whole + position * rest // rows
    columns = {
        "timestamp": pa.array(PSEUDO_START + offset, pa.timestamp("us", "UTC")),
        "bid_cpm": pa.array(np.full(count, LARGEST_BID_CPM)),
        "won": pa.array(np.ones(count, dtype=bool)),
    }
    return pa.record_batch({**columns, **cells})


READERS: Mapping[str, Reader] = {
    "ipinyou-rows": Reader(
        summary="27 tab-separated columns per won impression, with times and the logged bid",
        open=_open_rows,
    ),
    "ipinyou-sam": Reader(
        summary="click, price, pCTR and hour index, tab-separated, no header",
        open=partial(
            _open_sample,
            fields=(*_SAMPLE_FIELDS, "hour_index"),
            delimiter="\t",
            notes=(_IN_SAMPLE, _ONE_DAY),
        ),
        defaults={"days": 5},
    ),
    "ipinyou-rlb": Reader(
        summary="the rlb-dp validation files: episodes of click, price and pCTR",
        open=_open_episodes,
        defaults={"days": 5},
    ),
    "ipinyou-theta": Reader(
        summary="click, price and pCTR, separated by spaces, no header",
        open=partial(_open_sample, fields=_SAMPLE_FIELDS, delimiter=" ", notes=()),
        defaults={"days": 6},
    ),
}
"""`days` is the number of pseudo-days that a file without times is cut into, in row order."""
