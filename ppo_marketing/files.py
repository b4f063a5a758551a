"""Files at the edge: made, written whole, read; what fails is said in words."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ppo_marketing.errors import AlreadyRunning, PpoMarketingError, UserError

_NOT_THE_USERS_CHOICE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def made(folder: Path) -> Path:
    """The folder, made with its parents.

    Raises UserError where something else has its place, PpoMarketingError where the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


@contextmanager
def held_alone(folder: Path, otherwise: str = "choose another --output") -> Iterator[None]:
    """Make `folder` and keep other jobs out of it; the system lets go of it when a job is killed.

    Raises AlreadyRunning where another job has it, with what can be done `otherwise`, and as `made`
    does.
    """
    descriptor = os.open(made(folder), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise AlreadyRunning(
            f"another job is writing to {folder}: wait until it has finished, or {otherwise}"
        ) from error
    finally:
        os.close(descriptor)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary place to write to that becomes `path` when all went well, and is gone if not.

    A reader sees the file whole or not at all, also after a power cut. The temporary name is fixed,
    so that what a killed process left behind is overwritten by the next. Raises UserError or
    PpoMarketingError as `made` does; an earlier file of that name is then untouched.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):  # on a disk that fails, the first failure is what is told
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file as `written_whole` does, and raise as it does."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def read_json(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file holds.

    Raises UserError where it cannot be read as one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): make its folder again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping: make its folder again")
    return content


def folder_sha256(folder: Path, record: str) -> str:
    """The hash of a folder by its `record`, a file that holds the hashes of the others."""
    return hashlib.sha256((folder / record).read_bytes()).hexdigest()


def _unwritable(path: Path, error: OSError) -> PpoMarketingError:
    kind = PpoMarketingError if error.errno in _NOT_THE_USERS_CHOICE else UserError
    return kind(
        f"cannot write {path}: {error.strerror or error}. Free some space or choose another place; "
        "what was there before is untouched"
    )


def _sync(path: Path) -> None:
    """Have the disk hold a file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
