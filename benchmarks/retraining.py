"""One retraining of the built-in sample from end to end, and a second one with nothing to do.

The project file is the one that `retrain --example` prints: sample, calibration, three seeds,
judgement, promotion, export. Both are processes of their own. Writes results/retraining.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import write_result

LIMIT_S = 300
"""Five minutes for the first."""
COMMAND = [sys.executable, "-m", "ppo_marketing", "retrain"]


def timed(project: Path) -> dict[str, Any]:
    """Run the job once: seconds, exit code, what it said."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PPO_MARKETING_")}
    variables.pop("MLFLOW_TRACKING_URI", None)
    began = time.perf_counter()
    done = subprocess.run(
        [*COMMAND, str(project), "--json"],
        capture_output=True, text=True, check=False, env=variables,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    said = json.loads(done.stdout) if done.stdout else {"outcome": done.stderr[-500:]}
    kept = {name: said.get(name) for name in ("outcome", "new", "reasons")}
    return {"seconds": round(seconds, 1), "exit_code": done.returncode, **kept}


def main() -> None:
    example = subprocess.run(
        [*COMMAND, "--example"], capture_output=True, text=True, check=True
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project.yaml"
        project.write_text(example, encoding="utf-8")
        first, second = timed(project), timed(project)
    for name, found in (("first", first), ("second", second)):
        print(f"{name:<8}{found['seconds']:>7} s  exit code {found['exit_code']}  {found}")
    write_result(
        "retraining",
        {"project": example.splitlines(), "limit_seconds": LIMIT_S},
        {"first": first, "second": second},
    )
    if first["seconds"] > LIMIT_S or first["exit_code"] not in (0, 4):
        sys.exit(f"the first retraining took more than {LIMIT_S} s, or failed")
    if second["exit_code"] != 0 or second["new"]:
        sys.exit("the second retraining found something to do")


if __name__ == "__main__":
    main()
