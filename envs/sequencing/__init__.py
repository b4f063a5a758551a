"""Sequencing: which contact to which customer when, or none. The card of this decision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.decision import Calibration, Decision, Kpi, Ratio, Rule
from envs.sequencing.decision_table import decision_table
from envs.sequencing.env import sample_settings, true_world
from envs.sequencing.generator import PRESETS
from envs.sequencing.kernel import SequencingState
from envs.sequencing.live_form import live_form
from envs.sequencing.log import EVENTS
from envs.sequencing.rules import do_nothing, logging_choices, logging_rule, rules
from envs.sequencing.scenario import SequencingScenario
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.words import words
from envs.sequencing.world import SequencingWorld

if TYPE_CHECKING:
    import pyarrow as pa

    from envs.core.log import LogTable

# Fitting pulls in scikit-learn, generating a log Arrow: neither is waited for by a help page.


def _generate(preset: str, weeks: int, rng: Generator) -> pa.Table:
    from envs.sequencing.generated_log import generate_log

    return generate_log(preset, weeks, rng)


def _fit(log: LogTable, settings: SequencingSettings, rng: Generator) -> Calibration:
    from envs.sequencing.fit import fit

    return fit(log, settings, rng)


def _settle(log: LogTable, settings: SequencingSettings) -> SequencingSettings:
    from envs.sequencing.fit import settle

    return settle(log, settings)


def _load(folder: Path) -> Calibration:
    from envs.sequencing.fit import SequencingCalibration

    return SequencingCalibration.load(folder)


def _ceiling(world: SequencingWorld, state: SequencingState) -> NDArray[np.float64]:
    """The optimal policy's expected value from every customer's start, `[n]` currency."""
    return world.ceiling(state)


def _anchored(settings: SequencingSettings, tuned: Sequence[Rule[Any]]) -> SequencingSettings:
    """The settings as they are: action 0 is no contact, not a residual on a rule."""
    return settings


DECISION = Decision(
    name="sequencing",
    title="Sequencing",
    question="Which contact should each customer get this week, if any, so that the list keeps "
    "earning?",
    env_id="marketing/Sequencing-v0",
    schema=EVENTS,
    presets=tuple(PRESETS),
    sample_period="weeks",
    generate=_generate,
    true_world=true_world,
    sample_settings=lambda: SequencingSettings(**sample_settings({})),
    fit=_fit,
    load_calibration=_load,
    settings_type=SequencingSettings,
    settle=_settle,
    anchored=_anchored,
    ppo={
        # Measured on the generator, two seeds each of 2,000,000 steps: 99.0 and 99.5 % of V*;
        # lambda .95 98.8 and 98.6 %. Twice the steps gain half a point. What a study of 40 short
        # trials chose is no better at full length (benchmarks/results/tuning_studies.json).
        "gae_lambda": 0.9,
        "rollout_steps": 16,
        "minibatch_size": 2048,
        "learning_rate": 2e-3,
        "entropy_coefficient": 0.01,
        "normalise_observations": False,  # indicators: rare ones would be blown up
        "reward_scale": 2.0,  # a customer for good is worth about 3
    },
    run_defaults={
        "log": {"days": 26},  # of the sample's periods: weeks
        "training": {
            "total_steps": 2_000_000,
            "copies": 1024,
            "episodes": 20_000,
            "validation_episodes": 2000,
        },
        "evaluation": {"episodes": 4000},
    },
    episode="customer",
    step="week",
    scenario_type=SequencingScenario,
    spend_knob="capacity",
    words=words,
    rules=rules,
    logging_rule=logging_rule,
    logging_choices=logging_choices,
    do_nothing=do_nothing,
    ceiling=_ceiling,
    ceiling_kind="expected",
    value_kpi="value",
    event_kpi="purchases",
    spend_kpi="contact_cost",
    value_after_spend=True,
    kpis=(
        Kpi(
            "value",
            "Value",
            "currency",
            "discounted margin after offers less the cost of contacts (and the price of shared "
            "budgets), and what the customer is worth after the horizon",
        ),
        Kpi("margin", "Margin", "currency", "expected margin after offers, when it is paid"),
        Kpi("contact_cost", "Cost of contacts", "currency", "what the contacts cost"),
        Kpi("contacts", "Contacts", "contacts", "contacts made"),
        Kpi(
            "purchases",
            "Purchases",
            "purchases",
            "realised purchases: they confirm, they do not judge",
        ),
        Kpi("unsubscribes", "Unsubscribes", "customers", "withdrawals of consent to a channel"),
    ),
    ratios=(
        Ratio("Margin per contact", "margin", "contacts", "currency", "margin / contacts"),
        Ratio("Unsubscribes per contact", "unsubscribes", "contacts", "", "withdrawals / contacts"),
        Ratio("Contacts per purchase", "contacts", "purchases", "", "contacts / purchases"),
    ),
    limitable=("contact_cost", "contacts", "purchases", "unsubscribes"),
    limit_instead="value and margin are what training is for: limit what earning them takes",
    attribution_days=30,
    decision_table=decision_table,
    live_form=live_form,
)
