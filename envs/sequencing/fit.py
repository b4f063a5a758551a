"""From a customer event log to calibrated customers with their fidelity report.

Customers are split, and time is, before anything is estimated. The earlier part is three fifths of
the customers in the first two thirds of the weeks; it trains and tunes. The later part is the other
customers over all weeks: none of it was seen in training, and what it is seen through (menu, costs,
classes of frequency, decay of fatigue, estimated propensities) comes from the earlier part. The
fidelity report asks how well the first foretells the second.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.calibration_folder import CalibrationError
from envs.core.log import LogTable
from envs.sequencing.calibration import SequencingCalibration
from envs.sequencing.events import read_events
from envs.sequencing.fidelity import judge_simulator
from envs.sequencing.gathering import gather_events
from envs.sequencing.heads import response_heads
from envs.sequencing.held_out import (
    held_out,
    state_counts,
)
from envs.sequencing.identification import identified, verdict_on
from envs.sequencing.members import fit_tables, likelihood
from envs.sequencing.notes import base_rhythm, effects_note, part_notes, support_note
from envs.sequencing.panel import Gathered, Panel
from envs.sequencing.propensity import (
    chance_of_taken,
    cross_fitted,
    estimated_policy,
    stabilised_weights,
    support_of_trying_all,
)
from envs.sequencing.settings import SequencingSettings

__all__ = ["CalibrationError", "SequencingCalibration", "fit", "settle"]

MEMBERS = 5
TRAINING_CUSTOMERS = 0.6
TRAINING_WEEKS = 2 / 3
LEAST_PURCHASES = 100
"""With fewer purchase weeks in a part not even their rate is known to within a tenth."""

_TIRING = (0.3, 0.5, 0.7, 0.85)  # decays of fatigue a week that are tried, where none is logged


def fit(log: LogTable, settings: SequencingSettings, rng: Generator) -> SequencingCalibration:
    """Calibrate customers to a log and check them on customers and weeks not seen.

    Raises:
        CalibrationError: the log cannot be calibrated; the message says what it needs.
    """
    gathered = _gathered(log, rng)
    panel, menu, split = gathered.panel, gathered.menu, gathered.split
    mine = gathered.fitted[panel.customer]
    earlier, later = gathered.learned_from, panel.where(~mine)
    _refuse_unfit(earlier, later, split)

    policy = estimated_policy(earlier, menu.channel, np.ones(earlier.rows))
    logged = bool(np.isfinite(panel.propensity[panel.action >= 0]).all())
    # Of the later part, whose customers the policy was not fitted to, it foretells the decisions.
    estimates = (
        (earlier.propensity, later.propensity)
        if logged
        else (cross_fitted(earlier, menu.channel, rng), chance_of_taken(policy, later))
    )
    propensity, later_propensity = (
        _bounded(part, chance) for part, chance in zip((earlier, later), estimates, strict=True)
    )
    effects = identified(panel, earlier, policy, menu, logged)
    # Both parts start where the log's customers stood when the later weeks began.
    today = panel.week == split
    tables = {
        name: fit_tables(
            part, gathered, panel.where(today & of),
            stabilised_weights(part, menu.channel, chance), MEMBERS, rng,
        )
        for name, part, chance, of in (
            ("earlier", earlier, propensity, mine), ("later", later, later_propensity, ~mine),
        )
    }  # fmt: skip
    responses = response_heads(earlier, menu.channel)
    judged = judge_simulator(
        tables["earlier"], menu, later, split, policy, responses, rng,
        propensity=later_propensity,
        randomised=[a for a, known in enumerate(effects, 1) if known == "randomised"],
    )  # fmt: skip
    support = support_of_trying_all(earlier, menu.channel, propensity)
    verdict = verdict_on(effects, menu, logged)
    base = base_rhythm(gathered)
    return SequencingCalibration(
        menu=menu,
        earlier=tables["earlier"],
        later=tables["later"],
        fidelity=judged.report,
        data_sha256=log.sha256,
        notes=(
            verdict,
            support_note(support),
            effects_note(menu, effects),
            *(note for note in log.notes if not note.startswith("consent_")),
            *gathered.notes,
            *part_notes(gathered, later, base),
            *judged.notes,
        ),
        judged_from=gathered.day_of(split),
        logging_propensity=policy,
        responses=responses,
        effects=effects,
        propensities="logged" if logged else "estimated",
        verdict=verdict,
        support=support,
        base=base,
        decisions=held_out(later, later_propensity),
        seen=state_counts(earlier, len(menu.labels)),
    )


def settle(log: LogTable, settings: SequencingSettings) -> SequencingSettings:
    """The settings as they are: costs and margins come with the tables, from the log."""
    return settings


def _gathered(log: LogTable, rng: Generator) -> Gathered:
    """The panel; where fatigue is not logged, with the decay under which purchases fit best.

    Which customers are learned from is drawn first.
    """
    notes: list[str] = []
    events = read_events(log, notes)
    fitted = rng.random(events.customers) < TRAINING_CUSTOMERS

    def gathered(decay: float) -> Gathered:
        return gather_events(events, fitted, TRAINING_WEEKS, decay=decay, notes=notes)

    first = gathered(_TIRING[0])
    if np.isnan(first.decay):
        return first
    tried = [first, *(gathered(decay) for decay in _TIRING[1:])]
    return max(tried, key=lambda one: likelihood(one.learned_from, one.menu.channel))


def _refuse_unfit(earlier: Panel, later: Panel, split: int) -> None:
    problems = [
        f"the {name} part has {int(part.purchase.sum())} customer-weeks with a purchase in "
        f"{part.rows:,}: at least {LEAST_PURCHASES} are needed. Use a longer log or more customers"
        for name, part in (("earlier", earlier), ("later", later))
        if part.purchase.sum() < LEAST_PURCHASES
    ]
    if not (later.week == split).any():
        problems.append(
            f"no held-out customer is watched in week {split + 1}, where the later weeks begin. "
            "Use a log of customers who stay"
        )
    if problems:
        raise CalibrationError("; ".join(problems))


def _bounded(panel: Panel, chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chances of decisions, away from 0; as they are where the action is not on the menu."""
    return np.where(panel.action >= 0, np.maximum(chance, 1e-3), panel.propensity)
