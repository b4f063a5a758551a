from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ppo_marketing.errors import PpoMarketingError
from ppo_marketing.files import write_atomically


def test_a_write_that_fails_midway_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    write_atomically(path, b"first")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(PpoMarketingError, match="what was there before is untouched"):
        write_atomically(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_write_left_behind_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".file.partial").write_bytes(b"half of a much longer content")
    write_atomically(tmp_path / "file", b"whole")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"whole"
