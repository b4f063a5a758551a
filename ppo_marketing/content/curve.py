"""An alignment's over-optimisation curve, as `content ppo` kept it: √KL against both scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ppo_marketing.content.hacking import Sign
from ppo_marketing.content.overoptimisation import GaoFit, gao_fit
from ppo_marketing.content.places import HISTORY, Place, stage_result
from ppo_marketing.files import read_json

FITTED_POINTS = 60


@dataclass(frozen=True)
class Point:
    """One look at an alignment: how far it was, and what a score said; score in deviations."""

    update: int
    distance: float  # √nats
    score: float


@dataclass(frozen=True)
class Curve:
    """The score that PPO followed, by update; the held-out one where there is one, with its form.

    Held-out scores stand in for gold: reward models of pairs that the model was not aligned with.
    """

    proxy: tuple[Point, ...]
    held_out: tuple[Point, ...]
    fit: GaoFit | None
    kept_update: int
    audit: tuple[Sign, ...]

    @property
    def fitted(self) -> tuple[tuple[float, float], ...]:
        """The fitted form at even distances up to the farthest point: (√nats, score)."""
        if self.fit is None:
            return ()
        d = np.linspace(0.0, max(point.distance for point in self.held_out), FITTED_POINTS)
        return tuple(zip(d.tolist(), self.fit.at(d).tolist(), strict=True))

    @property
    def peak_nats(self) -> float | None:
        """Where the fitted form turns, nats; None where it does not within what was seen."""
        if self.fit is None or self.fit.peak is None:
            return None
        seen = max(point.distance for point in self.held_out)
        return self.fit.peak**2 if self.fit.peak <= seen else None

    @property
    def sentence(self) -> str:
        """What the curve shows, in a sentence."""
        if not self.held_out:
            return (
                "Only the score that PPO followed is known: it rises whether or not the texts "
                "become better. Fit reward models to other pairs and give them as --held-out."
            )
        best = max(self.held_out, key=lambda point: point.score)
        last = self.held_out[-1]
        if best.update == last.update:
            return (
                f"The held-out score rose to the end: {last.score:+.2f} at "
                f"{last.distance**2:.1f} nats. Nothing says yet that the reward was fooled."
            )
        return (
            f"The held-out score was best at {best.distance**2:.1f} nats ({best.score:+.2f}) and "
            f"is {last.score:+.2f} at {last.distance**2:.1f}: update {self.kept_update} is kept."
        )


def curve_of(place: Place) -> Curve:
    """Return the curve of a finished alignment.

    Raises UserError where its files cannot be read.
    """
    result = stage_result(place)
    updates = read_json(place.folder / HISTORY)["updates"]
    held_out = tuple(_point(one) for one in result["held_out"])
    distances = {point.distance for point in held_out}
    fit = None
    if len(distances) >= 4:
        fit = gao_fit(
            np.array([point.distance**2 for point in held_out]),
            np.array([point.score for point in held_out]),
        )
    return Curve(
        proxy=tuple(_point(one) for one in updates),
        held_out=held_out,
        fit=fit,
        kept_update=int(result["kept_update"]),
        audit=tuple(Sign(**sign) for sign in result["audit"]),
    )


def _point(values: dict[str, float]) -> Point:
    return Point(int(values["update"]), math.sqrt(max(0.0, values["kl"])), float(values["score"]))
