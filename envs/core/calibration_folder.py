"""A calibration on disk: arrays without pickles, a record with their hashes, all or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECORD = "calibration.json"
Parts = Mapping[str, Mapping[str, NDArray[Any]]]


class CalibrationError(ValueError):
    """A log that cannot be calibrated, or a folder that is not a calibration."""


class DamagedFile(ValueError):
    """A file is not what was written: it is missing, or its hash differs."""


def write_calibration(folder: Path, form: int, parts: Parts, record: Mapping[str, Any]) -> None:
    """Write one .npz of arrays per part and a record with their hashes and its own.

    `folder` is replaced as a whole. `form` names the layout of the parts; raise it when older
    folders can no longer be read as they are.

    Raises:
        CalibrationError: `folder` exists and holds something else.
        OSError: it cannot be written; an earlier calibration is untouched.
    """
    if folder.exists() and not (folder / RECORD).is_file() and any(folder.iterdir()):
        raise CalibrationError(
            f"{folder} holds files that are not a calibration: choose an empty or a new folder"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fresh = workspace / "new"
        fresh.mkdir()
        hashes = {}
        for name, arrays in parts.items():
            file = fresh / f"{name}.npz"
            np.savez(file, allow_pickle=False, **arrays)
            hashes[file.name] = _sha256(file)
        content = {"form": form, "files": hashes, **record}
        signed = {"sha256": _own_sha256(content), **content}
        text = json.dumps(signed, indent=1, allow_nan=False)
        (fresh / RECORD).write_text(text, encoding="utf-8")
        if folder.exists():
            os.replace(folder, workspace / "old")
        os.replace(fresh, folder)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def read_calibration(
    folder: Path, form: int
) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, Any]]:
    """The arrays of every part and the record that `write_calibration` wrote.

    Raises:
        CalibrationError: the folder is not a calibration of this form.
        DamagedFile: a file is missing or is not what was written; every such file is named.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except OSError as error:
        raise CalibrationError(
            f"{folder} has no readable {RECORD}: name a folder that calibrating wrote"
        ) from error
    except ValueError as error:
        raise DamagedFile(f"{folder / RECORD} is damaged ({error}): calibrate again") from error
    problems = _problems(folder, record)
    if problems:
        raise DamagedFile(f"{folder}: {'; '.join(problems)}. Calibrate again")
    if record["form"] != form:
        raise CalibrationError(
            f"{folder} has form {record['form']}, this program reads form {form}: calibrate again"
        )
    try:
        parts = {Path(name).stem: _load(folder / name) for name in record["files"]}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DamagedFile(f"{folder} cannot be read ({error}): calibrate again") from error
    return parts, record


def _problems(folder: Path, record: Any) -> list[str]:
    if not isinstance(record, dict) or not {"sha256", "form", "files"} <= record.keys():
        return [f"{RECORD} is not a calibration's record"]
    written = record.pop("sha256")
    if written != _own_sha256(record):
        return [f"{RECORD} is not what was written (its SHA-256 differs)"]
    problems = []
    for name, expected in record["files"].items():
        if not (folder / name).is_file():
            problems.append(f"{name} is missing")
        elif _sha256(folder / name) != expected:
            problems.append(f"{name} is not what was written (its SHA-256 differs)")
    return problems


def _load(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as saved:
        return {name: saved[name] for name in saved.files}


def _own_sha256(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
