"""No cell runs in a spreadsheet, and none is another one than was meant."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_marketing.errors import UserError
from ppo_marketing.export.cells import csv_bytes, escaped, text_of, unusable, would_run

NASTY = st.text(alphabet=st.sampled_from(list("=+-@\t\r\n ＝＋'\"aé,;0123456789.|")), max_size=12)


def is_a_number(cell: str) -> bool:
    """Read by Python, not by the pattern under test."""
    try:
        float(cell)
    except ValueError:
        return False
    return all(letter in "+-.0123456789" for letter in cell)


@given(text=NASTY)
def test_no_escaped_cell_begins_like_a_formula_unless_it_is_a_number(text: str) -> None:
    cell = escaped(text)
    assert cell[:1] not in set("=+-@\t\r") or is_a_number(cell)
    assert cell.lstrip(" ")[:1] not in set("=+-@\t\r") or is_a_number(cell.lstrip(" "))
    assert cell in (text, f"'{text}")


@given(rows=st.lists(st.tuples(NASTY, NASTY), max_size=5))
def test_a_csv_for_people_reads_back_as_it_was_but_for_the_apostrophes(
    rows: list[tuple[str, str]],
) -> None:
    content = csv_bytes(["a", "b"], [{"a": x, "b": y} for x, y in rows], mode="spreadsheet")
    back = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    assert back[0] == ["a", "b"]
    assert [tuple(row) for row in back[1:]] == [
        (escaped(text_of(x)), escaped(text_of(y))) for x, y in rows
    ]
    for row in back[1:]:
        for cell in row:
            assert cell[:1] not in set("=+-@\t\r") or is_a_number(cell)


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "-", "+"],
)
def test_what_owasp_lists_would_run(text: str) -> None:
    assert would_run(text)


@pytest.mark.parametrize("text", ["", "a=1", "-20", "+4917012345", "-0.5", ".5", "a-b", "'=1"])
def test_numbers_and_plain_words_would_not(text: str) -> None:
    assert not would_run(text)


def test_text_for_a_machine_is_left_as_it_is() -> None:
    assert (
        csv_bytes(["Keyword"], [{"Keyword": "+shoes"}], mode="machine")
        == b'"Keyword"\r\n"+shoes"\r\n'
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (True, "true"),
        (np.bool_(False), "false"),
        (1e-7, "0.0000001"),
        (1e21, "1000000000000000000000"),
        (33.51, "33.51"),
        (np.float64(0.1), "0.1"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (7, "7"),
        ("e\u0301", "\u00e9"),
        (datetime(2026, 11, 21, 6, tzinfo=UTC), "2026-11-21T06:00:00+00:00"),
    ],
)
def test_values_are_written_as_systems_read_them(value: Any, written: str) -> None:
    assert text_of(value) == written


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), [1], {"a": 1}])
def test_what_is_no_single_finite_value_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match="cannot stand in a cell"):
        text_of(value)


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_exactly_and_without_exponent(number: float) -> None:
    written = text_of(number)
    assert float(written) == number
    assert "e" not in written.lower()


def test_numbers_are_bare_text_is_quoted_and_nothing_is_nothing() -> None:
    row = {"a": 'say "hi", all', "b": -20, "c": None, "d": True, "e": Decimal("1.10")}
    assert csv_bytes(list(row), [row], mode="machine") == (
        b'"a","b","c","d","e"\r\n"say ""hi"", all",-20,,true,1.10\r\n'
    )


def test_a_byte_order_mark_comes_only_where_it_is_asked_for() -> None:
    assert csv_bytes(["a"], [], mode="machine", bom=True) == b'\xef\xbb\xbf"a"\r\n'
    assert csv_bytes(["a"], [], mode="machine") == b'"a"\r\n'


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "a\u202eb", "a\u200bb", "\ufeffa", "\ud800"])
def test_what_cannot_be_seen_is_unusable(text: str) -> None:
    assert unusable(text) is not None


@pytest.mark.parametrize("name", ["=1", "", "a\nb"])
def test_a_column_has_a_plain_name(name: str) -> None:
    with pytest.raises(UserError, match="use plain words"):
        csv_bytes([name], [], mode="machine")
