"""The peak of resident memory of one training, as a process of its own.

`python -m benchmarks.throughput.memory COPIES STEPS` trains three updates and prints it as JSON,
beside what the process held before training began.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.throughput.market import SHIPPED, make_world, shipped_config
from ppo_marketing.pipeline import learning
from ppo_marketing.ppo.train import train

COPIES = 4096
UPDATES = 3
LIMIT_MB = 1_000


def measure(copies: int, rollout_steps: int) -> dict[str, int]:
    """Megabytes of a training with shipped defaults but for the copies and their steps."""
    command = [sys.executable, "-m", __spec__.name, str(copies), str(rollout_steps)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, int] = json.loads(output.splitlines()[-1])
    return found


def peak_mb() -> int:
    """The peak so far; not getrusage's, which is inherited from the process that started this."""
    status = Path("/proc/self/status").read_text()
    [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return round(int(peak) * 1024 / 1e6)  # the file says kB and means KiB


def run(copies: int, rollout_steps: int) -> dict[str, Any]:
    """Train here and say what it took."""
    config = replace(shipped_config(), rollout_steps=rollout_steps)
    imported = peak_mb()
    env = learning.training_env(make_world(SHIPPED.episodes), copies, regret=SHIPPED.regret)
    before = peak_mb()
    train(env, config, total_steps=UPDATES * copies * rollout_steps, seed=0)
    return {"imported": imported, "with_market": before, "peak": peak_mb()}


if __name__ == "__main__":
    print(json.dumps(run(*map(int, sys.argv[1:]))))
