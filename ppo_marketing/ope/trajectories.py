"""Logged trajectories of different lengths, flat: rows in the order of trajectory, then step.

A trajectory *ends* where nothing can follow (the customer has left for good), and is *cut* where
the log stops though the customer goes on. After an end rewards are 0; after a cut they are unknown.
Both values are checked whole where they are made: every problem is listed at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.errors import UserError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ENDED, UNKNOWN = -1, -2
"""What stands in place of a cell after the last row: nothing follows; or something that the log
does not show."""


class _Ragged:
    """What follows from the order of rows alone."""

    trajectory: Ints
    step: Ints

    @cached_property
    def last(self) -> Ints:
        """The last row of every trajectory, `[T]`."""
        return np.flatnonzero(np.append(np.diff(self.trajectory) > 0, True))

    @property
    def count(self) -> int:
        """T, the number of trajectories."""
        return len(self.last)

    @property
    def longest(self) -> int:
        """Steps of the longest trajectory."""
        return int(self.step.max()) + 1


@dataclass(frozen=True, eq=False)
class Trajectories(_Ragged):
    """What a log did and what the target policy would have done, for the importance weights.

    | field        | shape | meaning                                                      |
    |--------------|-------|--------------------------------------------------------------|
    | `trajectory` | [n]   | 0 .. T - 1, ascending                                        |
    | `step`       | [n]   | 0, 1, 2, ... within every trajectory                         |
    | `reward`     | [n]   | r_t, of the step                                             |
    | `propensity` | [n]   | μ(a_t|s_t), the log's probability of the action that it took |
    | `chosen`     | [n]   | π(a_t|s_t), the target's probability of that same action     |
    | `terminal`   | [T]   | whether the last row ended the trajectory; else it was cut   |
    | `discount`   |       | γ a step, in [0, 1]                                          |

    Raises:
        UserError: with every problem of every field.
    """

    trajectory: Ints
    step: Ints
    reward: Floats
    propensity: Floats
    chosen: Floats
    terminal: Bools
    discount: float

    def __post_init__(self) -> None:
        rows = {name: getattr(self, name) for name in ("reward", "propensity", "chosen")}
        problems = _shapes(self.trajectory, self.step, rows, {"terminal": self.terminal})
        if not problems:
            problems = [
                *_order(self.trajectory, self.step),
                *_where("reward", self.reward, ~np.isfinite(self.reward), "finite"),
                *_where(
                    "propensity", self.propensity,
                    ~((self.propensity > 0) & (self.propensity <= 1)),
                    "in (0, 1]: what was logged had a chance; leave out rows where it is not known",
                ),
                *_where(
                    "chosen", self.chosen, ~((self.chosen >= 0) & (self.chosen <= 1)),
                    "in [0, 1]: the target policy's probability of the logged action",
                ),
            ]  # fmt: skip
        refuse("the trajectories", problems + discount_problems(self.discount))


@dataclass(frozen=True, eq=False)
class CellLog(_Ragged):
    """A log whose states are discrete cells, for what is learned from transitions.

    | field        | shape | meaning                                                            |
    |--------------|-------|--------------------------------------------------------------------|
    | `trajectory` | [n]   | 0 .. T - 1, ascending                                              |
    | `step`       | [n]   | 0, 1, 2, ... within every trajectory                               |
    | `cell`       | [n]   | the state's, 0 .. cells - 1                                        |
    | `action`     | [n]   | 0 .. actions - 1                                                   |
    | `reward`     | [n]   | of the step                                                        |
    | `after`      | [T]   | the cell after the last row; `ENDED`, or `UNKNOWN` after a cut     |
    | `unit`       | [T]   | the customer of each trajectory, 0 ..; each its own where None     |

    Raises:
        UserError: with every problem of every field.
    """

    trajectory: Ints
    step: Ints
    cell: Ints
    action: Ints
    reward: Floats
    after: Ints
    cells: int
    actions: int
    unit: Ints | None = None

    def __post_init__(self) -> None:
        rows = {name: getattr(self, name) for name in ("cell", "action", "reward")}
        ends = {"after": self.after} | ({} if self.unit is None else {"unit": self.unit})
        problems = _shapes(self.trajectory, self.step, rows, ends)
        if not problems:
            problems = [
                *_order(self.trajectory, self.step),
                *_whole("cell", self.cell, 0, self.cells),
                *_whole("action", self.action, 0, self.actions),
                *_where("reward", self.reward, ~np.isfinite(self.reward), "finite"),
                *_whole("after", self.after, UNKNOWN, self.cells),
            ]
            if self.unit is not None:
                problems += _whole("unit", self.unit, 0, len(self.after))
        refuse("the log of cells", problems)

    @cached_property
    def next_cell(self) -> Ints:
        """The cell after every row, `[n]`; `ENDED` or `UNKNOWN` after the last ones."""
        following = np.append(self.cell[1:], ENDED)
        following[self.last] = self.after
        return following

    @cached_property
    def stands_for(self) -> Floats:
        """How many rows each row counts for where transitions are learned, `[n]`.

        A row whose successor is not known teaches nothing. Those of the same step that went on
        stand for it, not those that ended: else endings would be counted too often. Right where
        a cut does not depend on what would follow.
        """
        ended, known = self.next_cell == ENDED, self.next_cell >= 0
        going = np.bincount(self.step, ~ended)
        seen = np.bincount(self.step, known, minlength=len(going))
        share = np.divide(going, seen, out=np.zeros_like(going), where=seen > 0)
        counts = np.where(known, share[self.step], 0.0)
        # Where nobody is known to go on, whoever ended says nothing of how often that happens.
        return np.where(ended & ((seen > 0) | (going == 0))[self.step], 1.0, counts)

    @cached_property
    def unit_of_row(self) -> Ints:
        """The customer of every row, `[n]`: customers are resampled and split whole."""
        return self.trajectory if self.unit is None else self.unit[self.trajectory]

    @property
    def units(self) -> int:
        """How many customers there are."""
        return self.count if self.unit is None else int(self.unit.max()) + 1

    @property
    def starts(self) -> Ints:
        """The first row of every trajectory, `[T]`."""
        return np.flatnonzero(self.step == 0)


def refuse(what: str, problems: list[str]) -> None:
    """Raise a UserError that lists all problems, where there are any."""
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        raise UserError(f"{what} cannot be evaluated; correct every one of these:\n{listed}")


def powers(discount: float, steps: int) -> Floats:
    """γ^t for t = 0 .. steps - 1, `[steps]`; 0^0 is 1."""
    return np.asarray(discount ** np.arange(steps), np.float64)


def discount_problems(discount: float) -> list[str]:
    """What is wrong with a discount, if anything."""
    return [] if 0 <= discount <= 1 else [f"discount is {discount}: it must be in [0, 1] a step"]


def _shapes(trajectory: Ints, step: Ints, rows: dict[str, Any], ends: dict[str, Any]) -> list[str]:
    n = len(trajectory)
    if n == 0:
        return ["there is not one row"]
    problems = [
        f"{name} has shape {np.shape(value)}: one value for each of the {n} rows, ({n},)"
        for name, value in {"step": step, **rows}.items()
        if np.shape(value) != (n,)
    ]
    whole = {"trajectory": trajectory, "step": step}
    problems += [
        f"{name} is of type {np.asarray(value).dtype}: it must be integer"
        for name, value in whole.items()
        if not np.issubdtype(np.asarray(value).dtype, np.integer)
    ]
    count = len(np.unique(trajectory))
    return problems + [
        f"{name} has shape {np.shape(value)}: one value a trajectory, ({count},)"
        for name, value in ends.items()
        if np.shape(value) != (count,)
    ]


def _order(trajectory: Ints, step: Ints) -> list[str]:
    moved = np.diff(trajectory, prepend=-1)
    if trajectory[0] != 0 or np.any((moved != 0) & (moved != 1)):
        return [
            "trajectory must run 0, 1, 2, ... in the order of rows, with no number left out: "
            "sort by customer and time, then number the customers"
        ]
    first = np.flatnonzero(moved == 1)
    expected = np.arange(len(step)) - first[trajectory]
    return _where(
        "step", step, step != expected,
        "0, 1, 2, ... within its trajectory: sort by time, and add the steps that are missing",
    )  # fmt: skip


def _whole(name: str, value: Any, low: int, high: int) -> list[str]:
    kind = np.asarray(value).dtype
    if not np.issubdtype(kind, np.integer):
        return [f"{name} is of type {kind}: it must be integer"]
    return _where(name, value, (value < low) | (value >= high), f"in {low} .. {high - 1}")


def _where(name: str, value: Any, wrong: Bools, allowed: str) -> list[str]:
    if not wrong.any():
        return []
    first = int(np.argmax(wrong))
    return [
        f"{name} is wrong {int(wrong.sum())} of {len(wrong)} times, first at {first}, where it "
        f"is {value[first]}: it must be {allowed}"
    ]
