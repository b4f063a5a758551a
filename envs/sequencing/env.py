"""`marketing/Sequencing-v0`: spaces, observation, reward, ends; the environment's documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from envs.core.env import WorldEnv
from envs.core.vector import WorldVectorEnv
from envs.sequencing.budgets import priced
from envs.sequencing.generator import CURRENCY, MENU, true_tables
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.world import SequencingWorld


class SequencingEnv(WorldEnv):
    """Which contact to which customer in which week, or none.

    ## Description
    One episode is one customer's contact programme in weekly steps. A purchase becomes likely or
    not with the weeks since the last one, the frequency of purchases and what the team does;
    contacts help, but wear out (fatigue builds up with every one and fades), and may make the
    customer withdraw consent for good. The response is a set of look-up tables
    (`envs/sequencing/tables.py`), calibrated from a log, or those of the built-in generator: 520
    states whose optimum is known exactly.

    ## Action Space
    `Discrete(1 + contacts)`: 0 is no contact, the others the menu's channel x offer; in the
    generator e-mail, e-mail with coupon, letter. `info["action_mask"]` says what consent, frequency
    caps, quiet weeks and capacity allow; an action that is not allowed becomes no contact. A
    channel's shared budget is a price here, not a mask: only a list of many customers is cut at it.

    ## Observation Space
    `Box(0, 1, (n,), float32)`, known before the decision, in this order:

    | part | size |
    |---|---|
    | weeks since the last purchase, one indicator a bin | R |
    | frequency of purchases, one indicator a bin | F |
    | for each channel: fatigue, one indicator a bin | bins of the channel |
    | for each channel: consent; allowed now; weeks since its last contact / 8 (*) | 3 |
    | share of the horizon left (0 where the horizon is only a cut) | 1 |
    | purchases still to be paid / 4, at most 1 | 1 |

    (*) at most 1; 0 for a channel whose cap, if any, does not reach back beyond the week.

    ## Rewards
    Margin paid in the week less the cost of the contact (and the price of its channel's shared
    budget, where there is one), divided by what an average customer is worth in a year without
    contacts. Margin is the chance of a purchase x its expected
    margin after the offer, booked when it is paid; `pay="realised"` pays drawn purchases instead.
    With `end="terminal value"` the last week adds what the customer is worth over the next 52
    weeks, contacted on at a cadence as far as consent allows (`envs/sequencing/terminal.py`), so
    that neither the list nor its consent is burnt at the end. The discount (.99 a week) is the
    learner's to apply; the KPI `value` is discounted.

    ## Starting State
    A customer as the log (or the generator) has them: recency, frequency, fatigue, consent.

    ## Episode End
    After `horizon_weeks` (52). With `end="terminal value"` or `"nothing"` that is a termination,
    and the time left is observed; with `end="truncated"` a truncation, to be bootstrapped, in an
    endless problem. Withdrawn consent ends no episode: the customer still buys.

    ## Calibrated from
    A log of events (`envs/sequencing/log.py`), by `envs/sequencing/fit.py`; or, with `preset`, the
    built-in generator (`envs/sequencing/generator.py`).

    ## Not modelled
    Seasons and holidays; customers who influence each other; new customers joining; more than one
    contact a week; the time within a week; what competitors send; products and content.

    ## Version History
    * v0: first version.
    """

    @staticmethod
    def world_of(**options: Any) -> SequencingWorld:
        """As `make_world` says."""
        return make_world(**options)


class SequencingVectorEnv(WorldVectorEnv):
    """`marketing/Sequencing-v0` for many customers at once; see `SequencingEnv`."""

    world_of = staticmethod(SequencingEnv.world_of)


def make_world(
    *,
    calibration: str | Path | None = None,
    preset: str = "default",
    days: int = 1024,
    world_seed: int = 0,
    **settings: Any,
) -> SequencingWorld:
    """A world of `days` customers from a saved calibration, or from the generator's `preset`.

    `settings` are the fields of `SequencingSettings`.
    """
    rng = np.random.default_rng(world_seed)
    if calibration is not None:
        # Calibrating pulls in more than the generator's own world needs.
        from envs.core.settings import load_settings
        from envs.sequencing.fit import SequencingCalibration

        folder = Path(calibration)
        changed = load_settings(folder, SequencingSettings, **settings)
        return SequencingCalibration.load(folder).training_world(days, changed, rng)
    return true_world(preset, days, SequencingSettings(**sample_settings(settings)), rng)


def sample_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The given settings over those of the built-in sample: an endless problem without caps.

    260 weeks are played, the rest is the uncontacted worth: the table of evidence then shows
    MODELLING 6.2's values to within 2 %.
    """
    return {
        "currency": CURRENCY,
        "end": "truncated",
        "horizon_weeks": 260,
        "terminal_weeks": 1040,
        "caps": {},
        **settings,
    }


def true_world(
    preset: str, days: int, settings: SequencingSettings, rng: np.random.Generator
) -> SequencingWorld:
    """The generator's own world: `days` fresh customers."""
    tables = true_tables(preset)
    return SequencingWorld.drawn(MENU, tables, days, priced(MENU, tables, settings), rng)
