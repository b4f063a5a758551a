"""Personalization: which item to show to whom. The card of this decision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.random import Generator

from envs.core.decision import Calibration, Decision, Kpi, Ratio, Rule
from envs.personalization.generator import PRESETS, truth_of
from envs.personalization.live_form import live_form
from envs.personalization.log import VISITS
from envs.personalization.oracle import ceiling
from envs.personalization.rules import Uniform, logging_choices, logging_rule, rules
from envs.personalization.scenario import PersonalizationScenario
from envs.personalization.settings import PersonalizationSettings
from envs.personalization.truth import sample_settings, true_world
from envs.personalization.words import words

if TYPE_CHECKING:
    import pyarrow as pa

    from envs.core.log import LogTable
    from envs.core.one_step import OneStepRows


def _generate(preset: str, days: int, rng: Generator) -> pa.Table:
    from envs.personalization.sample_log import generate_log

    return generate_log(truth_of(PRESETS[preset]), days, rng)


# Calibrating pulls in Arrow and SciPy, which the command line's help should not wait for.
def _fit(log: LogTable, settings: PersonalizationSettings, rng: Generator) -> Calibration:
    from envs.personalization.fit import fit

    return fit(log, settings, rng)


def _load_calibration(folder: Path) -> Calibration:
    from envs.personalization.fit import PersonalizationCalibration

    return PersonalizationCalibration.load(folder)


def _settle(log: LogTable, settings: PersonalizationSettings) -> PersonalizationSettings:
    from envs.personalization.fit import settle

    return settle(log, settings)


def _one_step(log: LogTable) -> OneStepRows:
    from envs.personalization.one_step import one_step_rows

    return one_step_rows(log)


def _anchored(
    settings: PersonalizationSettings, tuned: Sequence[Rule[Any]]
) -> PersonalizationSettings:
    """Unchanged: actions are items themselves, and the untrained start knows none from another."""
    return settings


DECISION = Decision(
    name="personalization",
    title="Personalization",
    question="Which item to show to each visitor, so that the most of them respond?",
    env_id="marketing/Personalization-v0",
    schema=VISITS,
    presets=tuple(PRESETS),
    generate=_generate,
    true_world=true_world,
    sample_settings=lambda: PersonalizationSettings(**sample_settings({})),
    fit=_fit,
    load_calibration=_load_calibration,
    settings_type=PersonalizationSettings,
    settle=_settle,
    anchored=_anchored,
    ppo={
        # Chosen by a study of 40 trials and, trained at full length, ahead of what was shipped
        # before on every one of five seeds (.9991 of the argmax for .9983):
        # benchmarks/results/tuning_studies.json.
        "rollout_steps": 64,
        "minibatch_size": 256,
        "epochs": 9,
        "learning_rate": 1.2e-3,
        "gae_lambda": 0.56,
        "entropy_coefficient": 0.0285,
        "trust_region": {"kind": "clip", "low": 0.124, "high": 0.124},
        "gamma": 1.0,  # leaving is the only discount of a session
        "normalise_observations": False,  # contexts are standardised by the calibration
    },
    run_defaults={
        # Visits reach 99.8 % of the argmax in 60,000 decisions, sessions V* in 200,000.
        "training": {
            "total_steps": 250_000,
            "copies": 256,
            "episodes": 20_000,
            "validation_episodes": 4_000,
            "validate_every": 2,
        },
        "evaluation": {"episodes": 20_000},
    },
    # An episode is a visitor: one page, or a session of pages, or days of them.
    episode="visitor",
    step="item",
    scenario_type=PersonalizationScenario,
    words=words,
    rules=rules,
    logging_rule=logging_rule,
    logging_choices=logging_choices,
    do_nothing=Uniform(),
    ceiling=ceiling,
    # A ratio of means is what the literature reports; one visitor's share would weigh the
    # visitors whom nothing interests as much as the others.
    ceiling_kind="expected",
    value_kpi="value",
    event_kpi="clicks",
    kpis=(
        Kpi("visits", "Visitors", "", "visitors who came"),
        Kpi("impressions", "Items shown", "", "items that visitors were shown"),
        Kpi("value", "Expected value", "currency", "expected rewards x the value of one"),
        Kpi("clicks", "Realised", "clicks", "realised reward events: they confirm, not judge"),
    ),
    ratios=(
        Ratio("Click rate", "clicks", "impressions", "", "realised reward events / items shown"),
        Ratio("Value per item", "value", "impressions", "currency", "value / items shown"),
        Ratio("Items per visitor", "impressions", "visits", "", "items shown / visitors"),
    ),
    limitable=("impressions", "clicks"),
    limit_instead="visitors come whatever they are shown, and value is what training is for: limit "
    "what is shown",
    one_step=_one_step,
    live_form=live_form,
)
