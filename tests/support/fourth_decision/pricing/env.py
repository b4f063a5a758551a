"""`marketing/Pricing-v0`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from envs.core.env import WorldEnv
from envs.core.settings import load_settings
from envs.core.vector import WorldVectorEnv

from .fit import PricingCalibration
from .generator import true_world
from .world import PricingSettings, PricingWorld


class PricingEnv(WorldEnv):
    """One price for each customer of a day.

    ## Description
    Six customers come, one after the other.

    ## Action Space
    `Discrete(4)`: the prices 1, 2, 3, 4; new customers are never offered the last.

    ## Observation Space
    `Box(0, 1, (2,), float32)`: whether the customer is a regular, the share of the day left.

    ## Rewards
    The expected margin of the offer, in currency.

    ## Starting State
    The morning of a drawn day.

    ## Episode End
    After the last customer: a termination.

    ## Calibrated from
    A log of offers, by counting.

    ## Not modelled
    Customers who come back because of a price.

    ## Version History
    * v0: first version.
    """

    @staticmethod
    def world_of(**options: Any) -> PricingWorld:
        """As `make_world` says."""
        return make_world(**options)


class PricingVectorEnv(WorldVectorEnv):
    """`marketing/Pricing-v0` for many copies at once; see `PricingEnv`."""

    world_of = staticmethod(PricingEnv.world_of)


def make_world(
    *,
    calibration: str | Path | None = None,
    preset: str = "default",
    days: int = 64,
    world_seed: int = 0,
    **settings: Any,
) -> PricingWorld:
    """A world from a saved calibration, or from the generator where none is given."""
    rng = np.random.default_rng(world_seed)
    if calibration is None:
        return true_world(preset, days, PricingSettings(**settings), rng)
    folder = Path(calibration)
    chosen = load_settings(folder, PricingSettings, **settings)
    return PricingCalibration.load(folder).training_world(days, chosen, rng)
