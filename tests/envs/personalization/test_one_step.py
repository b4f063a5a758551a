"""A visit log as decisions that stand alone, or the reasons why they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from envs.core.log import read_log
from envs.core.one_step import OneStepRows
from envs.personalization.log import VISITS
from envs.personalization.one_step import cell_bits, one_step_rows


def visits(rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame({
        "timestamp": pd.Timestamp("2024-05-01") + pd.to_timedelta(np.arange(rows), "min"),
        "unit_id": [f"u{n // 2}" for n in range(rows)],
        "action_id": rng.choice(["2", "10", "7"], rows),
        "propensity": 1 / 3,
        "reward": (rng.random(rows) < 0.3).astype(float),
        "age": rng.normal(40, 10, rows),
        "segment": rng.choice(["new", "old"], rows),
    })  # fmt: skip


def read(folder: Path, log: pd.DataFrame) -> OneStepRows:
    log.to_csv(folder / "log.csv", index=False)
    return one_step_rows(read_log(folder / "log.csv", VISITS, cache=folder / "cache"))


def test_every_row_is_there_with_its_unit_and_its_context_encoded(tmp_path: Path) -> None:
    log = visits()
    rows = read(tmp_path, log)
    assert rows.actions == ("2", "7", "10")
    assert [rows.actions[a] for a in rows.action] == log["action_id"].astype(str).tolist()
    assert rows.row.tolist() == list(range(400))
    assert len(np.unique(rows.unit)) == 200
    np.testing.assert_array_equal(rows.reward, log["reward"])
    assert rows.propensity is not None
    assert rows.context.shape == (400, 3)
    assert np.corrcoef(rows.context[:, 0], log["age"])[0, 1] == pytest.approx(1.0)
    assert np.unique(rows.cell).tolist() == [0, 1]


def test_what_describes_the_item_tells_the_propensities_nothing(tmp_path: Path) -> None:
    log = visits()
    told = log.assign(item_colour=log["action_id"].map({"2": "red", "7": "blue", "10": "green"}))
    np.testing.assert_array_equal(read(tmp_path, told).context, read(tmp_path, log).context)


def test_a_position_is_part_of_the_context_and_a_missing_propensity_is_not_made_up(
    tmp_path: Path,
) -> None:
    log = visits().assign(position=np.arange(400) % 2 + 1).drop(columns="propensity")
    rows = read(tmp_path, log)
    assert rows.propensity is None
    np.testing.assert_array_equal(rows.context[:, -1], np.arange(400) % 2)


def test_a_row_of_many_impressions_becomes_its_outcomes_and_says_which_row_they_are(
    tmp_path: Path,
) -> None:
    log = visits().assign(impressions=10)
    log.loc[5, "reward"] = 0.3
    rows = read(tmp_path, log)
    parts = rows.row == 5
    assert sorted(zip(rows.reward[parts], rows.weight[parts].round(9), strict=True)) == [
        (0.0, 7.0), (1.0, 3.0),
    ]  # fmt: skip
    assert rows.weight.sum() == 4000


def test_what_was_eligible_is_the_pools(tmp_path: Path) -> None:
    log = visits()
    log["pool_id"] = np.where(log["action_id"] == "10", "late", np.arange(400) % 2)
    log["propensity"] = np.where(log["action_id"] == "10", 1.0, 0.5)
    rows = read(tmp_path, log)
    assert rows.eligible is not None
    assert rows.eligible[np.arange(400), rows.action].all()
    assert (rows.eligible[rows.action == 2].sum(axis=1) == 1).all()
    with pytest.raises(ValueError, match="pool_id without propensity"):
        read(tmp_path, log.drop(columns="propensity"))


def test_rows_that_follow_each_other_and_context_from_later_are_refused_at_once(
    tmp_path: Path,
) -> None:
    log = visits().assign(session_id=np.arange(400) // 4)
    log["spend"] = np.where(log["reward"] > 0, 9.5, 0.0)
    with pytest.raises(ValueError, match="session_id: rows of a session follow") as refused:
        read(tmp_path, log)
    assert "spend differs from" in str(refused.value)
    assert "--calibration" in str(refused.value)


def test_cells_are_as_many_as_an_even_log_would_fill_twice_over() -> None:
    assert cell_bits(20 * 60 * 8, 20) == 3
    assert cell_bits(20 * 60 * 8 - 1, 20) == 2
    assert cell_bits(10_000, 80) == 1
    assert cell_bits(100, 80) == 0
    assert cell_bits(1e9, 2) == 3
