"""Which algorithm is best at each decision, and does asking take less than half an hour?

    ppo-marketing compare DECISION

as a user would call it: every algorithm that fits, three seeds, 1,000,000 steps of each on-policy
training and 100,000 of each off-policy one, on the built-in sample, each decision in an empty
folder. The bar is on the time of the whole command. A decision's comparison is kept as soon as it
is done; interrupted, that decision begins again, so that its time is of one command.

Writes results/comparisons.json. An hour and more, with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.cells import cells_of
from benchmarks.report import write_result
from envs import decision_names

NAME = "comparisons"
LIMIT_S = 1800
KEPT = (
    "form", "steps", "share", "shares", "largest_drop", "largest_kl", "mean_kl", "clip_fraction",
    "entropy", "forbidden_share", "cpu_seconds", "failures",
)  # fmt: skip
"""What is kept of a competitor; settings are in the documentation of `compare`."""
DEPENDS_ON = ("ppo_marketing", "envs")


def asked(decision: str, options: argparse.Namespace) -> list[str]:
    """The command line, without where its results go."""
    steps = ["--steps", options.steps, "--off-policy-steps", options.off_policy_steps]
    return ["compare", decision, "--seeds", str(options.seeds), *map(str, steps)]


def compared(words: list[str]) -> dict[str, Any]:
    """Run the command in an empty folder; how long it took and what it found."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PPO_MARKETING_")}
    variables.pop("MLFLOW_TRACKING_URI", None)
    with tempfile.TemporaryDirectory() as place:
        config = Path(place) / "config.yaml"
        config.write_text(f"project: {place}\n", encoding="utf-8")
        command = [sys.executable, "-m", "ppo_marketing", *words, "--json"]
        began = time.perf_counter()
        said = subprocess.run(
            [*command, "--config", config, "--output", Path(place) / "comparison"],
            stdout=subprocess.PIPE, text=True, check=True, env=variables,
        ).stdout  # fmt: skip
        seconds = time.perf_counter() - began
    return {"seconds": round(seconds, 1), **summary_of(json.loads(said))}


def summary_of(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison without curves and settings: algorithms, and the rules beside them."""
    evidence = comparison["evidence"]
    return {
        "algorithms": {
            one["label"]: {name: one[name] for name in KEPT} for one in comparison["competitors"]
        },
        "rows": {
            row["name"]: {
                "share_of_ceiling": row["share_of_ceiling"],
                "lift_of_the_first": row["policy_lift"],
            }
            for row in evidence["rows"]
        },
        "best_rule": evidence["best_rule"],
        "episodes": evidence["episodes"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    decisions = list(decision_names())
    parser.add_argument("--only", nargs="+", choices=decisions, default=decisions)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--off-policy-steps", type=int, default=100_000)
    parser.add_argument("--again", action="store_true", help="measure anew what is kept")
    parser.add_argument("--name", default=NAME, help="of the results file")
    options = parser.parse_args()
    cells = cells_of(options.name, DEPENDS_ON, again=options.again)
    found: dict[str, Any] = {}
    for decision in options.only:
        words = asked(decision, options)
        found[decision] = cells.measured(decision, {"words": words}, partial(compared, words))
        print(f"{decision}: {found[decision]['seconds']} s", flush=True)
        for label, row in found[decision]["algorithms"].items():
            share = "diverged" if row["share"] is None else f"{row['share']['value']:.4f}"
            print(f"  {label}: {share}, {row['cpu_seconds']:.0f} CPU s")
        config = {key: vars(options)[key] for key in ("seeds", "steps", "off_policy_steps")}
        write_result(options.name, {**config, "limit_seconds": LIMIT_S}, found)
    late = [decision for decision, row in found.items() if row["seconds"] > LIMIT_S]
    if late:
        sys.exit(f"took more than {LIMIT_S} s: {', '.join(late)}")


if __name__ == "__main__":
    main()
