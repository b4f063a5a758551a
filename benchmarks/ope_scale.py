"""Off-policy evaluation of a million decisions among a hundred actions: time and memory.

A uniformly logged bandit of 100,000 customers, so that every estimator applies, replay and MIPS
included. Matrices are double precision and held in memory; the report (every estimator, its
bootstrap over customers, SLOPE, diagnostics) is made in a process of its own that tells the peak
of its resident memory. Writes results/ope_scale.json.

    python -m benchmarks.ope_scale
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import write_result
from ppo_marketing.ope.battery import off_policy_report
from ppo_marketing.ope.blocks import blocks
from ppo_marketing.ope.feedback import from_matrices

ROWS = 1_000_000
ACTIONS = 100
CATEGORIES = 10
ROWS_A_CUSTOMER = 10
DEPTH = 5
SEED = 1
LIMIT_SECONDS = 60.0
LIMIT_MB = 4_000
MATRICES = ("target_probabilities", "predicted_reward")


def write_arrays(folder: Path, rows: int) -> float:
    """Draw the log into .npy files, block by block; the target's true value."""
    rng = np.random.default_rng(SEED)
    taste, aim = rng.normal(size=(2, DEPTH, ACTIONS)) / DEPTH**0.5
    wide = [
        np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=np.float64, shape=(rows, ACTIONS)
        )
        for name in MATRICES
    ]
    action = rng.integers(0, ACTIONS, rows)
    reward, truth = np.empty(rows), 0.0
    for part in blocks(rows, ACTIONS):
        x = rng.normal(size=(part.stop - part.start, DEPTH))
        mean = 0.1 / (1 + np.exp(-x @ taste))
        score = np.exp(1.5 * x @ aim)
        target = score / score.sum(axis=1, keepdims=True)
        truth += float((target * mean).sum())
        own = mean[np.arange(len(mean)), action[part]]
        reward[part] = rng.random(len(mean)) < own
        # A model that is half right, so that doubly robust estimators have something to correct.
        wide[0][part], wide[1][part] = target, 0.025 + 0.5 * mean
    for matrix in wide:
        matrix.flush()
    np.save(folder / "action.npy", action)
    np.save(folder / "reward.npy", reward)
    np.save(folder / "unit.npy", rng.integers(0, rows // ROWS_A_CUSTOMER, rows))
    return truth / rows


def evaluate(folder: Path) -> dict[str, Any]:
    """The whole report on the arrays of a folder: seconds, peak MB, values."""
    given = {name: np.load(folder / f"{name}.npy") for name in (*MATRICES, "action", "reward")}
    rows = len(given["action"])
    began = time.perf_counter()
    decisions = from_matrices(
        **given,
        propensity=np.full(rows, 1 / ACTIONS),
        unit=np.load(folder / "unit.npy"),
        category=np.arange(ACTIONS) % CATEGORIES,
        logging_probabilities=np.broadcast_to(1 / ACTIONS, (rows, ACTIONS)),
    )
    reduced = time.perf_counter()
    report = off_policy_report(decisions, np.random.default_rng(SEED))
    done = time.perf_counter()
    # Not getrusage: its peak is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text()
    [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return {
        "seconds_columns": round(reduced - began, 1),
        "seconds_report": round(done - reduced, 1),
        "seconds": round(done - began, 1),
        "peak_mb": round(int(peak) / 1024),
        "report": report.as_dict(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--evaluate", type=Path, metavar="FOLDER", help="the inner process")
    arguments = parser.parse_args()
    if arguments.evaluate:
        print(json.dumps(evaluate(arguments.evaluate)))
        return
    with tempfile.TemporaryDirectory() as name:
        truth = write_arrays(Path(name), arguments.rows)
        command = [sys.executable, "-m", "benchmarks.ope_scale", "--evaluate", name]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = {"true_value": truth, **json.loads(output)}
    for row in result["report"]["estimates"]:
        print(f"{row['name']:<28}{row['value']:>10.5f}  {row['bootstrap']}")
    print(f"{result['seconds']} s, {result['peak_mb']} MB; the true value is {truth:.5f}")
    config = {
        "rows": arguments.rows, "actions": ACTIONS, "customers": arguments.rows // ROWS_A_CUSTOMER,
        "seed": SEED, "limit_seconds": LIMIT_SECONDS, "limit_mb": LIMIT_MB,
    }  # fmt: skip
    write_result("ope_scale", config, result)
    if result["seconds"] > LIMIT_SECONDS or result["peak_mb"] > LIMIT_MB:
        sys.exit(f"more than {LIMIT_SECONDS:.0f} s or {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
