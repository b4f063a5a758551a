"""An export as one file to download, after it was written whole where the next one is compared."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in an archive, so that the same export gives the same bytes."""


def export_folder(project: Path, decision: str, target: str) -> Path:
    """Where a project's exports of a target lie: the next one is compared with what is there."""
    return project / "data" / "exports" / decision / target


def zipped(folder: Path) -> bytes:
    """The files of a folder as a ZIP archive, by name; the same files give the same bytes.

    Raises OSError where the folder cannot be read.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            about = zipfile.ZipInfo(f"{folder.name}/{path.name}", EPOCH)
            about.compress_type = zipfile.ZIP_DEFLATED
            about.external_attr = 0o644 << 16
            archive.writestr(about, path.read_bytes())
    return packed.getvalue()
