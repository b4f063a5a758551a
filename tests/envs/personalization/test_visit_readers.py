"""The known formats: what becomes of their columns, and what they refuse."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from envs.core.log import LogError, LogTable, read_log
from envs.personalization.log import VISITS
from envs.personalization.visits import gather

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def read(path: Path, reader: str, cache: Path, **options: object) -> LogTable:
    return read_log(path, VISITS, reader=reader, cache=cache / "cache", now=NOW, **options)  # type: ignore[arg-type]


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def refusal(path: Path, reader: str, folder: Path, **options: object) -> str:
    with pytest.raises(LogError) as error:
        read(path, reader, folder, **options)
    assert not (folder / "cache").exists()
    return str(error.value)


OPEN_BANDIT = (
    ",timestamp,item_id,position,click,propensity_score,user_feature_0",
    "0,2019-11-24 00:00:34.76+00:00,14,3,0,0.5,abc",
    "1,2019-11-25 00:00:35.76+00:00,3,1,1,0.25,def",
)


def test_open_bandit_rows_keep_propensities_and_gain_item_features(tmp_path: Path) -> None:
    written(tmp_path / "item_context.csv", ",item_id,item_feature_0", "0,3,-0.5", "1,14,0.25")
    log = read(written(tmp_path / "all.csv", *OPEN_BANDIT), "open-bandit", tmp_path)
    cells = log.arrays(["action_id", "position", "propensity", "reward", "item_feature_0"])
    assert cells["action_id"].tolist() == ["14", "3"]
    assert cells["position"].tolist() == [3.0, 1.0]
    assert cells["propensity"].tolist() == [0.5, 0.25]
    assert cells["reward"].tolist() == [0.0, 1.0]
    assert cells["item_feature_0"].tolist() == ["0.25", "-0.5"]
    assert "user_feature_0" in log.names


def test_an_item_that_the_item_table_does_not_know_is_named(tmp_path: Path) -> None:
    written(tmp_path / "item_context.csv", "item_id,item_price", "3,1")
    message = refusal(written(tmp_path / "all.csv", *OPEN_BANDIT), "open-bandit", tmp_path)
    assert "action_id: an item that item_context.csv does not have, such as '14', in 1 row (1)" in (
        message
    )


def test_another_item_table_is_another_log(tmp_path: Path) -> None:
    path = written(tmp_path / "all.csv", *OPEN_BANDIT)
    hashes = set()
    for price in ("1", "2"):
        written(tmp_path / "item_context.csv", "item_id,item_price", f"3,{price}", "14,5")
        hashes.add(read(path, "open-bandit", tmp_path).sha256)
    assert len(hashes) == 2


def test_open_bandit_without_its_columns_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "all.csv", "timestamp,item,click", "2019-11-24,1,0")
    message = refusal(path, "open-bandit", tmp_path)
    assert "no columns item_id, position, propensity_score" in message


BANK = '"age";"contact";"month";"day_of_week";"duration";"y"'


def test_bank_calls_are_dated_in_file_order_without_their_duration(tmp_path: Path) -> None:
    path = written(
        tmp_path / "bank.csv",
        BANK,
        '56;"telephone";"may";"mon";261;"no"',
        '40;"cellular";"may";"tue";12;"yes"',
        '41;"cellular";"may";"mon";12;"no"',
        '42;"unknown";"jun";"mon";12;"no"',
        '43;"cellular";"mar";"fri";99;"yes"',
    )
    log = read(path, "bank-marketing", tmp_path)
    cells = log.arrays(["timestamp", "action_id", "reward"])
    days = [str(day)[:10] for day in cells["timestamp"]]
    # May 2008 began on a Thursday; March after June is the next year's.
    assert days == ["2008-05-05", "2008-05-06", "2008-05-12", "2009-03-06"]
    assert cells["action_id"].tolist() == [
        "telephone mon", "cellular tue", "cellular mon", "cellular fri",
    ]  # fmt: skip
    assert cells["reward"].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert "duration" not in log.names
    assert any("1 calls of unknown channel are left out" in note for note in log.notes)


def test_bank_values_that_the_file_never_has_are_listed_together(tmp_path: Path) -> None:
    path = written(
        tmp_path / "bank.csv", BANK, '56;"cellular";"mai";"mon";1;"no"',
        '56;"cellular";"may";"mon";1;"maybe"',
    )  # fmt: skip
    message = refusal(path, "bank-marketing", tmp_path)
    assert "2 problems" in message
    assert "'mai'" in message
    assert "'maybe'" in message


def matrices(folder: Path, n: list[str], y: list[str]) -> Path:
    for name, rows in (("n_matrix", n), ("y_matrix", y)):
        text = "\n".join([",0,1,2", *rows])
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    return folder / "n_matrix.csv.gz"


def test_upworthy_counts_survive_the_dealing_and_arms_are_shuffled(tmp_path: Path) -> None:
    tests = [f"{0x51436061 + 86_400 * t:08x}cafe" for t in range(40)]
    path = matrices(
        tmp_path,
        [f"{test},1000.0,900.0,0.0" for test in tests],
        [f"{test},60.0,20.0,0.0" for test in tests],
    )
    log = read(path, "upworthy", tmp_path, reader_options={"tests": 40})
    cells = log.arrays(["action_id", "pool_id", "reward", "impressions", "propensity"])
    assert cells["impressions"].sum() == 40 * 1900
    assert (cells["impressions"] * cells["reward"]).sum() == 40 * 80
    assert set(cells["pool_id"]) == set(tests)
    # The better arm comes first in the file; here it is first in about half of the tests.
    first = [name.endswith(":0") for name in cells["action_id"]]
    better = cells["propensity"] > 0.5
    named_first = len({p for p, f, b in zip(cells["pool_id"], first, better, strict=True) if f & b})
    assert 10 <= named_first <= 30
    assert len(log.days()) == 6


def test_upworthy_matrices_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    path = matrices(tmp_path, ["51436061a,10,20,0"], ["51436061a,11,2,0"])
    assert "more clicks than impressions in 1 row (1)" in refusal(path, "upworthy", tmp_path)
    path = matrices(tmp_path, ["51436061a,10,20,0"], ["51436061b,1,2,0"])
    assert "other tests in y_matrix.csv.gz" in refusal(path, "upworthy", tmp_path)
    (tmp_path / "y_matrix.csv.gz").unlink()
    assert "without a y matrix beside it" in refusal(path, "upworthy", tmp_path)


def randomised_table(folder: Path, rows: int = 3000) -> Path:
    """Sorted by arm, as exports often are: three mailings, of which the second works."""
    rng = np.random.default_rng(0)
    lines = ["segment,recency,visit,spend"]
    for number in range(rows):
        arm = number * 3 // rows
        visited = rng.random() < (0.1, 0.3, 0.1)[arm]
        lines.append(f"mail {arm},{rng.integers(1, 12)},{int(visited)},{9.5 * visited}")
    return written(folder / "mailing.csv", *lines)


def test_any_randomised_table_is_read_by_naming_arm_outcome_and_features(tmp_path: Path) -> None:
    columns = {"action_id": "segment", "reward": "visit", "recency": "recency"}
    log = read(randomised_table(tmp_path), "table", tmp_path, columns=columns)
    assert log.names == ("timestamp", "unit_id", "action_id", "reward", "recency")
    gathered = gather(log)
    # Although the file is sorted by arm, every arm is on every day.
    for part in (gathered.earlier, gathered.later):
        share = np.bincount(part.item) / part.size
        np.testing.assert_allclose(share, 1 / 3, atol=0.01)


def test_a_later_outcome_left_among_the_features_is_found(tmp_path: Path) -> None:
    columns = {"action_id": "segment", "reward": "visit"}
    log = read(randomised_table(tmp_path), "table", tmp_path, columns=columns)
    with pytest.raises(ValueError, match=r"spend differs from '0\.0' in"):
        gather(log)


def test_a_misnamed_arm_is_told_with_the_columns_there_are(tmp_path: Path) -> None:
    path = randomised_table(tmp_path)
    message = refusal(path, "table", tmp_path, columns={"action_id": "segmnt", "reward": "visit"})
    assert "no column 'segmnt'; the file has segment, recency, visit, spend" in message
    assert "close: segment" in message
