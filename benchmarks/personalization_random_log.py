"""What 300,000 rows dealt uniformly at random allow, without a logging policy to learn from.

The same items and log size as `personalization_ppo.py`; the argmax of the fitted response, which
PPO can only reach, as a share of the argmax of the true one; and what the same rows would teach
whoever knew the generator's own deviations of items and tastes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from benchmarks.personalization_ppo import ROWS, calibrated, judged, true_visitors
from benchmarks.report import write_result
from envs.personalization.generator import PRESETS, Truth, truth_of
from envs.personalization.model import RewardModel, SoftmaxPolicy
from envs.personalization.response import fit_response, guess_of, sorted_rows
from envs.personalization.visits import Visits


def dealt_at_random(truth: Truth, seed: int) -> tuple[float, float]:
    """Shares that the argmax reaches: of the response fitted to a uniform log, the prior known."""
    items, size = truth.model.vector.shape[1:]
    uniform = SoftmaxPolicy(np.zeros(items), np.zeros((items, size)), 1.0)
    calibration, _ = calibrated(replace(truth, logging=uniform), seed)
    x, arena, order = true_visitors(truth, calibration, np.random.default_rng([seed, 33]))
    known = replace(arena, model=knowing_the_prior(truth, calibration.earlier.visits))
    fitted, prior = (
        judged(truth, x, world, order, [], seed)["argmax of the response in use"]
        for world in (arena, known)
    )
    return fitted, prior


def knowing_the_prior(truth: Truth, visits: Visits) -> RewardModel:
    """The response to the rows that train, shrunk by the generator's own deviations."""
    items, size = truth.model.vector.shape[1:]
    nothing = guess_of(
        np.zeros((items, 0)), SoftmaxPolicy(np.zeros(items), np.zeros((items, size)), 1.0)
    )
    rows = sorted_rows(visits.x, visits.item, visits.position, visits.reward, visits.weight)
    preset = truth.preset
    prior = replace(
        fit_response(rows, nothing, 1),
        item_sd=preset.item_sd,
        taste_sd=preset.interaction / np.sqrt(preset.context_size),
    )
    fitted = fit_response(rows, nothing, 1, prior, rounds=0)
    return RewardModel(
        fitted.bias(nothing)[None], fitted.vector(nothing)[None], fitted.position[None]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    seeds = range(1, arguments.seeds + 1)
    shares = [dealt_at_random(truth_of(PRESETS["default"], seed), seed) for seed in seeds]
    fitted, prior = zip(*shares, strict=True)
    print("argmax of the fitted response by item seed:", [round(share, 4) for share in fitted])
    print("knowing the generator's own prior:", [round(share, 4) for share in prior])
    config = {"rows": ROWS, "item_seeds": arguments.seeds}
    results = {"share_of_argmax": fitted, "share_knowing_the_prior": prior}
    write_result("personalization_random_log", config, results)


if __name__ == "__main__":
    main()
