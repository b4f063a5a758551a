"""Bad logs are refused once, with everything that is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.ope.feedback import from_columns, from_matrices
from tests.support.one_step import paper


def good() -> dict[str, Any]:
    return {
        "reward": np.array([1.0, 0.0, 1.0]),
        "action": np.array([0, 1, 1]),
        "propensity": np.array([0.5, 0.5, 0.25]),
        "target_probabilities": np.array([[0.5, 0.5], [0.1, 0.9], [1.0, 0.0]]),
        "predicted_reward": np.full((3, 2), 0.5),
        "unit": np.array(["a", "b", "b"]),
        "row_id": np.array([1, 2, 3]),
    }


def said(changes: dict[str, Any]) -> str:
    with pytest.raises(UserError) as refused:
        from_matrices(**good() | changes)
    assert refused.value.exit_code == 3
    return str(refused.value)


def test_a_good_log_is_taken() -> None:
    assert from_matrices(**good()).units == 2


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("propensity 0", {"propensity": [0.5, 0.0, 0.2]}, "propensity: 0 or below in 1 row (2)"),
    ("negative", {"propensity": [-0.5, 0.1, 0.2]}, "propensity: 0 or below in 1 row (1)"),
    ("above 1", {"propensity": [0.5, 1.5, 2.0]}, "propensity: above 1 in 2 rows (2, 3)"),
    ("missing", {"propensity": [0.5, None, 0.2]}, "propensity: missing in 1 row (2)"),
    ("reward", {"reward": [1.0, np.inf, np.nan]}, "reward: found inf in 2 rows (2, 3)"),
    ("reward text", {"reward": ["yes", "no", "no"]}, "reward: not a column of numbers"),
    ("action", {"action": [0, 2, -1]}, "action: outside the set, such as 2 in 2 rows (2, 3)"),
    ("half action", {"action": [0, 0.5, 1]}, "action: found 0.5 in 1 row (2)"),
    ("copies", {"row_id": [1, 2, 1]}, "row_id: rows that repeat an earlier one in 1 row (3)"),
    (
        "sums",
        {"target_probabilities": [[0.5, 0.5], [0.5, 0.6], [1.0, 0.0]]},
        "target_probabilities: sums that are not 1, such as 1.1 in 1 row (2)",
    ),
    (
        "negative probability",
        {"target_probabilities": [[0.5, 0.5], [1.5, -0.5], [1.0, 0.0]]},
        "target_probabilities: negative or not finite in 1 row (2)",
    ),
    (
        "not predicted",
        {"predicted_reward": [[0.5, np.nan], [0.5, 0.6], [1.0, 0.0]]},
        "predicted_reward: not finite in 1 row (1)",
    ),
    ("words", {"predicted_reward": [["a", "b"]] * 3}, "predicted_reward: not a matrix of numbers"),
    ("weight", {"weight": [1.0, 0.0, 2.0]}, "weight: found 0 in 1 row (2)"),
    ("unit", {"unit": [1.0, np.nan, 2.0]}, "unit: missing in 1 row (2)"),
    ("unit none", {"unit": ["a", None, "b"]}, "unit: missing in 1 row (2)"),
    ("short", {"reward": [1.0, 0.0]}, "lengths differ (reward 2, propensity 3"),
    ("narrow", {"predicted_reward": np.zeros((3, 1))}, "numbers of actions differ"),
    ("flat", {"target_probabilities": np.ones(3)}, "target_probabilities: wrong number of dim"),
    ("categories", {"category": [0]}, "target_probabilities 2, predicted_reward 2, category 1"),
    (
        "another logging policy",
        {"logging_probabilities": [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]},
        "another probability of the action taken than `propensity` in 1 row (3)",
    ),
]


@pytest.mark.parametrize(("changes", "words"), [bad[1:] for bad in BAD], ids=[b[0] for b in BAD])
def test_each_fault_is_named_with_its_rows(changes: dict[str, Any], words: str) -> None:
    message = said(changes)
    assert message.startswith("the log cannot be evaluated: 1 problem\n")
    assert words in message
    assert "Allowed: " in message
    assert "To do: " in message


def test_everything_is_listed_at_once() -> None:
    message = said(
        {
            "reward": [np.nan, 0.0, 1.0],
            "action": [0, 1, 7],
            "propensity": [0.0, 1.5, np.nan],
            "target_probabilities": [[0.5, 0.4], [0.5, 0.5], [1.0, 0.0]],
            "row_id": [1, 1, 2],
        }
    )
    assert message.startswith("the log cannot be evaluated: 7 problems")
    for words in ("0 or below", "above 1", "missing", "reward", "outside", "repeat", "not 1"):
        assert words in message


def test_the_first_rows_alone_are_named_of_many() -> None:
    many: dict[str, Any] = {name: np.repeat(column, 10, axis=0) for name, column in good().items()}
    with pytest.raises(UserError, match=r"in 30 rows \(first 1, 2, 3, 4, 5\)"):
        from_matrices(**many | {"propensity": np.zeros(30), "row_id": np.arange(30)})


def test_no_rows_are_no_log() -> None:
    empty = {name: column[:0] for name, column in good().items()}
    with pytest.raises(UserError, match="there are no rows"):
        from_matrices(**empty)


def test_columns_are_checked_like_matrices() -> None:
    with pytest.raises(UserError, match=r"2 problems\n.*propensity: above 1[^\n]*\n.*chosen"):
        paper(propensity=[0.25, 0.5, 2.0, 0.125], chosen=[1.5, 0.1, 0.1, 0.1])
    with pytest.raises(UserError, match="marginal: found -1"):
        paper(marginal=[1.0, 1.0, 1.0, -1.0])
    names = ("reward", "propensity", "chosen", "direct", "predicted")
    columns: dict[str, Any] = {name: [0.5] for name in names}
    assert from_columns(**columns).units == 1


def test_probabilities_of_single_precision_are_taken() -> None:
    third = np.full((3, 3), 1 / 3, np.float32)
    columns = good() | {"target_probabilities": third, "predicted_reward": third}
    assert from_matrices(**columns).chosen == pytest.approx(1 / 3)
