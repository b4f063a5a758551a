"""The card of bidding: how much for an ad impression under a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.bidding.decision_table import decision_table
from envs.bidding.env import sample_settings, true_world
from envs.bidding.fit import BiddingCalibration, fit, settle
from envs.bidding.generator import PRESETS, generate_log
from envs.bidding.live_form import live_form
from envs.bidding.log import AUCTIONS
from envs.bidding.oracle import solve
from envs.bidding.rules import PowerPacing, do_nothing, logging_rule, rules
from envs.bidding.scenario import BiddingScenario
from envs.bidding.state import BiddingState
from envs.bidding.words import words
from envs.bidding.world import BiddingSettings, BiddingWorld, training_settings
from envs.core.decision import Decision, Kpi, Ratio, Rule

if TYPE_CHECKING:
    import pyarrow as pa


def _generate(preset: str, days: int, rng: Generator) -> pa.Table:
    return generate_log(PRESETS[preset], days, rng).table


def _ceiling(world: BiddingWorld, state: BiddingState) -> NDArray[np.float64]:
    """The linear program of every episode's day at its budget level, `[n]` currency."""
    value = np.stack(
        [
            solve(world.days, float(budget), world.terms.cost_per_value_limit).value
            for budget in world.terms.budget
        ]
    )
    return np.asarray(value[state.level, state.day])


def _anchored(settings: BiddingSettings, tuned: Sequence[Rule[Any]]) -> BiddingSettings:
    """Put the agent's action 0 on the tuned power-pacing rule, the strongest closed-form one."""
    pacing = next(rule for rule in tuned if isinstance(rule, PowerPacing))
    gains = [gain for gain in pacing.chosen.values() if gain is not None]
    return replace(settings, gain=float(np.mean(gains))) if gains else settings


DECISION = Decision(
    name="bidding",
    title="Bidding",
    episode="day",
    step="half-hour",
    question="How much to bid for each ad impression, so that a day's budget buys the most value?",
    env_id="marketing/Bidding-v0",
    schema=AUCTIONS,
    presets=tuple(PRESETS),
    generate=_generate,
    true_world=true_world,
    sample_settings=lambda: BiddingSettings(**sample_settings({})),
    fit=fit,
    load_calibration=BiddingCalibration.load,
    settings_type=BiddingSettings,
    settle=settle,
    training_settings=training_settings,
    anchored=_anchored,
    # Measured on the shock preset, 600,000 steps: the untrained start 0, these 42 % of the best
    # rule's gap closed; without regret rewards training only got worse (docs/adr/0004).
    ppo={
        # What a study of 40 trials chose is no better: benchmarks/results/tuning_studies.json.
        "gamma": 1.0,  # a day is one budget: its last hour is worth what its first is
        "gae_lambda": 0.9,  # regrets are nearly immediate
        "reward_scale": 100.0,  # one decision's regret is about a hundredth of a day's value
        "entropy_coefficient": 0.0,
        # Shares and log ratios, of order one already: measuring them costs the first rollout, and
        # the first updates were slower for it (docs/throughput.md).
        "normalise_observations": False,
        "log_std_initial": -1.5,  # explore a fifth of the range around the rule
    },
    scenario_type=BiddingScenario,
    spend_knob="budget",
    words=words,
    rules=rules,
    logging_rule=logging_rule,
    do_nothing=do_nothing,
    ceiling=_ceiling,
    ceiling_kind="realised",
    value_kpi="objective",
    event_kpi="clicks",
    spend_kpi="spend",
    kpis=(
        Kpi("impressions", "Impressions on offer", "", "auctions that the campaign could enter"),
        Kpi("wins", "Impressions won", "", "auctions won"),
        Kpi("spend", "Spend", "currency", "what the won impressions cost"),
        Kpi("value", "Value", "currency", "calibrated expected clicks x the value of a click"),
        Kpi("clicks", "Clicks", "clicks", "realised clicks: they confirm, they do not judge"),
        Kpi("budget", "Budget", "currency", "what the day may spend, counted in its first slot"),
        Kpi("objective", "Net value", "currency", "value, less where a target CPA was missed"),
    ),
    ratios=(
        Ratio("Win rate", "wins", "impressions", "", "impressions won / impressions on offer"),
        Ratio("Budget use", "spend", "budget", "", "spend / budget"),
        Ratio("Spend per value", "spend", "value", "", "currency spent per currency of value"),
        Ratio("Cost per click", "spend", "clicks", "currency", "spend / realised clicks"),
    ),
    limit_instead="the pacing under the policy spends the day's budget whatever the policy says, "
    "and no price changes that: to spend less, lower environment.budget; to pay less for a click, "
    "set environment.target_cpa",
    decision_table=decision_table,
    live_form=live_form,
)
