"""Continuous mode: each file once, across kills; the shifted flagged, the corrupt set aside."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.jobs import watching
from ppo_marketing.jobs.retraining_record import Record
from ppo_marketing.jobs.watching import ASIDE, Fate, ledger, watch
from tests.support.command import PROCESSES
from tests.support.retraining import (
    LATER,
    TRAINING,
    alerts,
    champion_number,
    job_of,
    offers,
    onward,
    supported,
)

FILES = 10
CORRUPT, SHIFTED = 3, 6
FIRST_DAY = 18
BOUND = 0.02
QUICK = {**TRAINING, "total_steps": 2_048, "episodes": 32, "validation_episodes": 16}


@pytest.fixture(autouse=True, scope="module")
def _supported() -> Iterator[None]:
    with supported():
        yield


def land(folder: Path, number: int) -> Path:
    """The log of one day: the third is cut off, the sixth has low prices only."""
    table = offers(1, FIRST_DAY + number, seed=100 + number)
    if number == SHIFTED:
        table = table.filter(pc.less(table["price"], 2.5))
    path = folder / f"day-{number:02}.parquet"
    pq.write_table(table, path)
    if number == CORRUPT:
        path.write_bytes(path.read_bytes()[:-500])
    return path


def killed(*arguments: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _in_the_middle_of_the_fifth(file: Path, folder: Path) -> None:
    finish = Record.finish

    with supported(), pytest.MonkeyPatch.context() as patch:
        job = job_of(file, LATER)

        def killing(record: Record, stage: str, **said: Any) -> dict[str, Any]:
            if len(ledger(job)) == 4 and stage == "chosen":
                killed()
            return finish(record, stage, **said)

        patch.setattr(Record, "finish", killing)
        list(watch(job, folder, until_empty=True))


def _with_the_line_of_the_eighth_unsaid(file: Path, folder: Path) -> None:
    noted = watching._noted

    with supported(), pytest.MonkeyPatch.context() as patch:
        job = job_of(file, LATER)

        def unsaid(*arguments: Any) -> Any:
            if len(ledger(job)) == 7:
                killed()
            return noted(*arguments)

        patch.setattr(watching, "_noted", unsaid)
        list(watch(job, folder, until_empty=True))


@pytest.fixture
def project(champion_project: Path, tmp_path: Path) -> Path:
    return onward(
        champion_project,
        tmp_path / "project",
        run={"training": QUICK},
        retraining={"seeds": 1, "most_kl": BOUND, "keep_runs": 30},
        shift={"alert_stops": False},
        data={"most_hours_old": None, "volume_change": None},
    )


def test_ten_files_one_shifted_one_corrupt_are_taken_up_once_across_a_kill(
    project: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "landing"
    folder.mkdir()
    for number in range(FILES):
        land(folder, number)
    (folder / ".day-99.parquet").write_bytes(b"still being written")
    job = job_of(project, LATER)

    for killing in (_in_the_middle_of_the_fifth, _with_the_line_of_the_eighth_unsaid):
        process = PROCESSES.Process(target=killing, args=(project, folder))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    list(watch(job, folder, until_empty=True))

    lines = ledger(job)
    assert [line.file for line in lines] == [f"day-{n:02}.parquet" for n in range(FILES)]
    fates = [line.fate for line in lines]
    assert fates.pop(CORRUPT) is Fate.CORRUPT
    assert set(fates) == {Fate.TAKEN}
    assert [n for n, line in enumerate(lines) if line.shift == "alert"] == [SHIFTED]
    assert {"set aside", "shifted"} <= set(alerts(project.parent))
    assert [path.name for path in (folder / ASIDE).iterdir()] == [f"day-{CORRUPT:02}.parquet"]

    taken = [line for line in lines if line.fate is Fate.TAKEN]
    assert all(line.kl is not None and 0 <= line.kl <= BOUND for line in taken), "every update"
    assert len({line.run_key for line in taken}) == len(taken), "one update a file"
    [merged] = project.parent.rglob("merged/*.parquet")
    rows = pq.read_table(merged)
    begin = pq.read_table(project.parent / "log.parquet")
    landed = [pq.read_table(folder / line.file) for line in taken]
    whole = pa.concat_tables([begin, *(part.cast(begin.schema) for part in landed)])
    assert rows.num_rows == whole.num_rows, "each row once"
    assert pc.sum(rows["price"]).as_py() == pytest.approx(pc.sum(whole["price"]).as_py())
    assert (champion_number(project.parent) or 0) >= 2, "the policy moved on"

    assert list(watch(job, folder, until_empty=True)) == []
    # The same content under another name is no news; the next day is.
    (folder / "again.parquet").write_bytes((folder / "day-00.parquet").read_bytes())
    [replayed] = watch(job, folder, until_empty=True)
    assert replayed.fate is Fate.REPLAYED
    assert "day-00.parquet" in replayed.told()


def test_a_shifted_file_is_set_aside_where_an_alert_stops(
    champion_project: Path, tmp_path: Path
) -> None:
    file = onward(
        champion_project,
        tmp_path / "project",
        run={"training": QUICK},
        retraining={"seeds": 1},
        data={"most_hours_old": None, "volume_change": None},
    )
    folder = tmp_path / "landing"
    folder.mkdir()
    land(folder, SHIFTED)
    [taken] = watch(job_of(file, LATER), folder, until_empty=True)
    assert taken.fate is Fate.SHIFTED
    assert taken.outcome == ""
    assert alerts(file.parent) == ["set aside"]
    assert (folder / ASIDE / f"day-{SHIFTED:02}.parquet").exists()
    assert champion_number(file.parent) == 1


def test_a_file_with_other_columns_is_set_aside_by_name(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "landing"
    folder.mkdir()
    pq.write_table(offers(1, FIRST_DAY).drop_columns(["price"]), folder / "a.parquet")
    [taken] = watch(job_of(project, LATER), folder, until_empty=True)
    assert taken.fate is Fate.CORRUPT
    assert "price" in taken.said


def test_a_folder_that_is_not_there_is_refused(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        next(watch(job_of(project, LATER), tmp_path / "nowhere", until_empty=True))
