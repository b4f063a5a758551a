"""Sealed folders: a manifest with the SHA-256 of every file and of itself, refused when touched."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from ppo_marketing.errors import IntegrityError, UserError

MANIFEST = "manifest.json"
LARGEST_MANIFEST = 4_000_000
"""Bytes; a file that says how large the others are must not itself exhaust the memory."""
ADVICE = "export it again, or restore it from a copy"


def as_json(values: Any) -> bytes:
    """The one way values are written here: sorted, indented, finite, UTF-8."""
    text = json.dumps(values, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return (text + "\n").encode()


def sealed(files: Mapping[str, bytes], about: Mapping[str, Any]) -> dict[str, bytes]:
    """The files with the manifest that seals them; `about` is what else it says."""
    listed = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in files.items()
    }
    body = {**about, "files": listed}
    return {**files, MANIFEST: as_json({**body, "sha256": _digest(body)})}


def opened(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What `sealed` sealed, each file read once and verified: the manifest and the contents.

    The manifest must be, to the byte, what would be written for its content; so no byte of the
    folder can change unnoticed. Whoever rewrites a whole folder is not noticed here: compare the
    manifest's `sha256` with one kept elsewhere.

    Raises:
        UserError: there is no such folder, or it is of another kind.
        IntegrityError: a file is missing, too many or not what was written.
    """
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} holds no {MANIFEST}: name a folder that `export` wrote")
    manifest = _manifest(folder / MANIFEST)
    if manifest.get("kind") != kind:
        raise UserError(f"{folder} holds a {manifest.get('kind')}, not a {kind}")
    listed = manifest["files"]
    problems = [
        f"{path.name} is not in the manifest"
        for path in sorted(folder.iterdir())
        if path.name not in listed and path.name != MANIFEST
    ]
    contents = {}
    for name, known in listed.items():
        try:
            contents[name] = _verified(folder / name, known)
        except (OSError, ValueError) as error:
            problems.append(f"{name}: {error}")
    if problems:
        _refuse(folder, "; ".join(problems))
    return manifest, contents


def require_replaceable(folder: Path, kind: str) -> None:
    """Refuse to put a sealed folder in the place of anything but an earlier one of its kind.

    A damaged one may be replaced: writing it again is what mends it.

    Raises:
        UserError: something else is there.
    """
    if not (folder.exists() or folder.is_symlink()):
        return
    try:
        found = json.loads((folder / MANIFEST).read_bytes())["kind"]
    except (OSError, KeyError, TypeError, ValueError):
        found = None
    if found != kind or folder.is_symlink():
        article = "an" if kind[0] in "aeiou" else "a"
        raise UserError(
            f"{folder} is there and not {article} {kind}: choose another --output, or move it away"
        )


def read_json_bytes(content: bytes, name: str) -> Any:
    """JSON without NaN or infinity; IntegrityError where it is anything else."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number")

    try:
        return json.loads(content, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{name} cannot be read: {error}") from error


def _manifest(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            _refuse(path, f"larger than {LARGEST_MANIFEST:,} bytes")
        content = path.read_bytes()
        manifest = read_json_bytes(content, path.name)
        body = {name: value for name, value in manifest.items() if name != "sha256"}
        whole = as_json(manifest) == content and manifest["sha256"] == _digest(body)
        plain = all(Path(name).name == name and name not in ("", "..") for name in body["files"])
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        _refuse(path, repr(error))
    if not (whole and plain):
        _refuse(path, "its SHA-256 does not match its content")
    assert isinstance(manifest, dict)
    return manifest


def _verified(path: Path, known: Mapping[str, Any]) -> bytes:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("not a plain file")
    if found.st_size != known["bytes"]:
        raise ValueError(f"{found.st_size} bytes where {known['bytes']} were written")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != known["sha256"]:
        raise ValueError("its SHA-256 does not match")
    return content


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(as_json(body)).hexdigest()


def _refuse(path: Path, found: str) -> NoReturn:
    raise IntegrityError(f"{path} is not what was exported ({found}): {ADVICE}")
