"""What goes, what is left out and why, what differs from last time, and how much may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.export.cells import Mode
from ppo_marketing.export.permission import Permissions
from ppo_marketing.export.preparing import (
    Kept,
    Prepared,
    kept_as_plain,
    kept_from_plain,
    prepare,
)
from ppo_marketing.export.target import Draft, Ready, Row, Unfit, drafted


@dataclass(frozen=True)
class Plain:
    """A target that takes ids and bids as they are."""

    mode: Mode = "machine"
    personal: bool = False
    sized: bool = True

    name = "plain"
    key = ("id",)

    def draft(self, given: Sequence[Row]) -> Draft:
        return drafted(given, self._ready)

    def _ready(self, row: Row) -> Ready:
        if row.get("bad"):
            raise Unfit("it is bad")
        sizes = {"bid": Decimal(str(row["bid"]))} if self.sized else {}
        return Ready(row, sizes, person=row.get("who"))

    def files(self, rows: Sequence[Row]) -> dict[str, bytes]:
        return {}


def rows(**bids: Any) -> list[dict[str, Any]]:
    return [{"id": name, "bid": bid} for name, bid in bids.items()]


def prepared(
    given: Sequence[Row],
    last: Mapping[str, Kept] | None = None,
    *,
    target: Plain = Plain(),
    permissions: Permissions | None = None,
    max_change: float = 0.5,
) -> Prepared:
    return prepare(target, given, last=last, permissions=permissions, max_change=max_change)


def test_rows_are_new_changed_as_before_or_gone() -> None:
    last = prepared(rows(a=1.0, b=1.0, c=1.0)).kept
    report = prepared(rows(a=1.0, b=1.2, d=9.0), last).report
    assert (report["added"], report["changed"], report["unchanged"], report["removed"]) == (
        1,
        1,
        1,
        1,
    )
    assert report["preview"][0] == {
        "change": "changed", "key": '["b"]', "cells": {"bid": ["1.0", "1.2"]},
    }  # fmt: skip
    assert report["rows"] == report["added"] + report["changed"] + report["unchanged"]


def test_what_was_exported_again_is_as_before_also_through_a_file() -> None:
    first = prepared(rows(a=0.1, b=33.51))
    again = kept_from_plain(kept_as_plain(first.kept))
    assert again == dict(first.kept)
    assert prepared(rows(a=0.1, b=33.51), again).report["unchanged"] == 2


@pytest.mark.parametrize(("bid", "stops"), [(1.5, False), (1.51, True), (0.5, False), (0.49, True)])
def test_a_bid_may_change_by_so_much_and_no_more(bid: float, stops: bool) -> None:
    last = prepared(rows(a=1.0)).kept
    assert (prepared(rows(a=bid), last).stopped is not None) == stops


def test_from_nothing_any_step_is_too_large() -> None:
    last = prepared(rows(a=0.0)).kept
    assert prepared(rows(a=0.0), last).stopped is None
    stopped = prepared(rows(a=0.01), last, max_change=1000).stopped
    assert stopped is not None
    assert '["a"]' in stopped


def test_a_first_export_is_held_against_what_runs_now_where_that_is_known() -> None:
    @dataclass(frozen=True)
    class Running(Plain):
        def _ready(self, row: Row) -> Ready:
            return Ready(row, {"bid": Decimal(2)}, {"bid": Decimal(1)})

    assert prepared(rows(a=2), target=Running()).stopped is not None
    assert prepared(rows(a=2), target=Running(), max_change=1).stopped is None


def test_an_export_that_lost_half_its_rows_is_stopped() -> None:
    last = prepared(rows(a=1, b=1, c=1, d=1)).kept
    assert prepared(rows(a=1, b=1), last).stopped is None
    stopped = prepared(rows(a=1), last).stopped
    assert stopped is not None
    assert "3 of the last export's 4 rows" in stopped


def test_where_rows_have_no_size_their_share_is_held() -> None:
    words = Plain(sized=False)
    last = prepared(rows(a="x", b="x", c="x", d="x"), target=words).kept
    assert prepared(rows(a="y", b="y", c="x", d="x"), last, target=words).stopped is None
    assert prepared(rows(a="y", b="y", c="y", d="x"), last, target=words).stopped is not None


def test_the_refused_are_counted_by_reason_with_their_row() -> None:
    report = prepared([*rows(a=1), {"id": "b", "bid": 1, "bad": True}]).report
    assert report["refused"] == 1
    assert report["refused_because"] == {"it is bad": 1}
    assert report["refused_rows"] == [{"source": 2, "reason": "it is bad"}]


def test_the_same_key_twice_is_refused_both_times() -> None:
    report = prepared([*rows(a=1), *rows(a=2), *rows(b=1)]).report
    assert report["rows"] == 1
    assert report["refused"] == 2


def test_for_a_machine_formulas_are_refused_and_a_plus_is_told() -> None:
    given = [*rows(**{"=1+1": 1, "@x": 1, "+shoes": 1, "shoes": 1}), *rows(**{"a\u202eb": 1})]
    found = prepared(given)
    assert [row["id"] for row in found.rows] == ["+shoes", "shoes"]
    assert found.report["refused"] == 3
    assert any("begins like a formula" in said for said in found.report["warnings"])


def test_a_value_that_is_none_for_a_cell_is_refused_without_being_shown() -> None:
    (refused,) = prepared([*rows(a=1), {"id": "b", "bid": 1, "x": ["secret"]}]).report[
        "refused_rows"
    ]
    assert refused["reason"] == "x holds no text, finite number, date or nothing"


def test_for_a_spreadsheet_formulas_stay_since_they_will_be_escaped() -> None:
    found = prepared(rows(**{"=1+1": 1}), target=Plain(mode="spreadsheet"))
    assert [row["id"] for row in found.rows] == ["=1+1"]


PEOPLE = [
    {"id": "1", "bid": 1, "who": "Ann@x.de"},
    {"id": "2", "bid": 1, "who": "bob@x.de"},
    {"id": "3", "bid": 1, "who": "cy@x.de"},
    {"id": "4", "bid": 1, "who": None},
]
LISTS = Permissions(frozenset({"bob@x.de"}), frozenset({"ann@x.de", "bob@x.de"}))


def test_people_are_left_out_by_the_lists_and_only_counted() -> None:
    found = prepared(PEOPLE, target=Plain(personal=True), permissions=LISTS)
    assert [row["id"] for row in found.rows] == ["1"]
    assert found.report["left_out"] == {
        "is on the suppression list": 1, "has not consented": 1, "names no person": 1,
    }  # fmt: skip


def test_neither_report_nor_what_is_kept_says_who() -> None:
    found = prepared(PEOPLE, target=Plain(personal=True), permissions=LISTS)
    told = str(found.report) + str(kept_as_plain(found.kept))
    assert not any(word in told.lower() for word in ("ann", "bob", "@x.de"))
    assert (
        prepared(PEOPLE, found.kept, target=Plain(personal=True), permissions=LISTS).report[
            "unchanged"
        ]
        == 1
    )


def test_people_without_lists_are_a_mistake_that_cannot_pass() -> None:
    with pytest.raises(UserError, match="permissions"):
        prepared(PEOPLE, target=Plain(personal=True))


def test_an_export_of_nobody_is_stopped() -> None:
    nobody = Permissions(frozenset(), frozenset())
    found = prepared(PEOPLE, target=Plain(personal=True), permissions=nobody)
    assert found.stopped == "no row is left to export"
