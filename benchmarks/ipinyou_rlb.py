"""SS-MDP, MCPC, LIN and RLB on a campaign's auctions, as published by Cai et al. (WSDM 2017).

    python benchmarks/ipinyou_rlb.py --data DIR --campaign ID

Conventions, those of the published counts: T auctions an episode, the last one shorter but with a
whole budget; budget floor(c0 * T * mean training price) for each episode anew; a win on
bid >= price; bids in whole CPM, at most 300 and at most the budget left; the price law from the
training histogram with one count added to each price; the training click rate as the mean click
probability of RLB, SS-MDP and LIN.

LIN's base bid is, in this order: given with --lin-base; the authors' own, tuned on their whole
training log, from lin_base_bids.json; tuned here on the validation episodes in the authors' way.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.bidding.impression import (
    Bought,
    Episodes,
    cut_episodes,
    expected_click_bound,
    linear_rule,
    mcpc_rule,
    replay,
    rlb_rule,
    ss_mdp_rule,
    tune_base_bid,
)
from envs.bidding.impression_log import (
    CampaignLog,
    ImpressionLogError,
    Rows,
    Totals,
    read_campaign,
)
from envs.bidding.impression_value import Market, smoothed_price_pmf, solve

TIGHTNESS = tuple(Fraction(1, k) for k in (32, 16, 8, 4, 2))
BOOTSTRAP_DRAWS = 10_000
BAD_DATA = 3


def play(
    totals: Totals, episodes: Episodes, budgets: NDArray[np.int64], base_bids: NDArray[np.int64]
) -> dict[str, Bought]:
    """What each algorithm buys of E episodes at C budgets and base bids of LIN, [C, E]."""
    market = Market(smoothed_price_pmf(totals.price_count), totals.mean_ctr)
    cap = market.bid_cap_cpm
    purses = budgets[:, None]
    value = solve(market, episodes.click.shape[0], int(budgets.max()))
    return {
        "SS-MDP": replay(
            episodes, purses, (ss_mdp_rule(row, market) for row in value.descending())
        ),
        "MCPC": replay(episodes, purses, repeat(mcpc_rule(totals.cost_per_click_cpm, cap))),
        "LIN": replay(
            episodes, purses, repeat(linear_rule(base_bids[:, None], totals.mean_ctr, cap))
        ),
        "RLB": replay(episodes, purses, (rlb_rule(row, cap) for row in value.descending())),
    }


def paired_difference(
    better: NDArray[Any], worse: NDArray[Any], rng: np.random.Generator
) -> dict[str, float]:
    """Sum over episodes of better - worse, with a 95 % interval from resampling whole episodes."""
    difference = (better - worse).astype(np.float64)
    count = difference.size
    times = rng.multinomial(count, np.full(count, 1 / count), size=BOOTSTRAP_DRAWS)
    low, high = np.quantile(times @ difference, [0.025, 0.975])
    return {"difference": float(difference.sum()), "low": float(low), "high": float(high)}


def base_bids_for(
    log: CampaignLog, auctions: int, given: Mapping[Fraction, int]
) -> list[tuple[int, str]]:
    """LIN's base bid and where it comes from, one for each budget."""
    chosen = []
    for tightness in TIGHTNESS:
        if tightness in given:
            chosen.append((given[tightness], "given"))
        elif tightness in log.base_bid_cpm:
            chosen.append((log.base_bid_cpm[tightness], "published"))
        elif log.validation is not None:
            budget = log.totals.episode_budget_cpm(tightness, auctions)
            episodes = _episodes(log.validation, auctions)
            cap = log.totals.price_count.size - 1
            bid = tune_base_bid(episodes, budget, log.totals.mean_ctr, cap)
            chosen.append((bid, "tuned on validation"))
        else:
            raise ValueError(
                f"{log.campaign}: no base bid for LIN at c0 = {tightness}: give --lin-base "
                f"{tightness}=BID, or add the validation file to tune it on"
            )
    return chosen


def evaluate(
    log: CampaignLog,
    auctions: int,
    given: Mapping[Fraction, int],
    test_rows: int | None,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """All numbers of one campaign, as one JSON object."""
    rows = log.validation if log.test is None else log.test
    assert rows is not None, "read_campaign returns a validation or a test file"
    if log.test is not None and test_rows is not None:
        rows = Rows(rows.click[:test_rows], rows.price_cpm[:test_rows], rows.pctr[:test_rows])
    episodes = _episodes(rows, auctions)
    bids = base_bids_for(log, auctions, given)
    budgets = [log.totals.episode_budget_cpm(tightness, auctions) for tightness in TIGHTNESS]
    bought = play(log.totals, episodes, np.array(budgets), np.array([bid for bid, _ in bids]))
    return {
        "campaign": log.campaign,
        "evaluated_on": "validation" if log.test is None else "test",
        "auctions": rows.click.size,
        "clicks_offered": int(rows.click.sum()),
        "expected_clicks_offered": float(rows.pctr.sum()),
        "episodes": episodes.click.shape[1],
        "auctions_per_episode": auctions,
        "budgets": [
            {
                "c0": str(tightness),
                "budget_cpm": budgets[c],
                "lin_base_bid_cpm": bids[c][0],
                "lin_base_bid_from": bids[c][1],
                "expected_clicks_bound": float(expected_click_bound(episodes, budgets[c]).sum()),
                "algorithms": {name: _totals(result, c) for name, result in bought.items()},
                "rlb_minus_lin": {
                    "clicks": paired_difference(
                        bought["RLB"].clicks[c], bought["LIN"].clicks[c], rng
                    ),
                    "expected_clicks": paired_difference(
                        bought["RLB"].expected_clicks[c], bought["LIN"].expected_clicks[c], rng
                    ),
                },
            }
            for c, tightness in enumerate(TIGHTNESS)
        ],
    }


def _episodes(rows: Rows, auctions: int) -> Episodes:
    return cut_episodes(rows.click, rows.price_cpm, rows.pctr, auctions)


def _totals(bought: Bought, c: int) -> dict[str, float]:
    return {
        "clicks": int(bought.clicks[c].sum()),
        "impressions": int(bought.impressions[c].sum()),
        "cost_cpm": int(bought.cost_cpm[c].sum()),
        "expected_clicks": float(bought.expected_clicks[c].sum()),
    }


def table(result: Mapping[str, Any]) -> str:
    """The object of `evaluate` for people."""
    lines = [
        f"campaign {result['campaign']}: {result['auctions']:,} auctions, "
        f"{result['clicks_offered']:,} clicks, {result['expected_clicks_offered']:.1f} expected; "
        f"{result['episodes']:,} episodes of {result['auctions_per_episode']:,}"
    ]
    if result["evaluated_on"] == "validation":
        lines.append(
            "no test file: played on the validation episodes, which were chosen for their clicks "
            "and on which the click probabilities were fitted; compare with no published count"
        )
    lines.append(
        f"{'c0':>5} {'algorithm':<9} {'clicks':>7} {'impressions':>11} {'cost':>11} "
        f"{'expected clicks':>15} {'of bound':>8}"
    )
    for at in result["budgets"]:
        bound = at["expected_clicks_bound"] or float("nan")  # no budget, or no chance of a click
        for name, row in at["algorithms"].items():
            lines.append(
                f"{at['c0']:>5} {name:<9} {row['clicks']:>7,} {row['impressions']:>11,} "
                f"{row['cost_cpm']:>11,} {row['expected_clicks']:>15.1f} "
                f"{row['expected_clicks'] / bound:>8.1%}"
            )
        lines.append(
            f"{at['c0']:>5} bound on expected clicks {bound:.1f}; budget {at['budget_cpm']:,} an "
            f"episode; LIN's base bid {at['lin_base_bid_cpm']} ({at['lin_base_bid_from']})"
        )
        lines.extend(
            f"{'':>5} RLB - LIN, {what.replace('_', ' ')}: {gain['difference']:+.1f} "
            f"[{gain['low']:.1f}, {gain['high']:.1f}]"
            for what, gain in at["rlb_minus_lin"].items()
        )
    return "\n".join(lines)


def base_bid_option(text: str) -> dict[Fraction, int]:
    """`20` for every budget, or `1/8=20` for one; raises ValueError for anything else."""
    tightness, _, bid = text.rpartition("=")
    bid_cpm = int(bid)
    if bid_cpm < 1 or (tightness and Fraction(tightness) not in TIGHTNESS):
        raise ValueError(text)
    return {Fraction(tightness): bid_cpm} if tightness else dict.fromkeys(TIGHTNESS, bid_cpm)


def positive(text: str) -> int:
    """A whole number of 1 or more; raises ValueError for anything else."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def provenance() -> dict[str, Any]:
    """What else a reader needs to repeat the numbers."""
    head = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "commit": head.stdout.strip() if head.returncode == 0 else None,
        "machine": {"architecture": platform.machine(), "cores": os.cpu_count()},
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="folder of the campaigns")
    options.add_argument("--campaign", nargs="+", required=True, metavar="ID")
    options.add_argument(
        "--n0", type=positive, default=1000, help="auctions of an episode (T); default 1000"
    )
    options.add_argument(
        "--lin-base",
        type=base_bid_option,
        nargs="+",
        default=[],
        metavar="[C0=]BID",
        help="LIN's base bid in whole CPM, for every budget or for one: 20, 1/8=20",
    )
    options.add_argument(
        "--test-rows",
        type=positive,
        help="only so many rows of the test file; the published table stops at 350000",
    )
    options.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_argument("--out", type=Path, help="also write the JSON object to this file")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    given: dict[Fraction, int] = {}
    for option in args.lin_base:
        given.update(option)
    rng = np.random.default_rng(args.seed)
    try:
        results = [
            evaluate(read_campaign(args.data, campaign), args.n0, given, args.test_rows, rng)
            for campaign in args.campaign
        ]
    except (ImpressionLogError, ValueError) as error:
        print(error, file=sys.stderr)
        return BAD_DATA
    config = {
        "campaigns": args.campaign,
        "auctions_per_episode": args.n0,
        "lin_base_given": {str(tightness): bid for tightness, bid in given.items()},
        "test_rows": args.test_rows,
        "bootstrap_draws": BOOTSTRAP_DRAWS,
    }
    document = {"config": config, "seed": args.seed, **provenance(), "results": results}
    if args.out:
        args.out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document) if args.json else "\n\n".join(table(result) for result in results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
