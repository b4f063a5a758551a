"""The fidelity checks of sequencing on generated logs: what passes and what does not, by seed.

Per seed a log of 20,000 customers x 26 weeks (cadence with 20 % randomisation) judges

* the true generator, which must pass in at least 9 of 10 seeds;
* what was calibrated to the log, judged by its own held-out customers;
* the generator with planted errors, which must fail in all.

    python -m benchmarks.sequencing_fidelity
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.report import write_result
from envs.core.fidelity import FidelityReport
from envs.core.log import LogTable, read_log
from envs.sequencing.fidelity import judge_simulator
from envs.sequencing.fit import fit
from envs.sequencing.gathering import gather
from envs.sequencing.generated_log import generate_log, logging_policy
from envs.sequencing.generator import MENU, PRESETS, tables_of, true_tables
from envs.sequencing.heads import response_heads
from envs.sequencing.log import EVENTS
from envs.sequencing.settings import SequencingSettings

CUSTOMERS, WEEKS, SPLIT = 20_000, 26, 17
SEEDS = 10
PASSED_AT_LEAST = {"true generator": 9, "calibrated": 8}
P = PRESETS["default"]
PLANTED = {
    "uplift doubled": replace(P, uplift=(1.1, 2.2, 2.0)),
    "no effect at all": replace(P, uplift=(0.0, 0.0, 0.0)),
    "letters too strong": replace(P, uplift=(P.uplift[0], P.uplift[1], 2.0)),
    "no fatigue": replace(P, dampening=0.0),
    "unsubscribes tripled": replace(P, unsubscribe=3 * P.unsubscribe),
}


def judged(log: LogTable, seed: int) -> dict[str, FidelityReport]:
    """The reports of all simulators on one log."""
    rng = np.random.default_rng(seed)
    panel, policy = gather(log).panel, logging_policy(true_tables("default"))
    simulators = {"true generator": P, **PLANTED}
    reports = {
        name: judge_simulator(
            tables_of(parameters), MENU, panel, SPLIT, policy,
            response_heads(panel, true_tables("default").channel), rng,
            propensity=panel.propensity, randomised=(1, 2, 3),
        ).report
        for name, parameters in simulators.items()
    }  # fmt: skip
    return {**reports, "calibrated": fit(log, SequencingSettings(), rng).fidelity}


def measure(seed: int) -> dict[str, Any]:
    """Verdicts and failed checks of one log."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "events.parquet"
        table = generate_log("default", WEEKS, np.random.default_rng(seed), customers=CUSTOMERS)
        pq.write_table(table, source)
        log = read_log(source, EVENTS, cache=Path(folder) / "cache")
        reports = judged(log, seed)
    return {
        "seed": seed,
        "cpu_seconds": round(time.process_time() - began, 1),
        "verdicts": {
            name: {
                "passed": report.passed,
                "failures": {check.name: round(check.value, 4) for check in report.failures},
            }
            for name, report in reports.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    seeds = parser.parse_args().seeds
    rows = []
    for seed in range(seeds):
        rows.append(measure(seed))
        told = {
            name: "passed" if verdict["passed"] else list(verdict["failures"])[:3]
            for name, verdict in rows[-1]["verdicts"].items()
        }
        print(seed, told, flush=True)
    counts = {
        name: sum(row["verdicts"][name]["passed"] for row in rows) for name in rows[0]["verdicts"]
    }
    config = {"customers": CUSTOMERS, "weeks": WEEKS, "seeds": seeds}
    write_result("sequencing_fidelity", config, {"passed": counts, "seeds": rows})
    broken = [
        f"{name} passed in {counts[name]} of {seeds}"
        for name, least in PASSED_AT_LEAST.items()
        if counts[name] < least * seeds / SEEDS
    ]
    broken += [f"{name} passed in {counts[name]} of {seeds}" for name in PLANTED if counts[name]]
    if broken:
        sys.exit("; ".join(broken))


if __name__ == "__main__":
    main()
