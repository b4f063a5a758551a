"""Rows of a team get the one decision that is about them, or none."""

from __future__ import annotations

from typing import Any

import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.export.decision_table import DecisionTable
from ppo_marketing.export.joining import joined

TABLE = DecisionTable(
    key=("hour", "weekend"),
    decided=("multiplier",),
    amounts=("multiplier",),
    rows=tuple(
        {"decision_id": f"{h}|{w}", "hour": h, "weekend": w, "multiplier": h + 10 * w}
        for h in (1.0, 1.5)
        for w in (False, True)
    ),
    meaning={},
    notes=(),
)


def test_numbers_and_truths_are_matched_however_they_are_written() -> None:
    rows: list[dict[str, Any]] = [{"h": "1"}, {"h": "1.50"}, {"h": 1.5}, {"h": "2"}]
    found = joined(rows, TABLE, {"hour": "h", "weekend": {"value": "TRUE"}})
    assert [row.get("multiplier") for row in found] == [11.0, 11.5, 11.5, None]


def test_everything_wrong_with_a_join_is_said_at_once() -> None:
    with pytest.raises(UserError) as error:
        joined([{"h": 1, "multiplier": 2}], TABLE, {"hour": "no", "day": "h"})
    for said in ("no column 'no'", "join.day: unknown", "join.weekend", "rename it"):
        assert said in str(error.value)
    with pytest.raises(UserError, match=r"the table has 1.0, 1.5"):
        joined([{"h": 1}], TABLE, {"hour": {"value": 3}, "weekend": "h"})
