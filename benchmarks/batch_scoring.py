"""Rows a second that a 64x64 policy decides on two threads, guardrails included; bar 1,000,000.

Three figures for amounts and for choices: the policy and its guards on arrays (what the bar is on),
and the whole of `score` from Parquet to Parquet. Beside them the memory of the whole run: a table
ten times longer must not need more. Writes results/batch_scoring.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import write_result
from ppo_marketing.export.bundle import bundle_files, load_bundle
from ppo_marketing.export.whole_folder import write_whole
from ppo_marketing.guardrails import AmountLimits, ChoiceLimits, GuardrailLimits
from ppo_marketing.progress import SilentReporter
from ppo_marketing.serve.batch import scored
from ppo_marketing.serve.champion import champion_of
from ppo_marketing.serve.scoring import score_table
from tests.support.agents import SIZE, agent_of, states

BAR = 1_000_000
THREADS = 2
KINDS: dict[str, tuple[str, GuardrailLimits]] = {
    "amounts": ("amounts, clipped", GuardrailLimits(amounts=AmountLimits(floor=-1.0, cap=1.0))),
    "choices": ("not normalised", GuardrailLimits(choices=ChoiceLimits(choices=4, nothing=0))),
}
PEAK = """
import sys
from pathlib import Path
from ppo_marketing.serve.scoring import score_table
from ppo_marketing.progress import SilentReporter
score_table(*map(Path, sys.argv[1:4]), SilentReporter())
print(int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024)
"""


def bundle_at(folder: Path, kind: str) -> Path:
    name, limits = KINDS[kind]
    agent = agent_of(name)
    observation, mask = states(agent, 32)
    files = bundle_files(
        agent, observation=observation, mask=mask, limits=limits, about={}, documents={},
        manifest={},
    )  # fmt: skip
    write_whole(folder, files)
    return folder


def rows_per_second(bundle: Path, rows: int, repeats: int) -> float:
    """The median of `repeats`, after one that warms up."""
    champion = champion_of(load_bundle(bundle), None)
    observation = np.random.default_rng(0).normal(size=(rows, SIZE)).astype(np.float32)
    rates = []
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(repeats + 1):
            began = time.perf_counter()
            scored(champion, observation, None, pool)
            rates.append(rows / (time.perf_counter() - began))
    return statistics.median(rates[1:])


def table_at(path: Path, rows: int) -> Path:
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, _table(rng, 1).schema) as writer:
        for first in range(0, rows, 100_000):
            writer.write_table(_table(rng, min(100_000, rows - first)))
    return path


def _table(rng: np.random.Generator, rows: int) -> Any:
    columns = {f"observation_{k}": rng.normal(size=rows).astype(np.float32) for k in range(SIZE)}
    return pa.table({"id": np.arange(rows), **columns})


def peak_mb(bundle: Path, table: Path, output: Path) -> float:
    """The largest memory of a process that scores a table."""
    command = [sys.executable, "-c", PEAK, str(bundle), str(table), str(output)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for kind in KINDS:
            bundle = bundle_at(folder / kind, kind)
            rate = rows_per_second(bundle, chosen.rows, chosen.repeats)
            table = table_at(folder / "table.parquet", chosen.rows)
            began = time.perf_counter()
            score_table(bundle, table, folder / "out.parquet", SilentReporter())
            whole = chosen.rows / (time.perf_counter() - began)
            short = table_at(folder / "short.parquet", chosen.rows // 10)
            found[kind] = {
                "rows_per_second": round(rate),
                "parquet_to_parquet_rows_per_second": round(whole),
                "peak_mb": round(peak_mb(bundle, table, folder / "out.parquet")),
                "peak_mb_of_a_tenth": round(peak_mb(bundle, short, folder / "out.parquet")),
                "passed": rate >= BAR,
            }
            print(f"{kind:<10}{rate:>12,.0f} rows/s{whole:>12,.0f} with Parquet", found[kind])
    config = {
        "rows": chosen.rows, "repeats": chosen.repeats, "threads": THREADS, "hidden": [64, 64],
        "observations": SIZE, "bar": BAR, "load_before": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    write_result("batch_scoring", config, found)


if __name__ == "__main__":
    main()
