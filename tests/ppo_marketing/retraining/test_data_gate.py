"""The data gate: what it lets pass, and everything that it refuses, at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.retraining.data_gate import DataRules, checked, require_sound
from ppo_marketing.retraining.profile import ColumnFacts, LogFacts

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def column(**changes: Any) -> ColumnFacts:
    facts = {"kind": "number", "one_unit": True, "empty_share": 0.1, "positive_median": 2.0}
    return ColumnFacts(**{**facts, **changes})


LAST = LogFacts(
    sha256="a" * 64,
    source="log.csv",
    rows=28_000,
    days=28,
    duplicates=0,
    first="2026-10-01T00:00:00+00:00",
    last=(NOW - timedelta(hours=5)).isoformat(),
    currency="EUR",
    columns={"price": column(), "region": column(kind="category", one_unit=False)},
)


def failed(log: LogFacts, rules: DataRules | None = None) -> list[str]:
    return [c.name for c in checked(log, LAST, rules or DataRules(), NOW) if not c.holds]


def test_the_same_log_passes_and_so_does_the_first_one() -> None:
    assert failed(LAST) == []
    assert all(check.holds for check in checked(LAST, None, DataRules(), NOW))


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"last": (NOW - timedelta(hours=73)).isoformat()}, "freshness"),
        ({"rows": 13_000}, "volume"),
        ({"rows": 43_000}, "volume"),
        ({"duplicates": 300}, "duplicates"),
        ({"currency": "USD"}, "currency"),
        ({"columns": {"price": column()}}, "schema"),
        ({"columns": {**LAST.columns, "region": column(one_unit=False)}}, "schema"),
        ({"columns": {**LAST.columns, "price": column(empty_share=0.16)}}, "empty cells of price"),
        ({"columns": {**LAST.columns, "price": column(positive_median=200.0)}}, "unit of price"),
        ({"columns": {**LAST.columns, "price": column(positive_median=0.1)}}, "unit of price"),
    ],
)
def test_each_check_refuses_what_it_is_for(changes: dict[str, Any], check: str) -> None:
    assert failed(replace(LAST, **changes)) == [check]


@pytest.mark.parametrize(
    "changes",
    [
        {"last": (NOW - timedelta(hours=72)).isoformat()},
        {"rows": 14_000},
        {"rows": 42_000},
        {"duplicates": 282},
        {"columns": {**LAST.columns, "price": column(empty_share=0.1499)}},
        {"columns": {**LAST.columns, "price": column(positive_median=20.0)}},
        {"columns": {**LAST.columns, "a new one": column()}},
    ],
)
def test_what_lies_on_a_bound_passes(changes: dict[str, Any]) -> None:
    assert failed(replace(LAST, **changes)) == []


def test_all_that_is_wrong_is_said_at_once_with_what_to_do() -> None:
    wrong = replace(LAST, rows=1_000, currency="USD", columns={})
    with pytest.raises(UserError) as refused:
        require_sound(checked(wrong, LAST, DataRules(), NOW), "log.csv")
    for part in ("columns are gone: price, region", "USD (last training: EUR)", "-96 %", "widen"):
        assert part in str(refused.value)
    assert refused.value.exit_code == 3


def test_a_check_can_be_left_out_and_a_bound_that_is_none_is_refused() -> None:
    rules = DataRules(most_hours_old=None, volume_change=None, scale_change=None)
    old = replace(LAST, rows=1, last="2001-01-01T00:00:00+00:00")
    assert failed(old, rules) == []
    with pytest.raises(UserError, match=r"volume_change is 0.*scale_change is 1"):
        DataRules(volume_change=0.0, scale_change=1.0)
