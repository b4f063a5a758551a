"""Mixed units are told from honest tails, whatever share of the column they are."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from envs.core.log import Column, LogError, LogSchema, RowRule
from envs.core.log_checks import check_rules, check_units, unit_break
from envs.core.log_problems import Problems

PRICE = Column(name="price_cpm", kind="number", unit="euro per 1000", low=0.0, one_unit=True)


def problem_with(values: NDArray[np.floating]) -> str:
    """What `check_units` says about a column, '' when nothing."""
    problems = Problems("log.csv")
    with duckdb.connect(":memory:") as connection:
        rows = pa.table(
            {
                "price_cpm": pa.array(values, mask=np.isnan(values)),
                "__row": np.arange(1, values.size + 1),
                "__broken": np.zeros(values.size, dtype=bool),
            }
        )
        connection.register("staged", rows)
        check_units(connection, PRICE, values.size, problems)
    try:
        problems.refuse()
    except LogError as error:
        return str(error.problems[0])
    return ""


def prices(rng: np.random.Generator, rows: int, spread: float = 1.0) -> NDArray[np.float64]:
    return np.clip(np.round(np.exp(4.0 + spread * rng.normal(size=rows))), 1.0, 300.0)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_a_stretch_in_cents_is_refused_and_its_rows_are_named(
    rng: np.random.Generator, share: float
) -> None:
    column = prices(rng, 10_000)
    start = 10_000 - int(share * 10_000)
    column[start:] *= 100.0
    found = problem_with(column)
    # The larger part of the file counts as the rest.
    if share > 0.5:
        assert f"times the rest in rows 1 to {start:,}" in found
    else:
        assert f"times the rest in rows {start + 1:,} to 10,000" in found


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.5, 0.65])
def test_scattered_rows_in_cents_are_refused(rng: np.random.Generator, share: float) -> None:
    column = prices(rng, 10_000)
    column[rng.random(10_000) < share] *= 100.0
    assert "far above the rest of the column" in problem_with(column)


def test_every_other_row_in_cents_is_refused_when_the_two_scales_do_not_overlap(
    rng: np.random.Generator,
) -> None:
    bids = np.round(np.exp(4.0 + 0.25 * rng.normal(size=10_000)), 2)
    bids[::2] *= 100.0
    found = problem_with(bids)
    assert "in 5,000 rows (first 1, 3, 5, 7, 9)" in found


def test_a_single_value_in_cents_is_refused_and_named(rng: np.random.Generator) -> None:
    column = prices(rng, 10_000)
    column[4_321] = 7_000.0
    assert "in 1 row (4322)" in problem_with(column)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    level=st.floats(0.5, 5.0),
    spread=st.floats(0.0, 2.0),
    rows=st.integers(500, 20_000),
    whole=st.booleans(),
)
def test_honest_heavy_tails_between_1_and_300_pass(
    seed: int, level: float, spread: float, rows: int, whole: bool
) -> None:
    rng = np.random.default_rng(seed)
    column = np.exp(level + spread * rng.normal(size=rows)).clip(1.0, 300.0)
    assert problem_with(column.round() if whole else column) == ""


@pytest.mark.parametrize("exponent", [0.8, 1.0, 1.5])
def test_power_law_prices_pass(rng: np.random.Generator, exponent: float) -> None:
    column = np.minimum(1.0 + rng.pareto(exponent, 50_000), 300.0)
    assert problem_with(column) == ""


def test_prices_that_drift_and_rise_by_the_day_pass(rng: np.random.Generator) -> None:
    day_level = np.exp(np.cumsum(0.35 * rng.normal(size=28)).clip(-1.5, 1.5))
    assert problem_with(prices(rng, 28_000) * np.repeat(day_level, 1_000)) == ""


def test_an_exchange_minimum_far_below_the_market_passes(rng: np.random.Generator) -> None:
    column = np.clip(prices(rng, 10_000, spread=0.3), 20.0, 300.0)
    column[rng.random(10_000) < 0.2] = 0.5
    assert problem_with(column) == ""


def test_lost_rows_and_zeros_do_not_count(rng: np.random.Generator) -> None:
    column = prices(rng, 2_000)
    column[:1_500] = np.nan
    column[1_500:1_600] = 0.0
    assert problem_with(column) == ""


def test_a_handful_of_values_is_not_judged() -> None:
    assert unit_break(np.array([0, 60]), np.array([5, 4])) is None
    assert unit_break(np.array([0, 60]), np.array([5, 5])) == 60


def test_a_rule_over_absent_columns_is_applied_only_where_the_log_lacks_them() -> None:
    schema = LogSchema(
        name="contacts",
        columns=(
            Column(name="timestamp", kind="timestamp", unit="UTC"),
            Column(name="consent", kind="bool", unit="0 or 1", required=False),
        ),
        rules=(
            RowRule(
                columns=("timestamp",), absent=("consent",), broken="true",
                found="a contact without a consent column", allowed="consent", action="add it",
            ),
        ),
    )  # fmt: skip
    with duckdb.connect(":memory:") as connection:
        connection.register("staged", pa.table({"__row": [1, 2], "__broken": [False, False]}))
        for names, problems in ((("timestamp",), 1), (("timestamp", "consent"), 0)):
            found = Problems("log.csv")
            check_rules(connection, schema, names, found)
            assert len(found._whole) == problems
