"""A journal says after a kill what it said before it, and refuses what nobody wrote."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ppo_marketing.errors import IntegrityError
from ppo_marketing.serve.journal import Journal


def reopened(folder: Path) -> Journal:
    return Journal(folder, sync_seconds=60)


def test_what_was_appended_is_read_again_without_closing(tmp_path: Path) -> None:
    journal = reopened(tmp_path)
    for number in range(5):
        journal.append({"number": number})
    again = reopened(tmp_path)
    assert again.snapshot is None
    assert [one["number"] for one in again.records] == [0, 1, 2, 3, 4]


def test_after_a_snapshot_only_what_followed_is_read(tmp_path: Path) -> None:
    journal = reopened(tmp_path)
    journal.append({"number": 0})
    journal.compact({"sum": 0})
    journal.append({"number": 1})
    journal.wait()
    assert len(list(tmp_path.glob("journal-*"))) == 1
    again = reopened(tmp_path)
    assert again.snapshot == {"number": 1, "state": {"sum": 0}}
    assert again.records == [{"number": 1}]


def test_a_kill_between_snapshot_and_new_file_counts_nothing_twice(tmp_path: Path) -> None:
    journal = reopened(tmp_path)
    journal.append({"number": 0})
    old = next(tmp_path.glob("journal-*")).read_bytes()
    journal.compact({"sum": 0})
    journal.wait()
    (tmp_path / "journal-000000000000000.jsonl").write_bytes(old)  # as if it was not removed yet
    assert reopened(tmp_path).records == []


def test_a_record_torn_by_a_kill_is_cut_off_and_the_next_follows_it(tmp_path: Path) -> None:
    journal = reopened(tmp_path)
    journal.append({"number": 0})
    path = next(tmp_path.glob("journal-*"))
    with path.open("ab") as file:
        file.write(b'12345678 {"number": 1')
    again = reopened(tmp_path)
    assert again.torn
    assert again.records == [{"number": 0}]
    again.append({"number": 2})
    assert reopened(tmp_path).records == [{"number": 0}, {"number": 2}]


@pytest.mark.parametrize("place", [0, 9, 14])
def test_a_changed_byte_before_the_end_is_refused(tmp_path: Path, place: int) -> None:
    journal = reopened(tmp_path)
    journal.append({"number": 0})
    journal.append({"number": 1})
    path = next(tmp_path.glob("journal-*"))
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="not what was written"):
        reopened(tmp_path)


def test_a_missing_file_is_noticed(tmp_path: Path) -> None:
    journal = reopened(tmp_path)
    journal.append({"number": 0})
    journal.compact({})
    journal.append({"number": 1})
    journal.wait()
    (tmp_path / "snapshot.json").unlink()
    with pytest.raises(IntegrityError):
        reopened(tmp_path)


def test_a_full_disk_keeps_nothing_of_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = reopened(tmp_path)
    journal.append({"number": 0})
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:5]))
        with pytest.raises(OSError, match="whole"):
            journal.append({"number": 1})
    journal.append({"number": 2})
    assert [one["number"] for one in reopened(tmp_path).records] == [0, 2]


def test_a_kill_before_the_snapshot_is_written_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = reopened(tmp_path)
    journal.append({"number": 0})

    def full(descriptor: int) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        journal.compact({"sum": 0})
        journal.wait()
    assert "no snapshot" in capsys.readouterr().err
    journal.append({"number": 1})
    again = reopened(tmp_path)
    assert again.snapshot is None
    assert [one["number"] for one in again.records] == [0, 1]


@pytest.mark.parametrize(("seconds", "synced"), [(0.0, 3), (60.0, 0)])
def test_with_no_time_to_lose_every_record_is_on_disk_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, synced: int
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(os, "fdatasync", calls.append)
    journal = Journal(tmp_path, seconds)
    for number in range(3):
        journal.append({"number": number})
    assert len(calls) == synced
