"""PPO against the best tuned rule on iPinYou 1458, real traffic: `--data DIR`.

Train and test rows are cut, in row order, into pseudo-days of 48 equal-count slots (5 and 2). All
fitting and tuning sees the train rows only; the budget is the mean train pseudo-day's cost times c.
Score: expected clicks (the sum of the log's own pCTR over the impressions won) / R*, the linear
program of the same pseudo-day. The sample is one day of traffic, so hour-of-day and day-to-day
drift cannot be identified; it holds won impressions only, so prices end at the logged bids.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import write_result
from envs.bidding import DECISION
from envs.bidding.auctions import gather
from envs.bidding.days import Days
from envs.bidding.market import FittedMarket, Money, fit_market
from envs.bidding.response import Recalibration
from envs.bidding.world import BiddingSettings, BiddingWorld
from envs.core.log import read_log
from ppo_marketing.config import TrainingSection
from ppo_marketing.evaluation import ceiling_of, play, shares
from ppo_marketing.pipeline import calibrating, judging, learning

BUDGET_SHARES = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)
TRAIN_DAYS, TEST_DAYS = 5, 2
MONEY = Money(per_price_unit=1.0, per_click=1.0, bid_cap_cpm=300.0)
AS_LOGGED = Recalibration(np.zeros(1), np.zeros(1))  # the log's own pCTR is signal and value


def market_of(path: Path, days: int, seed: int) -> FittedMarket:
    """The market of one file, its rows cut into `days` pseudo-days."""
    rng = np.random.default_rng([seed, 1])
    with tempfile.TemporaryDirectory() as cache:
        log = read_log(
            path, DECISION.schema, cache=Path(cache),
            reader="ipinyou-sam", reader_options={"days": days},
        )  # fmt: skip
        auctions = gather(log, rng).auctions
    return fit_market(auctions, AS_LOGGED, AS_LOGGED, rng)


def compare(
    train: FittedMarket, test: Days, share: float, seed: int, training: TrainingSection
) -> dict[str, NDArray[np.float64]]:
    """Every actor's score on each test pseudo-day, `[days]`, at one budget."""
    rng = np.random.default_rng([seed, 2])
    history = train.own_days(MONEY)
    settings = BiddingSettings(tightness=(share,), bid_cap_cpm=300.0, currency="CNY fen")
    past = BiddingWorld.planned(history, history, settings)
    rules = tuple(rule.tuned(past, rng) for rule in DECISION.rules())
    settings = calibrating.anchored(DECISION, settings, rules)
    world = BiddingWorld.planned(train.draw_days(training.episodes, MONEY, rng), history, settings)
    fresh = replace(world, days=train.draw_days(training.validation_episodes, MONEY, rng))
    result = learning.learn(DECISION, world, fresh, training, seed)
    arena = replace(world, days=test)
    start = learning.untrained(arena, learning.ppo_config(DECISION, training), seed)
    contest = judging.Contest(result.best, start, rules, None, DECISION.do_nothing)
    ceiling = ceiling_of(arena, TEST_DAYS, seed, DECISION.ceiling)
    return {
        actor.name: shares(
            play(actor, arena, TEST_DAYS, seed, kind).kpis[DECISION.value_kpi], ceiling, "realised"
        )
        for actor, kind in contest.actors()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder ipinyou_sam")
    parser.add_argument("--campaign", default="1458")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    files = [arguments.data / f"{arguments.campaign}.{part}.txt.gz" for part in ("train", "test")]
    training = TrainingSection()
    train = market_of(files[0], TRAIN_DAYS, 0)
    test = market_of(files[1], TEST_DAYS, 0).own_days(MONEY)
    rules = [rule.name for rule in DECISION.rules()]
    results: dict[str, Any] = {}
    for share in BUDGET_SHARES:
        runs = [compare(train, test, share, seed, training) for seed in range(arguments.seeds)]
        score = {name: np.stack([run[name] for run in runs]) for name in runs[0]}
        best = max(rules, key=lambda name: float(score[name].mean()))
        gained = score["PPO"] - score["untrained start"]  # [seeds, days], paired
        label = f"1/{round(1 / share)}"
        results[label] = {
            "score": {name: round(float(values.mean()), 4) for name, values in score.items()},
            "best_tuned_rule": best,
            "ppo_minus_best_rule": round(float((score["PPO"] - score[best]).mean()), 4),
            "trained_minus_untrained": [[round(float(x), 4) for x in row] for row in gained],
        }
        row = results[label]
        print(
            f"c = {label:<5} PPO {row['score']['PPO']:.4f}  untrained "
            f"{row['score']['untrained start']:.4f}  {best} {row['score'][best]:.4f}  "
            f"PPO - best rule {row['ppo_minus_best_rule']:+.4f}"
        )
    config = {
        "campaign": arguments.campaign,
        "train_days": TRAIN_DAYS,
        "test_days": TEST_DAYS,
        "seeds": arguments.seeds,
        "training": training.model_dump(),
    }
    write_result("ipinyou_sam", config, results)


if __name__ == "__main__":
    main()
