"""Folders that are whole or absent: written under another name, synced, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ppo_marketing.errors import PpoMarketingError
from ppo_marketing.files import made


def write_whole(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `folder` hold exactly `files`, by plain name; what it held is then in `.NAME.previous`.

    Every file and the folder are synced before the name is given, so that a reader, a crash or a
    full disk never meets a part: `folder` is what it was, what it shall be, or, between two
    renames, absent with both complete beside it. What a killed export left
    behind is overwritten by the next.

    Raises:
        PpoMarketingError: it cannot be written; nothing is left behind.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    previous = folder.with_name(f".{folder.name}.previous")
    made(folder.parent)
    moved = False
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for name, content in files.items():
            _write_synced(partial / name, content)
        sync_folder(partial)
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
            folder.rename(previous)
            moved = True
        partial.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise PpoMarketingError(
            f"cannot write {folder}: {error.strerror or error}. Free some space or choose another "
            "--output; an earlier export is untouched"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if moved and not folder.exists():
            previous.rename(folder)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
