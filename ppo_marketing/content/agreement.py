"""How well reward models agree with raters, on pairs that none of them learned from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ppo_marketing.content.places import Place, stage_result
from ppo_marketing.content.preferences import CalibrationBin
from ppo_marketing.errors import UserError
from ppo_marketing.intervals import Bounds

COIN_NATS = math.log(2)


@dataclass(frozen=True)
class Agreement:
    """What `content reward` found on the pairs held out, of the ensemble's mean."""

    pairs: int
    accuracy: float
    accuracy_bounds: Bounds
    log_loss: float  # nats a pair
    calibration_error: float
    longer_scored_higher: float | None
    longer_chosen: float | None
    members: tuple[float, ...]  # each one's accuracy
    calibration: tuple[CalibrationBin, ...]  # none where it was fitted before bins were kept

    @property
    def length_bias(self) -> float | None:
        """How much more often than raters the models prefer the longer text, a share."""
        if self.longer_scored_higher is None or self.longer_chosen is None:
            return None
        return self.longer_scored_higher - self.longer_chosen

    @property
    def sentence(self) -> str:
        """What it means, in a sentence."""
        low, high = self.accuracy_bounds
        said = (
            f"On {self.pairs:,} pairs that it has not seen, it agrees with the raters "
            f"{self.accuracy:.0%} of the time (95 %: {low:.0%} to {high:.0%})"
        )
        if low <= 0.5:
            return f"{said}: that may be a coin's word. Rate more pairs before you align to it."
        return f"{said}: better than a coin."


def agreement_of(place: Place) -> Agreement:
    """Return what a finished `content reward` kept.

    Raises UserError where it cannot be read.
    """
    result = stage_result(place)
    try:
        return _agreement(result)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"the reward models of {place.name} were kept by another version ({error} is missing): "
            "fit them again with `content reward`"
        ) from error


def _agreement(result: Any) -> Agreement:
    held = result["held_out"]
    return Agreement(
        pairs=held["pairs"],
        accuracy=held["accuracy"],
        accuracy_bounds=Bounds(*held["accuracy_bounds"]),
        log_loss=held["log_loss"],
        calibration_error=held["calibration_error"],
        longer_scored_higher=held["longer_scored_higher"],
        longer_chosen=held["longer_chosen"],
        members=tuple(one["accuracy"] for one in result["members"]),
        calibration=tuple(CalibrationBin(**one) for one in result.get("calibration", ())),
    )
