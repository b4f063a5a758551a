"""A calibration's folder: whole or refused, and never over somebody's files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.core.calibration_folder import (
    RECORD,
    CalibrationError,
    DamagedFile,
    read_calibration,
    write_calibration,
)
from envs.core.settings import load_settings, settings_text

PARTS: dict[str, dict[str, NDArray[Any]]] = {
    "earlier": {"a": np.arange(3.0)},
    "later": {"a": np.ones((2, 2), np.float32)},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written = tmp_path / "calibration"
    write_calibration(written, 7, PARTS, {"notes": ["so"], "level": 0.1})
    return written


def test_what_was_written_comes_back_and_nothing_lies_beside_it(folder: Path) -> None:
    parts, record = read_calibration(folder, 7)
    assert record["notes"] == ["so"]
    assert record["level"] == 0.1
    for name, arrays in PARTS.items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(parts[name][key], array)
            assert parts[name][key].dtype == array.dtype
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "earlier.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "earlier.npz").write_bytes(content)


def change_the_record(folder: Path) -> None:
    record = json.loads((folder / RECORD).read_text())
    record["level"] = 0.2
    (folder / RECORD).write_text(json.dumps(record))


def rewrite_record(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / RECORD).write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_byte, "earlier.npz is not what was written"),
        (lambda folder: (folder / "later.npz").unlink(), "later.npz is missing"),
        (change_the_record, f"{RECORD} is not what was written"),
        (rewrite_record("{"), f"{RECORD} is damaged"),
        (rewrite_record("[]"), "not a calibration's record"),
    ],
)
def test_a_damaged_folder_is_refused_with_the_file_that_is_wrong(
    folder: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(folder)
    with pytest.raises(DamagedFile, match=message):
        read_calibration(folder, 7)


def test_another_form_and_another_folder_are_no_calibration(folder: Path) -> None:
    with pytest.raises(CalibrationError, match="form 7, this program reads form 8"):
        read_calibration(folder, 8)
    with pytest.raises(CalibrationError, match=f"no readable {RECORD}"):
        read_calibration(folder.parent, 7)


def test_somebody_elses_folder_is_never_replaced(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_text("meow")
    with pytest.raises(CalibrationError, match="not a calibration"):
        write_calibration(photos, 7, PARTS, {})
    assert [path.name for path in photos.iterdir()] == ["cat.jpg"]


def test_a_failed_writing_leaves_the_earlier_calibration(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        write_calibration(folder, 7, PARTS, {"notes": ["new"]})
    monkeypatch.undo()
    assert read_calibration(folder, 7)[1]["notes"] == ["so"]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    shutil.rmtree(folder)


@dataclass(frozen=True)
class _Settings:
    levels: tuple[float, ...] = (0.5,)
    budget: float | None = None


def test_settings_come_back_in_their_types_with_changes_over_them(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(settings_text(_Settings((0.1, 0.2), 3.0)))
    assert load_settings(tmp_path, _Settings) == _Settings((0.1, 0.2), 3.0)
    assert load_settings(tmp_path, _Settings, budget=None) == _Settings((0.1, 0.2), None)
    with pytest.raises(ValueError, match="unknown settings"):
        load_settings(tmp_path, _Settings, bugdet=1)
    with pytest.raises(ValueError, match=r"settings\.json cannot be read"):
        load_settings(tmp_path / "none", _Settings)
