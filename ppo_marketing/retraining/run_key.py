"""What makes one retraining this one and no other: its data, its configuration and its code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SHORT = 16
"""Digits of a key that name a run's folder; the record inside holds all 64."""


def run_key(data_sha256: str, config: Mapping[str, Any], code_sha256: str) -> str:
    """SHA-256 of data, configuration and code, as canonical JSON.

    Equal keys give equal policies, bit by bit, so a key that was finished needs no second run.
    """
    content = {"data": data_sha256, "config": config, "code": code_sha256}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def sources_sha256(roots: Iterable[Path], versions: Mapping[str, str]) -> str:
    """SHA-256 of every source file below `roots`, by name and content, and of library versions."""
    digest = hashlib.sha256(json.dumps(versions, sort_keys=True).encode())
    for root in roots:
        for path in sorted([*root.rglob("*.py"), *root.rglob("*.yaml")]):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            name = path.relative_to(root.parent).as_posix()
            digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()
