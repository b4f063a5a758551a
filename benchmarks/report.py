"""How every benchmark writes its result: JSON with configuration, versions and commit."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppo_marketing.files import write_atomically

RESULTS = Path(__file__).parent / "results"


def write_result(name: str, config: Mapping[str, Any], result: Any) -> Path:
    """Write `results/<name>.json` and say where; the machine is described, never named."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=RESULTS.parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    record = {
        "benchmark": name,
        "config": dict(config),
        "commit": commit or "unknown",
        "machine": {"cores": os.cpu_count(), "processor": platform.machine()},
        "versions": {
            "python": platform.python_version(),
            **{
                package: importlib.metadata.version(package)
                for package in ("numpy", "numba", "torch", "gymnasium")
            },
        },
        "result": result,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    # Whole or not at all: two processes may share the work of one benchmark.
    write_atomically(path, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    print(f"written: benchmarks/results/{path.name}")
    return path
