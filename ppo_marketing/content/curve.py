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
    """The score that PPO followed, by update, and those that looked on; the form of the best one.

    `held_out`: reward models of other pairs, which share what all raters share. `gold`: a score
    that is trusted. The form is fitted to gold where there is one, else to the held-out score.
    """

    proxy: tuple[Point, ...]
    held_out: tuple[Point, ...]
    gold: tuple[Point, ...]
    fit: GaoFit | None
    kept_update: int
    audit: tuple[Sign, ...]

    @property
    def judged(self) -> tuple[Point, ...]:
        """Gold where there is one, else the held-out score."""
        return self.gold or self.held_out

    @property
    def fitted(self) -> tuple[tuple[float, float], ...]:
        """The fitted form at even distances up to the farthest point: (√nats, score)."""
        if self.fit is None:
            return ()
        d = np.linspace(0.0, max(point.distance for point in self.judged), FITTED_POINTS)
        return tuple(zip(d.tolist(), self.fit.at(d).tolist(), strict=True))

    @property
    def peak_nats(self) -> float | None:
        """Where the fitted form turns, nats; None where not between points that were seen."""
        if self.fit is None or self.fit.peak is None:
            return None
        seen = [point.distance for point in self.judged]
        return self.fit.peak**2 if min(seen) <= self.fit.peak <= max(seen) else None

    @property
    def sentence(self) -> str:
        """What the curve shows, in a sentence."""
        if not self.judged:
            return (
                "Only the score that PPO followed is known: it rises whether or not the texts "
                "become better. Fit reward models to other pairs and give them as --held-out."
            )
        name = "Gold" if self.gold else "The held-out score"
        best = max(self.judged, key=lambda point: point.score)
        last = self.judged[-1]
        kept = f"update {self.kept_update} is kept"
        if best.update == last.update:
            return (
                f"{name} rose to the end, {last.score:+.2f} at {last.distance**2:.1f} nats; "
                f"{kept}. Nothing says yet that the reward was fooled."
            )
        return (
            f"{name} was best at {best.distance**2:.1f} nats ({best.score:+.2f}) and is "
            f"{last.score:+.2f} at {last.distance**2:.1f}; {kept}."
        )


def curve_of(place: Place) -> Curve:
    """Return the curve of a finished alignment.

    Raises UserError where its files cannot be read.
    """
    result = stage_result(place)
    updates = read_json(place.folder / HISTORY)["updates"]
    held_out = tuple(_point(one) for one in result["held_out"])
    gold = tuple(_point(one) for one in result.get("gold", ()))
    judged = gold or held_out
    fit = None
    if len({point.distance for point in judged}) >= 4:
        fit = gao_fit(
            np.array([point.distance**2 for point in judged]),
            np.array([point.score for point in judged]),
        )
    return Curve(
        proxy=tuple(_point(one) for one in updates),
        held_out=held_out,
        gold=gold,
        fit=fit,
        kept_update=int(result["kept_update"]),
        audit=tuple(Sign(**sign) for sign in result["audit"]),
    )


def _point(values: dict[str, float]) -> Point:
    return Point(int(values["update"]), math.sqrt(max(0.0, values["kl"])), float(values["score"]))
