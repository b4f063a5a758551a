"""What is kept of retrainings, what goes, and that nothing else goes with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ppo_marketing.errors import IntegrityError
from ppo_marketing.jobs.retraining_record import FILE, Record, prune

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def ended(runs: Path, number: int, log: Path) -> Record:
    record = Record.opened(runs, f"{number:064x}"[::-1], NOON)
    record.finish("examined", cached=str(log))
    record.end("kept", ["a reason"], NOON + timedelta(hours=number))
    return record


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    record = Record.opened(tmp_path, "a" * 64, NOON)
    assert record.said("judged") is None
    record.finish("judged", outcome="kept")
    again = Record.opened(tmp_path, "a" * 64, NOON + timedelta(days=1))
    assert again.said("judged") == {"outcome": "kept"}
    assert again.started == NOON.isoformat()
    assert again.ending is None
    with pytest.raises(IntegrityError, match="is of another run"):
        Record.opened(tmp_path, "a" * 63 + "b", NOON)


def test_beginning_anew_keeps_what_was_asked_and_forgets_the_rest(tmp_path: Path) -> None:
    record = Record.opened(tmp_path, "a" * 64, NOON)
    record.finish("examined", last="today")
    record.finish("judged")
    (record.folder / "seed-0").mkdir()
    (record.folder / "seed-0" / "checkpoint.pt").write_bytes(b"half")
    record.forget(("examined",))
    again = Record.opened(tmp_path, "a" * 64, NOON)
    assert again.said("examined") == {"last": "today"}
    assert again.said("judged") is None
    assert not (record.folder / "seed-0").exists()


def test_the_newest_and_the_needed_stay_with_their_logs(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    logs = [tmp_path / name for name in ("old", "shared", "new")]
    for log in logs:
        log.write_text("rows")
    champion = ended(runs, 1, logs[1])
    oldest, older = ended(runs, 2, logs[0]), ended(runs, 3, logs[1])
    newest = ended(runs, 4, logs[2])
    unfinished = Record.opened(runs, "f" * 64, NOON)
    (runs / "left by a kill").mkdir()
    gone = prune(runs, 1, [champion.folder])
    assert set(gone) == {oldest.folder, older.folder, runs / "left by a kill"}
    left = {path.parent for path in runs.glob(f"*/{FILE}")}
    assert left == {champion.folder, newest.folder, unfinished.folder}
    assert [log.exists() for log in logs] == [False, True, True]
    assert prune(runs, 1, [champion.folder]) == []
