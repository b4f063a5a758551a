"""The fidelity gate on generated logs: what it passes and what it refuses, seed by seed.

Per preset and seed a 28-day log is calibrated and its later third judges

* the true generator, which must pass in at least 9 of 10 seeds;
* a market fitted to won auctions alone, as if losses said nothing, which must fail in all;
* the calibrated market, and the same with logged prices 40 % higher in the later third, or with
  click probabilities doubled.

    python -m benchmarks.fidelity_gate
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.random import Generator

from benchmarks.report import write_result
from envs.bidding.env import sample_settings
from envs.bidding.fidelity import judge_simulator
from envs.bidding.fit import BiddingCalibration, fit
from envs.bidding.generator import PRESETS, generate_log
from envs.bidding.log import AUCTIONS
from envs.bidding.market import fit_market
from envs.bidding.response import Recalibration
from envs.bidding.truth import TrueSimulator
from envs.bidding.world import BiddingSettings
from envs.core.fidelity import FidelityReport
from envs.core.log import read_log

DAYS = 28
SEEDS = 10
PASSED_AT_LEAST = {"true generator": 9, "calibrated": 8}
MUST_FAIL = ("winners only", "prices 40 % higher", "click probability doubled")


def calibrated(preset: str, rng: Generator) -> BiddingCalibration:
    """The calibration of a freshly generated log."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "auctions.parquet"
        pq.write_table(generate_log(PRESETS[preset], DAYS, rng).table, source)
        log = read_log(source, AUCTIONS, cache=Path(folder) / "cache")
        return fit(log, BiddingSettings(**sample_settings({})), rng)


def judged(
    preset: str, calibration: BiddingCalibration, rng: Generator
) -> Iterator[tuple[str, FidelityReport]]:
    """The reports of all simulators on the calibration's later part."""
    held_out = calibration.later.auctions
    market = calibration.earlier
    yield "true generator", judge_simulator(TrueSimulator(PRESETS[preset]), held_out, rng)
    yield "calibrated", calibration.fidelity
    seen = market.auctions.where(market.auctions.won)
    naive = fit_market(seen, market.recalibration, market.valuation, rng)
    yield "winners only", judge_simulator(naive, held_out, rng)
    dearer = held_out._replace(price_cpm=held_out.price_cpm * np.float32(1.4))
    yield "prices 40 % higher", judge_simulator(market, dearer, rng)
    doubled = replace(market, recalibration=Recalibration(np.zeros(1), np.array([np.log(2)])))
    yield "click probability doubled", judge_simulator(doubled, held_out, rng)


def measure(preset: str, seed: int) -> dict[str, Any]:
    """Verdicts and failed checks of one log."""
    rng = np.random.default_rng(seed)
    began = time.process_time()
    calibration = calibrated(preset, rng)
    seconds = time.process_time() - began
    return {
        "seed": seed,
        "calibration_cpu_seconds": round(seconds, 1),
        "verdicts": {
            name: {
                "passed": report.passed,
                "failures": {check.name: round(check.value, 4) for check in report.failures},
            }
            for name, report in judged(preset, calibration, rng)
        },
    }


def passes(rows: list[dict[str, Any]]) -> Mapping[str, int]:
    """How many seeds each simulator passed in."""
    names = rows[0]["verdicts"]
    return {name: sum(row["verdicts"][name]["passed"] for row in rows) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    seeds = parser.parse_args().seeds
    results: dict[str, Any] = {}
    broken = []
    for preset in ("default", "shock"):
        rows = []
        for seed in range(seeds):
            rows.append(measure(preset, seed))
            told = {
                name: "passed" if verdict["passed"] else list(verdict["failures"])[:3]
                for name, verdict in rows[-1]["verdicts"].items()
            }
            print(preset, seed, told, flush=True)
        counts = passes(rows)
        results[preset] = {"passed_of": seeds, "passed": counts, "seeds": rows}
        broken += [
            f"{preset}: {name} passed in {counts[name]} of {seeds}"
            for name, least in PASSED_AT_LEAST.items()
            if counts[name] < least * seeds / SEEDS
        ]
        broken += [
            f"{preset}: {name} passed in {counts[name]} of {seeds}"
            for name in MUST_FAIL
            if counts[name] > 0
        ]
    write_result("fidelity_gate", {"days": DAYS, "seeds": seeds}, results)
    if broken:
        sys.exit("; ".join(broken))


if __name__ == "__main__":
    main()
