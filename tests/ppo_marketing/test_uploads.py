"""Uploads: sound logs are kept under names of our own; all else is told and leaves nothing."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from envs import load_decision
from ppo_marketing.uploads import (
    LogRefused,
    UploadLimits,
    keep,
    kept_logs,
    preview,
    shown_name,
    uploads_folder,
)

CARD = load_decision("bidding")
HEADER = ",".join(column.name for column in CARD.schema.columns if column.required)


@pytest.fixture(scope="module")
def sample() -> pa.Table:
    return CARD.generate("default", 1, np.random.default_rng(1)).slice(0, 2000)


@pytest.fixture(scope="module")
def sound(sample: pa.Table) -> bytes:
    out = io.BytesIO()
    pa_csv.write_csv(sample, out)
    return out.getvalue()


def _stored(project: Path) -> list[Path]:
    return [path for path in project.rglob("*") if path.is_file()]


def test_a_sound_log_is_kept_once_and_found_again(tmp_path: Path, sound: bytes) -> None:
    kept, table = keep(tmp_path, CARD, sound, "../../etc/passwd/March.csv", {})
    again, _ = keep(tmp_path, CARD, sound, "March.csv", {})
    assert (kept.rows, kept.name) == (table.rows, "March.csv")
    assert kept.path == again.path
    assert kept.path.parent.parent == uploads_folder(tmp_path)
    assert kept_logs(tmp_path, CARD.name) == (again,)
    assert kept.path.read_bytes() == sound


@pytest.mark.parametrize("packed", ["gzip", "parquet"])
def test_gzip_and_parquet_are_kept_as_such(
    tmp_path: Path, sample: pa.Table, sound: bytes, packed: str
) -> None:
    out = io.BytesIO()
    if packed == "parquet":
        pq.write_table(sample, out)
    content = gzip.compress(sound) if packed == "gzip" else out.getvalue()
    kept, _ = keep(tmp_path, CARD, content, "log", {})
    assert kept.path.name == {"gzip": "log.csv.gz", "parquet": "log.parquet"}[packed]


def _spreadsheet_cells(sound: bytes) -> bytes:
    first, *rest = sound.split(b"\n")
    return b"\n".join([first + b",note", *(row + b',"=cmd|x!A1"' for row in rest if row)])


HOSTILE = {
    "200 MB": (b"x" * 2_000_000, "at most 1 MB"),
    "a zip bomb": (gzip.compress(b"0" * 8_000_000), "unpacks to more than 4 MB"),
    "a zip archive": (b"PK\x03\x04" + b"\0" * 100, "zip archive or a spreadsheet"),
    "cut gzip": (gzip.compress(b"a,b\n" * 1000)[:-20], "ends too early"),
    "UTF-16": ("time;bid\n1;2\n".encode("utf-16"), "UTF-16 text or binary"),
    "latin-1": ("größe,bid\n1,2\n".encode("latin-1"), "not UTF-8"),
    "binary": (bytes(range(256)) * 40, "UTF-16 text or binary|not UTF-8"),
    "a program": (b"\x7fELF" + b"\x00" * 4000, "binary"),
    "nothing": (b"", "empty file"),
    "a damaged Parquet file": (b"PAR1" + b"\xff" * 200 + b"PAR1", "damaged Parquet"),
    "another table": (b"a,b\n1,2\n3,4\n", "no column"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_told_and_leaves_nothing(tmp_path: Path, what: str) -> None:
    content, said = HOSTILE[what]
    limits = UploadLimits(bytes=1 << 20, unpacked_bytes=4 << 20)
    with pytest.raises(LogRefused, match=said) as refused:
        keep(tmp_path, CARD, content, "../../evil\0.csv", {}, limits=limits)
    assert refused.value.problems
    assert str(tmp_path) not in str(refused.value)
    assert _stored(tmp_path) == []


def test_formulas_are_told_and_leave_nothing(tmp_path: Path, sound: bytes) -> None:
    with pytest.raises(LogRefused, match="would run as a formula"):
        keep(tmp_path, CARD, _spreadsheet_cells(sound), "x.csv", {"note": "note"})
    assert _stored(tmp_path) == []


def test_more_rows_than_allowed_are_told_and_leave_nothing(tmp_path: Path, sound: bytes) -> None:
    with pytest.raises(LogRefused, match=r"2,000 rows.* at most 100"):
        keep(tmp_path, CARD, sound, "x.csv", {}, limits=UploadLimits(rows=100))
    assert _stored(tmp_path) == []


def test_every_problem_is_told_at_once(tmp_path: Path, sound: bytes) -> None:
    lines = sound.decode().splitlines()
    broken = lines[1].split(",")
    broken[2:] = ["much"] * len(broken[2:])
    content = "\n".join([lines[0], ",".join(broken), *lines[2:]]).encode()
    with pytest.raises(LogRefused) as refused:
        keep(tmp_path, CARD, content, "x.csv", {})
    assert len(refused.value.problems) > 2


def test_columns_are_guessed_each_at_most_once(sound: bytes) -> None:
    first, rest = sound.split(b"\n", 1)
    renamed = first.replace(b"timestamp", b"Timestamp").replace(b"bid_cpm", b"bid_cpms")
    seen = preview(renamed + b"\n" + rest, CARD.schema, UploadLimits())
    assert seen.guesses["timestamp"].strip('"') == "Timestamp"
    assert seen.guesses["bid_cpm"].strip('"') == "bid_cpms"
    assert len(set(seen.guesses.values())) == len(seen.guesses)
    assert len(seen.rows) == 8


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("\x1b[31mred.csv", "[31mred.csv"),
        ("...", "log"),
        ("x" * 500, "x" * 80),
    ],
)
def test_a_name_is_shown_and_never_a_path(name: str, shown: str) -> None:
    assert shown_name(name) == shown
