"""An append-only journal with snapshots: what was written before an answer is read after a kill.

    snapshot.json        everything up to record `number`, replaced as a whole
    journal-<n>.jsonl    the records from number n on, one a line: CRC-32, a space, JSON

A record is in the operating system's hands when `append` returns, which no end of this process can
undo. A thread has it on the disk within `sync_seconds`, which is what a power cut can lose; 0 has
it there before `append` returns.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ppo_marketing.errors import IntegrityError, PpoMarketingError
from ppo_marketing.export.whole_folder import sync_folder
from ppo_marketing.files import made, written_whole

SNAPSHOT = "snapshot.json"
LARGEST_JOURNAL = 50_000
"""Records between two snapshots: read again within a second at the next start."""


class Journal:
    """The journal of one folder, which nobody else writes to meanwhile.

    `snapshot` and `records` are what earlier processes left; read them before the first `append`.

    Raises:
        IntegrityError: a record other than the last one of all is not what was written.
    """

    def __init__(self, folder: Path, sync_seconds: float) -> None:
        self._folder = made(folder)
        self.snapshot, self.records, self.torn = _read(folder)
        after = 0 if self.snapshot is None else int(self.snapshot["number"])
        self._number = after + len(self.records)
        self._each = sync_seconds == 0
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._snapshots: threading.Thread | None = None
        self._descriptor = self._opened()
        self.since_snapshot = len(self.records)
        self._thread = threading.Thread(target=self._sync_often, args=(sync_seconds,), daemon=True)
        if not self._each:
            self._thread.start()

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record; raises OSError where it cannot be kept, and keeps nothing of it."""
        line = _line(record)
        place = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            if os.write(self._descriptor, line) != len(line):
                raise OSError("the record was not written whole")
        except OSError:
            os.ftruncate(self._descriptor, place)
            raise
        self._number += 1
        self.since_snapshot += 1
        if self._each:
            os.fdatasync(self._descriptor)
        else:
            self._dirty.set()

    def compact(self, state: Mapping[str, Any]) -> None:
        """Begin a new file, and write a snapshot of everything before it beside the work.

        `state` is what it amounts to. Killed before the snapshot is there, the old one and all
        files since are read; one that cannot be written is tried again after as many records.
        """
        self.wait()
        snapshot = _line({"number": self._number, "state": state})
        with self._lock:
            before, self._descriptor = self._descriptor, self._opened()
        self.since_snapshot = 0
        arguments = (before, self._number, snapshot)
        self._snapshots = threading.Thread(target=self._keep, args=arguments)
        self._snapshots.start()

    def wait(self) -> None:
        """Wait for a snapshot under way."""
        if self._snapshots is not None:
            self._snapshots.join()

    def close(self) -> None:
        """Have everything on disk and let go of the file."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self.wait()
        with self._lock:
            os.fsync(self._descriptor)
            os.close(self._descriptor)

    def _keep(self, before: int, number: int, snapshot: bytes) -> None:
        """Have the finished file on disk, then the snapshot, then remove what it stands for."""
        try:
            os.fsync(before)
            os.close(before)
            with written_whole(self._folder / SNAPSHOT) as path, path.open("wb") as file:
                file.write(snapshot)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(self._folder)
            for old in _files(self._folder):
                if _first(old) < number:
                    old.unlink()
        except (OSError, PpoMarketingError) as error:
            print(f"ppo-marketing serve: no snapshot of {self._folder}: {error}", file=sys.stderr)

    def _opened(self) -> int:
        path = self._folder / f"journal-{self._number:015d}.jsonl"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _sync_often(self, seconds: float) -> None:
        while not self._closing.wait(seconds):
            if self._dirty.is_set():
                self._dirty.clear()
                with self._lock:
                    os.fdatasync(self._descriptor)


def _line(record: Mapping[str, Any]) -> bytes:
    content = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None where it is not one."""
    checksum, _, content = line.rstrip(b"\n").partition(b" ")
    try:
        if not line.endswith(b"\n") or int(checksum, 16) != zlib.crc32(content):
            return None
    except ValueError:
        return None
    record: dict[str, Any] = json.loads(content)
    return record


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("journal-*.jsonl"))


def _first(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def _read(folder: Path) -> tuple[dict[str, Any] | None, list[dict[str, Any]], bool]:
    """The snapshot, the records after it, and whether the last one was torn by a kill.

    A torn record was never answered for: it is cut off.
    """
    snapshot = None
    if (folder / SNAPSHOT).exists():
        snapshot = _parsed((folder / SNAPSHOT).read_bytes())
        if snapshot is None:
            raise _damaged(folder / SNAPSHOT)
    number = 0 if snapshot is None else int(snapshot["number"])
    records: list[dict[str, Any]] = []
    torn = False
    files = _files(folder)
    for path in files:
        at = _first(path)
        if at > number + len(records):
            raise _damaged(path)
        length = 0
        for line in _lines(path):
            record = _parsed(line)
            if record is None:
                if path != files[-1] or length + len(line) != path.stat().st_size:
                    raise _damaged(path)
                os.truncate(path, length)
                torn = True
                break
            length += len(line)
            if at >= number + len(records):
                records.append(record)
            at += 1
    return snapshot, records, torn


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _damaged(path: Path) -> IntegrityError:
    return IntegrityError(
        f"{path} is not what was written: restore the folder from a copy. To begin with empty "
        "books, move the folder away; what its reservations allowed may then be spent again"
    )
