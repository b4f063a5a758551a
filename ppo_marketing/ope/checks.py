"""What makes a log unfit for evaluation: every problem found first, then told in one message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.errors import UserError
from ppo_marketing.ope.blocks import blocks

Columns = Mapping[str, Any]
Bools = NDArray[np.bool_]

ROWS_NAMED = 5
SUM_TOLERANCE = 1e-4
"""How far probabilities of single precision, or rounded to five digits, may sum from 1."""

_OPTIONAL = ("unit", "weight", "unsupported", "action", "marginal", "cell", "row_id")
_LABELS = ("unit", "cell", "row_id")
_FINITE = ("reward", "direct", "predicted")


def refuse_bad(
    columns: Columns,
    *,
    target_probabilities: Any = None,
    predicted_reward: Any = None,
    logging_probabilities: Any = None,
    category: Any = None,
    context: Any = None,
) -> None:
    """Refuse a log of `columns [n]` and matrices `[n, A]` of which anything is wrong.

    Propensities missing, 0, negative or above 1; rewards that are not finite; actions outside the
    set; rows that repeat a `row_id`; probabilities that are negative or do not sum to 1; weights
    that are not positive; lengths that differ.

    Raises:
        UserError: the message lists every problem with its rows, what is allowed and what to do.
    """
    given = {
        name: column
        for name, column in columns.items()
        if not (column is None and name in _OPTIONAL)
    }
    matrices = {
        "target_probabilities": target_probabilities,
        "predicted_reward": predicted_reward,
        "logging_probabilities": logging_probabilities,
        "context": context,
    }
    wide: dict[str, NDArray[Any]] = {
        name: np.asarray(matrix) for name, matrix in matrices.items() if matrix is not None
    }
    problems = [*_shapes(given, wide, category)]
    for name, column in given.items():
        problems += _labels(name, column) if name in _LABELS else _numbers(name, column)
    actions = next((m.shape[1] for m in _of_actions(wide).values() if m.ndim == 2), None)
    if actions is not None and "action" in given:
        problems += _outside(given["action"], actions)
    for name, matrix in wide.items():
        if matrix.ndim == 2 and matrix.size:
            problems += _matrix(name, matrix, probabilities="probabilities" in name)
    if not problems and logging_probabilities is not None:
        problems += _disagreeing(wide["logging_probabilities"], given)
    if problems:
        count = f"{len(problems)} problem" + "s" * (len(problems) > 1)
        lines = [f"the log cannot be evaluated: {count}"]
        lines += [f"  {number}. {problem}" for number, problem in enumerate(problems, 1)]
        raise UserError("\n".join(lines))


def _shapes(given: Columns, wide: Columns, category: Any) -> list[str]:
    lengths = {name: len(np.atleast_1d(np.asarray(value))) for name, value in given.items()}
    lengths |= {name: len(np.atleast_1d(matrix)) for name, matrix in wide.items()}
    problems = []
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        problems.append(
            f"lengths differ ({found}). Allowed: one entry a row in each. To do: take all of them "
            "from the same rows."
        )
    elif not any(lengths.values()):
        problems.append("there are no rows. Allowed: at least one. To do: check the filter.")
    flat = [name for name, matrix in wide.items() if matrix.ndim != 2]
    flat += [name for name, value in given.items() if np.ndim(value) != 1]
    if flat:
        problems.append(
            f"{', '.join(flat)}: wrong number of dimensions. Allowed: columns [rows], matrices "
            "[rows, actions]. To do: reshape; a policy that is the same for all is "
            "np.broadcast_to(policy, (rows, actions))."
        )
    widths = {name: m.shape[1] for name, m in _of_actions(wide).items() if m.ndim == 2}
    if category is not None:
        widths["category"] = len(category)
    if len(set(widths.values())) > 1:
        found = ", ".join(f"{name} {width}" for name, width in widths.items())
        problems.append(
            f"numbers of actions differ ({found}). Allowed: the same set in each. To do: give "
            "every action of the log and of the target a column."
        )
    return problems


def _of_actions(wide: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The matrices whose columns are actions."""
    return {name: matrix for name, matrix in wide.items() if name != "context"}


def _labels(name: str, column: Any) -> list[str]:
    values = np.asarray(column)
    missing = np.zeros(len(np.atleast_1d(values)), bool)
    if values.dtype.kind == "f":
        missing = np.isnan(values)
    elif values.dtype.kind == "O":
        missing = np.array([label is None or label != label for label in values.ravel()], bool)
    if missing.any():
        return [_told(name, "missing", missing, "a label in every row", "fill it, or drop them")]
    if name != "row_id":
        return []
    first = np.unique(values, return_index=True)[1]
    repeated = np.ones(len(values), bool)
    repeated[first] = False
    return _if_any(
        "row_id", "rows that repeat an earlier one", repeated, "each row once",
        "drop the copies: they would pass for independent evidence",
    )  # fmt: skip


def _numbers(name: str, column: Any) -> list[str]:
    try:
        values = np.asarray(column, np.float64).ravel()
    except (TypeError, ValueError):
        return [f"{name}: not a column of numbers. Allowed: numbers. To do: convert it."]
    if name == "action":
        with np.errstate(invalid="ignore"):
            broken = ~(np.mod(values, 1.0) == 0.0)
        return _if_any(
            name, _example(values, broken), broken, "whole numbers from 0",
            "number the actions 0, 1, ...",
        )  # fmt: skip
    missing, endless = np.isnan(values), np.isinf(values)
    if name == "propensity":
        allowed = "above 0 and at most 1"
        return [
            *_if_any(
                name, "missing", missing, allowed,
                "log it with every decision, or leave propensities out to have them estimated",
            ),
            *_if_any(
                name, "0 or below", values <= 0, allowed,
                "an action that was taken had a chance: log that chance, not a rounded one",
            ),
            *_if_any(
                name, "above 1", values > 1, allowed,
                "log the probability of the action, not a score or a density",
            ),
        ]  # fmt: skip
    if name in ("chosen", "unsupported"):
        wrong = missing | (values < 0) | (values > 1 + SUM_TOLERANCE)
        return _if_any(
            name, _example(values, wrong), wrong, "0 to 1", "pass shares of the target policy"
        )
    if name in ("weight", "marginal"):
        floor = values <= 0 if name == "weight" else values < 0
        wrong = missing | endless | floor
        return _if_any(
            name, _example(values, wrong), wrong, "finite and positive", "drop rows of nothing"
        )
    wrong = missing | endless
    what = "rewards" if name == "reward" else "predictions"
    return _if_any(
        name, _example(values, wrong), wrong, "finite numbers",
        f"repair or drop rows without {what}; a reward of nothing is 0",
    )  # fmt: skip


def _outside(column: Any, actions: int) -> list[str]:
    try:
        values = np.asarray(column, np.float64).ravel()
    except (TypeError, ValueError):
        return []
    outside = (values < 0) | (values >= actions)
    return _if_any(
        "action", f"outside the set, such as {_first(values, outside)}", outside,
        f"0 to {actions - 1}, the columns of the target policy",
        "add the action to the policy's columns, or drop rows that it may not take",
    )  # fmt: skip


def _matrix(name: str, matrix: NDArray[Any], *, probabilities: bool) -> list[str]:
    if matrix.dtype.kind not in "fiub":
        return [f"{name}: not a matrix of numbers. Allowed: numbers. To do: convert it."]
    n = len(matrix)
    bad, off, sums = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n)
    for part in blocks(n, matrix.shape[1]):
        block = matrix[part]
        sums[part] = block.sum(axis=1, dtype=np.float64)
        bad[part] = ~np.isfinite(sums[part])
        if probabilities:
            bad[part] |= (block < 0).any(axis=1)
            off[part] = ~bad[part] & (np.abs(sums[part] - 1.0) > SUM_TOLERANCE)
    if not probabilities:
        return _if_any(name, "not finite", bad, "finite numbers", "fill every cell of these rows")
    return [
        *_if_any(
            name, "negative or not finite", bad, "probabilities",
            "pass the policy's probabilities, not its scores",
        ),
        *_if_any(
            name, f"sums that are not 1, such as {_first(sums, off)}", off,
            f"1 within {SUM_TOLERANCE:g}", "divide each row by its sum over the allowed actions",
        ),
    ]  # fmt: skip


def _disagreeing(logging: NDArray[Any], given: Columns) -> list[str]:
    taken = np.asarray(given["action"]).astype(np.int64)
    own = logging[np.arange(len(logging)), taken]
    apart = np.abs(own - np.asarray(given["propensity"], np.float64)) > SUM_TOLERANCE
    return _if_any(
        "logging_probabilities", "another probability of the action taken than `propensity`", apart,
        "the same policy in both", "take both from the same record",
    )  # fmt: skip


def _if_any(name: str, found: str, wrong: Bools, allowed: str, action: str) -> list[str]:
    return [_told(name, found, wrong, allowed, action)] if wrong.any() else []


def _told(name: str, found: str, wrong: Bools, allowed: str, action: str) -> str:
    rows = np.flatnonzero(wrong)
    named = ", ".join(str(row + 1) for row in rows[:ROWS_NAMED])
    first = "first " if len(rows) > ROWS_NAMED else ""
    count = f"{len(rows)} row" + "s" * (len(rows) > 1)
    return f"{name}: {found} in {count} ({first}{named}). Allowed: {allowed}. To do: {action}."


def _first(values: NDArray[Any], wrong: Bools) -> str:
    return f"{values[wrong][0]:g}" if wrong.any() else ""


def _example(values: NDArray[Any], wrong: Bools) -> str:
    return f"found {_first(values, wrong)}"
