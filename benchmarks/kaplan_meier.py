"""Kaplan-Meier against prices kept aside: KS on the identifiable range, beside winners only.

A log of 28 generated days wins about 35 % of its auctions; its lost prices are known here but not
in the log. Three estimates of the price distribution are held against all true prices, up to the
largest bid: Kaplan-Meier on the price grid in bands of the click probability (bids follow it),
Kaplan-Meier without bands, and the prices of won auctions alone.

    python -m benchmarks.kaplan_meier
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import write_result
from envs.bidding.generator import BID_CAP_CPM, PRESETS, GeneratedLog, generate_log
from envs.bidding.landscape import band_edges, kaplan_meier, shrunk_survival

DAYS = 28
SEEDS = 10
LIMIT = 0.02


def price_cdf(
    log: GeneratedLog, bands: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """F at every whole price: the bands' mean law, and the pooled law without bands."""
    grid = int(BID_CAP_CPM) + 1
    won = log.table["won"].to_numpy().astype(bool)
    band = np.searchsorted(bands, log.table["pctr"].to_numpy(), side="right")
    bid = log.table["bid_cpm"].to_numpy()
    # A loss has survived every whole price up to its bid.
    index = np.where(won, log.true_price_cpm, np.floor(bid)).astype(np.int64)
    count = len(bands) + 1
    wins, survivals = (
        np.bincount(band[rows] * grid + index[rows], minlength=count * grid)
        .reshape(1, count, grid)
        .astype(np.float64)
        for rows in (won, ~won)
    )
    by_band = shrunk_survival(wins, survivals)
    share = np.bincount(band, minlength=count) / len(band)
    pooled, _ = kaplan_meier(wins.sum(axis=(0, 1)), survivals.sum(axis=(0, 1)))
    return 1 - share @ by_band, 1 - pooled


def measure(preset: str, seed: int) -> dict[str, Any]:
    """KS distances of one generated log."""
    log = generate_log(PRESETS[preset], DAYS, np.random.default_rng(seed))
    won = log.table["won"].to_numpy().astype(bool)
    grid = np.arange(int(BID_CAP_CPM) + 1)

    def empirical(price: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.searchsorted(np.sort(price), grid, side="right") / len(price)

    truth = empirical(log.true_price_cpm)
    banded, pooled = price_cdf(log, band_edges(log.table["pctr"].to_numpy()))
    estimates = {
        "kaplan_meier": banded,
        "kaplan_meier_without_bands": pooled,
        "winners_only": empirical(log.true_price_cpm[won]),
    }
    distances = {name: float(np.abs(cdf - truth).max()) for name, cdf in estimates.items()}
    return {"seed": seed, "win_rate": float(won.mean()), **distances}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    seeds = parser.parse_args().seeds
    results = {
        preset: [measure(preset, seed) for seed in range(seeds)] for preset in ("default", "shock")
    }
    for preset, rows in results.items():
        print(preset)
        for row in rows:
            print("  ", "  ".join(f"{name} {value:.4g}" for name, value in row.items()))
    write_result("kaplan_meier", {"days": DAYS, "seeds": seeds, "limit": LIMIT}, results)
    worst = max(row["kaplan_meier"] for row in results["default"])
    if worst > LIMIT:
        sys.exit(f"Kaplan-Meier is off by {worst:.3f}, more than {LIMIT}")


if __name__ == "__main__":
    main()
