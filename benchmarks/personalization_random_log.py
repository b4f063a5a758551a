"""What 300,000 rows dealt uniformly at random allow, without a logging policy to learn from.

The same items and log size as `personalization_ppo.py`; the argmax of the fitted response, which
PPO can only reach, as a share of the argmax of the true one.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from benchmarks.personalization_ppo import ROWS, calibrated, judged, true_visitors
from benchmarks.report import write_result
from envs.personalization.generator import PRESETS, Truth, truth_of
from envs.personalization.model import SoftmaxPolicy


def dealt_at_random(truth: Truth, seed: int) -> float:
    """The share that the argmax of the response fitted to a uniformly dealt log reaches."""
    items, size = truth.model.vector.shape[1:]
    uniform = SoftmaxPolicy(np.zeros(items), np.zeros((items, size)), 1.0)
    calibration, _ = calibrated(replace(truth, logging=uniform), seed)
    x, arena, order = true_visitors(truth, calibration, np.random.default_rng([seed, 33]))
    return judged(truth, x, arena, order, [], seed)["argmax of the response in use"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    seeds = range(1, arguments.seeds + 1)
    shares = [dealt_at_random(truth_of(PRESETS["default"], seed), seed) for seed in seeds]
    print("argmax of the fitted response by item seed:", [round(share, 4) for share in shares])
    config = {"rows": ROWS, "item_seeds": arguments.seeds}
    write_result("personalization_random_log", config, {"share_of_argmax": shares})


if __name__ == "__main__":
    main()
