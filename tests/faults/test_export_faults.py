"""Exports that are killed or run out of space: what was there stays, or the new one is whole."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ppo_marketing.errors import PpoMarketingError
from ppo_marketing.export.whole_folder import write_whole

OLD = {"a": b"old a", "b": b"old b"}
NEW = {"a": b"new a" * 1000, "b": b"new b", "c": b"new c"}
KILLED_AT = """
import os, signal, sys
from ppo_marketing.export.whole_folder import write_whole
from pathlib import Path
calls = 0
def counted(real):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
os.fsync = counted(os.fsync)
Path.rename = counted(Path.rename)
write_whole(Path(sys.argv[1]), {"a": b"new a" * 1000, "b": b"new b", "c": b"new c"})
"""


def held(folder: Path) -> dict[str, bytes] | None:
    if not folder.exists():
        return None
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("before", [None, OLD], ids=["first export", "over an earlier one"])
def test_an_export_killed_anywhere_leaves_the_old_one_or_the_new_one_whole(
    tmp_path: Path, before: dict[str, bytes] | None
) -> None:
    outcomes = []
    for point in range(1, 20):
        folder = tmp_path / str(point) / "export"
        if before is not None:
            write_whole(folder, before)
        finished = subprocess.run(
            [sys.executable, "-c", KILLED_AT, str(folder), str(point)], check=False
        )
        found = held(folder)
        if before is not None and found is None:  # between the two renames both are whole beside it
            assert held(folder.with_name(".export.previous")) == OLD
            assert held(folder.with_name(".export.partial")) == NEW
        else:
            assert found in (before, NEW)
        write_whole(folder, NEW)  # what was left behind does not stand in the way of the next one
        assert held(folder) == NEW
        assert not folder.with_name(".export.partial").exists()
        outcomes.append(finished.returncode)
        if finished.returncode == 0:
            break
    assert outcomes[-1] == 0, "the export itself takes fewer steps"
    assert outcomes.count(-signal.SIGKILL) >= 5


@pytest.mark.parametrize("point", range(1, 6))
def test_a_full_disk_leaves_the_earlier_export_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    folder = tmp_path / "export"
    write_whole(folder, OLD)
    calls = 0
    real = os.fsync

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == point:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    if point < 5:
        with pytest.raises(PpoMarketingError, match="No space left"):
            write_whole(folder, NEW)
        assert held(folder) == OLD
    else:  # the last sync is of the name itself: both exports are whole by then
        with pytest.raises(PpoMarketingError, match="No space left"):
            write_whole(folder, NEW)
        assert held(folder) == NEW
    assert not (tmp_path / ".export.partial").exists()


def test_a_rename_that_fails_puts_the_earlier_export_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "export"
    write_whole(folder, OLD)
    real = Path.rename

    def failing(self: Path, target: Any) -> Path:
        if self.name == ".export.partial":
            raise OSError(errno.EIO, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(PpoMarketingError, match="Input/output"):
        write_whole(folder, NEW)
    assert held(folder) == OLD
