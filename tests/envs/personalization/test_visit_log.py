"""What a visit log may not say; every problem of a file is told at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from envs.core.calibration_folder import CalibrationError
from envs.core.log import LogError, LogTable, read_log
from envs.personalization.log import VISITS
from envs.personalization.visits import gather
from tests.support.command import run_command

Rows = list[dict[str, str]]
NOW = datetime(2024, 6, 1, tzinfo=UTC)


def good_rows(count: int = 120) -> Rows:
    """Four days of two items, dealt evenly; a twelfth of the rows are rewarded."""
    return [
        {
            "timestamp": f"2024-05-{1 + i * 4 // count:02}T12:{i % 60:02}:00Z",
            "unit_id": f"visitor {i}",
            "action_id": "red" if i * 7 % 12 < 6 else "blue",
            "position": "1",
            "propensity": "0.5",
            "reward": "1" if i % 12 == 5 else "0",
            "city": "Bonn" if i % 3 else "Köln",
            "age": str(20 + i % 40),
        }
        for i in range(count)
    ]


def read(rows: Rows, folder: Path, **options: object) -> LogTable:
    path = folder / "visits.csv"
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_log(path, VISITS, cache=folder / "cache", now=NOW, **options)  # type: ignore[arg-type]


def edit(row: int, **cells: str) -> Callable[[Rows], None]:
    return lambda rows: rows[row].update(cells)


def everywhere(**cells: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        for row in rows:
            row.update(cells)

    return change


def test_a_good_log_is_read_and_its_other_columns_become_context(tmp_path: Path) -> None:
    log = read(good_rows(), tmp_path)
    assert log.names[-2:] == ("city", "age")
    gathered = gather(log)
    assert gathered.catalogue.ids == ("blue", "red")
    # Age is a number, city a category of two levels.
    assert gathered.encoder.names == ("city", "age")
    assert gathered.earlier.x.shape[1] == 3
    assert gathered.judged_from.isoformat() == "2024-05-04"


def test_features_named_in_the_mapping_are_the_only_ones(tmp_path: Path) -> None:
    log = read(good_rows(), tmp_path, columns={"years": "age"})
    assert "city" not in log.names
    assert "columns of the file that were not read: city" in log.notes


# Messages count rows from 1.
REFUSED: dict[str, tuple[Callable[[Rows], None], str]] = {
    "a propensity of 0": (edit(1, propensity="0"), "propensity: a propensity of 0"),
    "a propensity above 1": (edit(1, propensity="1.2"), "propensity: a number above 1"),
    "a negative propensity": (edit(1, propensity="-.1"), "propensity: a negative number"),
    "a missing propensity": (edit(1, propensity=""), "propensity: no value in 1 row (2)"),
    "a propensity in percent": (edit(1, propensity="50%"), "propensity: text that is not a number"),
    "a reward below 0": (edit(2, reward="-1"), "reward: a negative number"),
    "a reward above 1": (edit(2, reward="3"), "reward: a number above 1"),
    "a missing reward": (edit(2, reward=""), "reward: no value in 1 row (3)"),
    "position 0": (edit(3, position="0"), "position: a number below 1"),
    "position 1.5": (edit(3, position="1.5"), "position: a position that is not a whole number"),
    "no item": (edit(4, action_id=""), "action_id: no value in 1 row (5)"),
    "no unit": (edit(4, unit_id=""), "unit_id: no value in 1 row (5)"),
    "a single item": (everywhere(action_id="red"), "action_id: a single action"),
    "no reward at all": (everywhere(reward="0"), "reward: no reward in the whole log"),
    "no time": (edit(0, timestamp="yesterday"), "timestamp: text that is not a time"),
    "a time to come": (edit(0, timestamp="2031-01-01"), "timestamp: a time in the future"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_broken_log_is_refused_and_nothing_is_left(case: str, tmp_path: Path) -> None:
    change, message = REFUSED[case]
    rows = good_rows()
    change(rows)
    with pytest.raises(LogError) as refusal:
        read(rows, tmp_path)
    assert message in str(refusal.value)
    assert not (tmp_path / "cache").exists()


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    rows = good_rows()
    for change in (
        edit(1, propensity="0"),
        edit(2, propensity="7", reward="-1"),
        edit(3, position="2.5"),
        edit(4, action_id=""),
    ):
        change(rows)
    with pytest.raises(LogError) as refusal:
        read(rows, tmp_path)
    # Rows with a broken cell are left out of the rules between columns, not of the list.
    assert len(refusal.value.problems) == 5
    assert all(problem.allowed and problem.action for problem in refusal.value.problems)


def test_the_command_line_exits_with_3_and_lists_what_is_wrong(tmp_path: Path) -> None:
    rows = good_rows()
    edit(1, propensity="0")(rows)
    edit(2, reward="-1")(rows)
    path = tmp_path / "visits.csv"
    path.write_text("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]))
    finished = run_command("validate", "personalization", path)
    assert finished.returncode == 3
    assert "2 problems. Nothing was written." in finished.stderr
    assert "a propensity of 0" in finished.stderr
    assert "reward: a negative number" in finished.stderr
    assert list(tmp_path.iterdir()) == [path]


def unfit(change: Callable[[Rows], None], folder: Path, **options: object) -> str:
    rows = good_rows()
    change(rows)
    with pytest.raises(CalibrationError) as refusal:
        gather(read(rows, folder, **options))
    return str(refusal.value)


def test_propensities_that_no_policy_can_have_are_refused(tmp_path: Path) -> None:
    # Both items are shown half the time, so neither was shown with probability .9.
    message = unfit(everywhere(propensity="0.9"), tmp_path)
    assert "propensities do not fit how often items were shown: 2 items" in message


def test_propensities_that_are_tiny_now_and_then_are_believed(tmp_path: Path) -> None:
    # Of an item of propensity 1e-4 in most rows hardly one is seen: its sum stays far below.
    def change(rows: Rows) -> None:
        for number, row in enumerate(rows):
            row["action_id"] = "red" if number % 20 == 0 else "blue"
            row["propensity"] = ("0.5" if number % 40 else "0.05") if number % 20 == 0 else "0.94"

    rows = good_rows()
    change(rows)
    assert gather(read(rows, tmp_path)).items == 2


def test_propensities_of_one_decision_must_agree(tmp_path: Path) -> None:
    def change(rows: Rows) -> None:
        for first, second in zip(rows[::2], rows[1::2], strict=True):
            shared = {key: first[key] for key in ("unit_id", "timestamp", "position", "city")}
            second.update(shared, action_id="blue", propensity="0.7")
            first.update(action_id="red", propensity="0.7")

    assert "60 decisions" in unfit(change, tmp_path)


def test_a_column_known_only_after_the_choice_is_refused(tmp_path: Path) -> None:
    def change(rows: Rows) -> None:
        for row in rows:
            row["spend"] = "9.5" if row["reward"] == "1" else "0"
        rows.extend([{**row, "unit_id": f"{row['unit_id']} again"} for row in rows])

    message = unfit(change, tmp_path)
    assert "spend differs from '0' in" in message
    assert "known only after the choice" in message


def test_item_columns_must_describe_items(tmp_path: Path) -> None:
    def change(rows: Rows) -> None:
        for number, row in enumerate(rows):
            row["item_price"] = str(number)
            row["item_clickbait"] = "2"

    message = unfit(change, tmp_path)
    assert "item_price differs between rows of the same item" in message
    assert "item_clickbait must be a number from 0 to 1" in message
    assert "cannot be calibrated: 2 problems." in message


def test_a_log_of_one_day_cannot_be_parted(tmp_path: Path) -> None:
    message = unfit(everywhere(timestamp="2024-05-01T12:00:00Z"), tmp_path)
    assert "all rows lie on one UTC day" in message


def test_items_named_by_numbers_are_in_their_order(tmp_path: Path) -> None:
    rows = good_rows()
    for row in rows:
        row["action_id"] = "10" if row["action_id"] == "red" else "9"
    assert gather(read(rows, tmp_path)).catalogue.ids == ("9", "10")


def test_pools_say_which_items_were_eligible(tmp_path: Path) -> None:
    rows = good_rows()
    for number, row in enumerate(rows):
        row["pool_id"] = "north" if number % 2 else "south"
        row["action_id"] += f" of {row['pool_id']}"
        del row["propensity"]
    visits = gather(read(rows, tmp_path)).earlier
    assert visits.eligible is not None
    assert (visits.eligible.sum(axis=1) == 2).all()
    assert visits.eligible[np.arange(visits.size), visits.item].all()
