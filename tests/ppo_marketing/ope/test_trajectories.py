"""Logs of different lengths: every problem at once, and what follows the last row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.ope.trajectories import ENDED, UNKNOWN, CellLog, Trajectories

GOOD: dict[str, Any] = {
    "trajectory": np.array([0, 0, 1, 2, 2, 2]),
    "step": np.array([0, 1, 0, 0, 1, 2]),
    "reward": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    "propensity": np.full(6, 0.5),
    "chosen": np.full(6, 0.25),
    "terminal": np.array([True, False, True]),
    "discount": 0.9,
}
CELLS: dict[str, Any] = {
    "trajectory": GOOD["trajectory"],
    "step": GOOD["step"],
    "cell": np.array([3, 1, 0, 2, 2, 1]),
    "action": np.array([0, 1, 1, 0, 1, 0]),
    "reward": GOOD["reward"],
    "after": np.array([2, UNKNOWN, ENDED]),
    "cells": 4,
    "actions": 2,
}


def test_last_rows_count_and_length_follow_from_the_order() -> None:
    log = Trajectories(**GOOD)
    np.testing.assert_array_equal(log.last, [1, 2, 5])
    assert (log.count, log.longest) == (3, 3)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("reward", [1.0, np.nan, 3, 4, 5, np.inf], "reward is wrong 2 of 6 times, first at 1"),
        ("propensity", [0.5, 0.5, 0.0, 0.5, 0.5, 1.1], "propensity is wrong 2 of 6"),
        ("propensity", [0.5, 0.5, np.nan, 0.5, 0.5, 1.0], "in (0, 1]"),
        ("chosen", [0.5, -0.1, 0.5, 0.5, 0.5, 1.0], "chosen is wrong 1 of 6 times, first at 1"),
        ("step", [0, 2, 0, 0, 1, 2], "add the steps that are missing"),
        ("step", [0, 1, 1, 0, 1, 2], "step is wrong 1 of 6 times, first at 2"),
        ("trajectory", [0, 0, 2, 3, 3, 3], "with no number left out"),
        ("trajectory", [1, 1, 0, 2, 2, 2], "sort by customer and time"),
        ("discount", 1.01, "discount is 1.01"),
        ("terminal", [True, False], "one value a trajectory, (3,)"),
        ("chosen", [0.1], "one value for each of the 6 rows"),
        ("step", [0.0, 1, 0, 0, 1, 2], "must be integer"),
    ],
)
def test_a_trajectory_that_cannot_be_is_refused(field: str, value: Any, said: str) -> None:
    given = GOOD | {field: value if np.isscalar(value) else np.array(value)}
    with pytest.raises(UserError) as refused:
        Trajectories(**given)
    assert said in str(refused.value)


def test_all_problems_are_listed_at_once() -> None:
    given = GOOD | {
        "reward": np.full(6, np.nan),
        "propensity": np.zeros(6),
        "chosen": np.full(6, 2.0),
        "discount": -1.0,
    }
    with pytest.raises(UserError) as refused:
        Trajectories(**given)
    assert str(refused.value).count("\n- ") == 4


def test_no_row_at_all_is_refused() -> None:
    empty = {name: value[:0] if np.ndim(value) else value for name, value in GOOD.items()}
    with pytest.raises(UserError, match="not one row"):
        Trajectories(**empty)


def test_the_next_cell_is_the_next_rows_and_after_the_last_what_was_said() -> None:
    log = CellLog(**CELLS)
    np.testing.assert_array_equal(log.next_cell, [1, 2, UNKNOWN, 2, 1, ENDED])
    np.testing.assert_array_equal(log.starts, [0, 2, 3])


def test_rows_that_go_on_stand_for_those_whose_successor_was_cut() -> None:
    # Step 0: one goes on to a known state, one is cut, one ended. Step 1: nothing but a cut.
    log = CellLog(
        trajectory=np.array([0, 0, 1, 2]),
        step=np.array([0, 1, 0, 0]),
        cell=np.zeros(4, int),
        action=np.zeros(4, int),
        reward=np.zeros(4),
        after=np.array([UNKNOWN, UNKNOWN, ENDED]),
        cells=1,
        actions=1,
    )
    np.testing.assert_array_equal(log.stands_for, [2.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(CellLog(**CELLS).stands_for, [1.5, 1.0, 0.0, 1.5, 1.0, 1.0])


def test_endings_say_nothing_at_a_step_where_nobody_is_known_to_go_on() -> None:
    cut = CELLS | {"after": np.array([UNKNOWN, UNKNOWN, ENDED])}
    # Step 1: the first trajectory is cut, the third goes on. Step 2: the only row ended.
    np.testing.assert_array_equal(CellLog(**cut).stands_for, [1.5, 0.0, 0.0, 1.5, 2.0, 1.0])
    both = {
        name: value[[0, 2]] if np.ndim(value) and name != "after" else value
        for name, value in CELLS.items()
    } | {"trajectory": np.array([0, 1]), "after": np.array([UNKNOWN, ENDED])}
    np.testing.assert_array_equal(CellLog(**both).stands_for, [0.0, 0.0])


def test_customers_are_the_trajectories_unless_said_otherwise() -> None:
    alone = CellLog(**CELLS)
    assert alone.units == 3
    np.testing.assert_array_equal(alone.unit_of_row, CELLS["trajectory"])
    shared = CellLog(**CELLS, unit=np.array([1, 0, 1]))
    assert shared.units == 2
    np.testing.assert_array_equal(shared.unit_of_row, [1, 1, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("cell", [3, 1, 0, 4, 2, 1], "in 0 .. 3"),
        ("cell", [3, 1, 0, -1, 2, 1], "cell is wrong 1 of 6 times, first at 3"),
        ("action", [0, 1, 2, 0, 1, 0], "in 0 .. 1"),
        ("action", [0.5, 1, 1, 0, 1, 0], "action is of type float64"),
        ("after", [4, UNKNOWN, ENDED], "in -2 .. 3"),
        ("reward", [np.nan, 2, 3, 4, 5, 6], "finite"),
        ("unit", [0, 1, 3], "in 0 .. 2"),
    ],
)
def test_a_cell_log_that_cannot_be_is_refused(field: str, value: Any, said: str) -> None:
    with pytest.raises(UserError) as refused:
        CellLog(**(CELLS | {field: np.array(value)}))
    assert said in str(refused.value)
