"""Rows of counts are as many draws as they stand for, however the file writes them."""

from __future__ import annotations

import numpy as np

from envs.personalization.visits import outcomes_apart


def test_a_mean_of_many_becomes_its_ones_and_zeros() -> None:
    columns = {
        "reward": np.array([0.25, 1.0, 0.0, 0.5]),
        "impressions": np.array([8.0, 3.0, 5.0, 1.0]),
        "action_id": np.array(["a", "b", "c", "d"]),
    }
    apart = outcomes_apart(columns)
    rows = sorted(
        zip(apart["action_id"], apart["reward"], apart["impressions"], strict=True), key=str
    )
    # A single impression with a reward of its own, such as a rating, is left as it is.
    assert [(str(a), float(r), float(n)) for a, r, n in rows] == [
        ("a", 0.0, 6.0), ("a", 1.0, 2.0), ("b", 1.0, 3.0), ("c", 0.0, 5.0), ("d", 0.5, 1.0),
    ]  # fmt: skip
    assert columns["reward"].tolist() == [0.25, 1.0, 0.0, 0.5]


def test_rows_without_counts_are_left_alone() -> None:
    columns = {"reward": np.array([0.5, 1.0])}
    assert outcomes_apart(columns) is columns
