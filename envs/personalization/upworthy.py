"""Reader of the Upworthy headline tests as arm counts (Matias, Munger, Aubin and Ebersole,
Scientific Data 2021): an n matrix of impressions and a y matrix of clicks, a row a test.

Each headline is an item, eligible in its own test only (its pool). Impressions of one arm are
exchangeable, so they are dealt at random to pseudo-days; a row is (test, arm, day, clicked or not)
with its number of impressions. The repository's script sorted the arms of a test by clicks, which
would tell the answer: they are shuffled.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.log import LogProblem, RawLog
from envs.core.log_problems import Problems
from envs.core.log_source import text_lines
from envs.personalization.pseudo_time import START

_NAMES = (
    *("timestamp", "unit_id", "action_id", "propensity", "reward", "impressions", "pool_id"),
    *("arms", "hour", "weekday"),
)


class Tests(NamedTuple):
    """Impressions and clicks, `[tests, arms]`, of the tests named."""

    name: list[str]
    shown: NDArray[np.int64]
    clicked: NDArray[np.int64]


def open_upworthy(path: Path, options: Mapping[str, int], problems: Problems) -> RawLog:
    """Rows of `options["tests"]` tests, taken evenly over the file."""
    other = path.with_name(path.name.replace("n_matrix", "y_matrix"))
    if "n_matrix" not in path.name or not other.is_file():
        problems.refuse_file(
            f"{path.name} without a y matrix beside it",
            "a file n_matrix.csv.gz with y_matrix.csv.gz in the same folder",
            "name the n matrix, and put the y matrix beside it",
        )
    whole = _tests(path, other, problems)
    problems.refuse()
    kept = np.unique(np.linspace(0, len(whole.name) - 1, options["tests"]).round().astype(int))
    tests = Tests([whole.name[t] for t in kept], whole.shown[kept], whole.clicked[kept])
    rng = np.random.default_rng(options["seed"])
    batch = _rows(tests, options["days"], rng)

    def read(wanted: Sequence[str], _found: Problems) -> Iterator[Any]:
        yield batch.select(list(wanted))

    notes = (
        f"{len(kept)} of {len(whole.name):,} tests, taken evenly over the file (--reader-option "
        "tests=N for more)",
        f"impressions are dealt at random to {options['days']} pseudo-days: drift within a test "
        "cannot be seen",
        "arms are shuffled (the file has them sorted by clicks), and propensities are "
        "estimated: the arms were randomised, their shares of a test's impressions are counted",
    )
    return RawLog(_NAMES, read, notes, files=(path, other))


def _tests(n_path: Path, y_path: Path, problems: Problems) -> Tests:
    names, shown = _matrix(n_path, problems)
    y_names, clicked = _matrix(y_path, problems)
    problems.refuse()
    if names != y_names or shown.shape != clicked.shape:
        problems.refuse_file(
            f"other tests in {y_path.name} than in {n_path.name}",
            "the same tests in the same order in both",
            "take both matrices from one release",
        )
    wrong = np.flatnonzero((clicked > shown).any(axis=1))
    if wrong.size:
        problems.add(
            LogProblem(
                "reward",
                "more clicks than impressions",
                "clicks up to the impressions of an arm",
                "check that both matrices are of one release",
                len(wrong),
                tuple(int(row) + 1 for row in wrong[:3]),
            )
        )
    return Tests(names, shown, clicked)


def _matrix(path: Path, problems: Problems) -> tuple[list[str], NDArray[np.int64]]:
    lines = (line.decode("utf-8", "replace") for line in text_lines(path, problems))
    _, *rows = csv.reader(lines)
    wrong, cells = [], []
    for number, row in enumerate(rows, 1):
        try:
            counts = [float(cell) for cell in row[1:]]
        except ValueError:
            counts = [-1.0]
        if min(counts, default=-1.0) < 0 or any(count % 1 for count in counts):
            wrong.append(number)
        cells.append(counts)
    if wrong or len({len(counts) for counts in cells}) != 1:
        what = "cells that are not counts" if wrong else "rows of different lengths, or none"
        problems.add(
            LogProblem(
                "", f"{what} in {path.name}", "a test's id, then a whole number an arm",
                "copy the matrix again", len(wrong), tuple(wrong[:3]),
            )
        )  # fmt: skip
        return [], np.zeros((0, 0), np.int64)
    return [row[0] for row in rows], np.array(cells, np.int64)


def _rows(tests: Tests, days: int, rng: Generator) -> Any:
    """Every (test, arm, day, outcome) with impressions, as one canonical batch."""
    columns: dict[str, list[Any]] = {name: [] for name in _NAMES}
    for name, shown, clicked in zip(tests.name, tests.shown, tests.clicked, strict=True):
        arms = rng.permutation(np.flatnonzero(shown > 0))
        if len(arms) < 2:
            continue
        second = int(name[:8], 16)  # an id starts with its Unix time
        share = shown[arms] / shown[arms].sum()
        for arm, source in enumerate(arms):
            dealt = np.array(
                [
                    rng.multinomial(count, np.full(days, 1 / days))
                    for count in (shown[source] - clicked[source], clicked[source])
                ]
            )
            for reward, day in zip(*np.nonzero(dealt), strict=True):
                columns["timestamp"].append(START + np.timedelta64(int(day), "D"))
                columns["unit_id"].append(str(len(columns["unit_id"])))
                columns["action_id"].append(f"{name}:{arm}")
                columns["propensity"].append(share[arm])
                columns["reward"].append(float(reward))
                columns["impressions"].append(int(dealt[reward, day]))
                columns["pool_id"].append(name)
                columns["arms"].append(str(len(arms)))
                columns["hour"].append(str(second // 3600 % 24))
                columns["weekday"].append(str((second // 86_400 + 3) % 7))
    return pa.record_batch(
        {
            name: pa.array(np.array(values, "datetime64[us]"), pa.timestamp("us", "UTC"))
            if name == "timestamp"
            else pa.array(values)
            for name, values in columns.items()
        }
    )
