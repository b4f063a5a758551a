"""Memory and time of a ten-million-row auction log: every stage in its own process, under 2 GB.

The log is drawn day by day from the generator, shuffled within each day so that it has to be
sorted, with an id that must be checked for uniqueness. Each stage runs in a fresh process that
reports the peak of its own resident memory. Writes results/log_memory.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.report import write_result
from envs.bidding import DECISION
from envs.bidding.generator import PRESETS, generate_log
from envs.bidding.log import AUCTIONS
from envs.core.log import LogTable, read_log

ROWS = 10_000_000
DAYS = 28
SEED = 1
LIMIT_MB = 2_000


def validate(source: Path, cache: Path) -> LogTable:
    """The whole reading: types, rules, ids, units, sorting, writing."""
    return read_log(source, AUCTIONS, cache=cache)


def calibrate(source: Path, cache: Path) -> object:
    """The market fitted, with its fidelity report, from the validated log."""
    log = validate(source, cache)
    return DECISION.fit(log, DECISION.sample_settings(), np.random.default_rng(SEED))


# In order: a later stage finds what an earlier one left in the cache.
STAGES: dict[str, Callable[[Path, Path], object]] = {
    "validate": validate,
    "validate again, from the cache": validate,
    "calibrate": calibrate,
}


def write_log(path: Path, rows: int) -> int:
    """Write the log and return how many rows it has (Poisson, about `rows`)."""
    preset = replace(PRESETS["default"], volume_mean=rows / DAYS)
    rng = np.random.default_rng(SEED)
    writer, written = None, 0
    for day in range(DAYS):
        table = generate_log(preset, 1, rng).table
        columns = {name: table.column(name) for name in table.column_names}
        columns["timestamp"] = pc.add(columns["timestamp"], pa.scalar(timedelta(days=day)))
        columns["auction_id"] = pc.binary_join_element_wise(
            f"day{day:02}", columns["auction_id"], "-"
        )
        shuffled = pa.table(columns).take(pa.array(rng.permutation(table.num_rows)))
        writer = writer or pq.ParquetWriter(path, shuffled.schema)
        writer.write_table(shuffled)
        written += table.num_rows
    assert writer is not None
    writer.close()
    return written


def run_stage(name: str, source: Path, cache: Path) -> dict[str, float]:
    """Run one stage in this process: seconds, and the peak resident memory in MB."""
    began = time.perf_counter()
    STAGES[name](source, cache)
    seconds = time.perf_counter() - began
    # Not getrusage: its peak is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text()
    [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return {"seconds": round(seconds, 1), "peak_mb": round(int(peak) / 1024)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--stage", nargs=3, metavar=("NAME", "SOURCE", "CACHE"))
    arguments = parser.parse_args()
    if arguments.stage:
        name, source, cache = arguments.stage
        print(json.dumps(run_stage(name, Path(source), Path(cache))))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "auctions.parquet"
        rows = write_log(source, arguments.rows)
        results: dict[str, Any] = {"rows": rows, "file_mb": source.stat().st_size >> 20}
        for name in STAGES:
            stage = [name, str(source), str(Path(folder) / "cache")]
            command = [sys.executable, "-m", "benchmarks.log_memory", "--stage", *stage]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            results[name] = json.loads(output)
            print(f"{name:<32}{results[name]['seconds']:>8} s {results[name]['peak_mb']:>8} MB")
    config = {"rows": arguments.rows, "days": DAYS, "seed": SEED, "limit_mb": LIMIT_MB}
    write_result("log_memory", config, results)
    if any(results[name]["peak_mb"] > LIMIT_MB for name in STAGES):
        sys.exit(f"a stage needed more than {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
