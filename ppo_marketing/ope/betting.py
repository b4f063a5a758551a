"""Intervals that may be looked at as often as one likes: betting against every possible mean.

A gambler bets on each new value that it lies above (or below) a mean m, at odds that are fair if m
is right. Capital of a fair game seldom grows: a mean against which a gambler has made 2 / α of 1 is
refuted, whenever one looks. Source: Waudby-Smith and Ramdas 2024, the hedged capital process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.errors import UserError
from ppo_marketing.ope.feedback import Floats

CAUTION = 0.5
"""The largest share of its capital that a bet may lose (c of the paper, 1/2 or 3/4)."""

_BISECTIONS = 50


class ConfidenceSequence(NamedTuple):
    """Intervals `[peeks]` after so many values each, all of them right at once at their level."""

    after: NDArray[np.int64]
    low: Floats
    high: Floats


class Lifts(NamedTuple):
    """One value `[n]` a unit of a roll-out, whose mean is the lift, and what bounds them."""

    values: Floats
    low: float
    high: float


def rollout_lifts(
    reward: Floats, treated: NDArray[np.bool_], share: float, *, most: float, baseline: float = 0.0
) -> Lifts:
    """(r - b) (T / e - (1 - T) / (1 - e)) of every unit `[n]`, in the order of their arrival.

    `share` e is the chance to be treated, `most` the largest reward there can be (the smallest is
    0), `baseline` b any reward fixed beforehand: the nearer to the usual one, the less noise.
    One value a unit: a customer's rows are summed first.

    Source: Horvitz and Thompson 1952; b does not move the mean, since T has the mean e.

    Raises:
        UserError: a setting is out of range, or a reward is outside [0, most].
    """
    reward = np.asarray(reward, np.float64)
    problems = []
    if not 0 < share < 1:
        problems.append(f"share is {share!r}; it must be between 0 and 1, both excluded")
    outside = ~((reward >= 0) & (reward <= most))
    if outside.any():
        problems.append(f"{outside.sum()} rewards are outside [0, {most:g}]; raise `most`")
    if problems:
        raise UserError("; ".join(problems))
    values = (reward - baseline) * np.where(treated, 1 / share, -1 / (1 - share))
    ends = [(r - baseline) * odds for r in (0.0, most) for odds in (1 / share, -1 / (1 - share))]
    return Lifts(values, min(ends), max(ends))


def confidence_sequence(
    values: Floats, low: float, high: float, *, peeks: Sequence[int], level: float = 0.95
) -> ConfidenceSequence:
    """Intervals of the mean of `values [n]` in [low, high] after each number of values in `peeks`.

    With probability `level` the mean is in all of them, however many and whenever one looks.
    Values must come one a unit, in their order, with the same mean given what came before.

    Raises:
        UserError: values outside [low, high], or peeks outside 1..n.
    """
    x = _scaled(values, low, high)
    after = np.asarray(peeks, np.int64)
    if not ((after >= 1) & (after <= len(x))).all():
        raise UserError(f"peeks must lie within 1 and the number of values, {len(x)}")
    bets, threshold = _bets(x, level), math.log(2 / (1 - level))
    below = np.array([_refuted_below(x[:n], bets[:n], threshold) for n in after])
    above = np.array([_refuted_below(1 - x[:n], bets[:n], threshold) for n in after])
    return ConfidenceSequence(after, low + (high - low) * below, high - (high - low) * above)


def capital(values: Floats, mean: float, low: float, high: float, *, level: float = 0.95) -> Floats:
    """What the luckier of two gamblers against `mean`, half of 1 each, has after each value, `[n]`.

    K = max(½ Π (1 + λ+ (x - m)), ½ Π (1 - λ- (x - m))); m is refuted once K reaches 1 / (1 -
    level), and stays so.

    Raises:
        UserError: values or the mean outside [low, high].
    """
    x, [m] = _scaled(values, low, high), _scaled(np.array([mean]), low, high)
    bets = _bets(x, level)
    gains = [np.cumsum(_gains(x, bets, m)), np.cumsum(_gains(1 - x, bets, 1 - m))]
    return np.asarray(0.5 * np.exp(np.maximum(*gains)))


def _scaled(values: Floats, low: float, high: float) -> Floats:
    x = (np.asarray(values, np.float64) - low) / (high - low)
    outside = ~((x >= 0) & (x <= 1))
    if outside.any():
        raise UserError(
            f"{outside.sum()} values are outside [{low:g}, {high:g}], which betting takes for the "
            "bounds of all that can come; widen them before looking at the data"
        )
    return x


def _bets(x: Floats, level: float) -> Floats:
    """λ_t = √(2 log(2 / α) / (σ²_{t-1} t log(1 + t))): each knows only what came before.

    Source: Waudby-Smith and Ramdas 2024, the predictable plug-in of section 4.
    """
    t = np.arange(1, len(x) + 1)
    mean = (0.5 + np.cumsum(x)) / (t + 1)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (t + 1)
    known = np.concatenate([[0.25], variance[:-1]])
    return np.asarray(np.sqrt(2 * math.log(2 / (1 - level)) / (known * t * np.log1p(t))))


def _gains(x: Floats, bets: Floats, mean: float) -> Floats:
    """Log growth by betting that values lie above `mean`, a bet losing at most `CAUTION`."""
    staked = bets if mean <= 0 else np.minimum(bets, CAUTION / mean)
    return np.asarray(np.log1p(staked * (x - mean)))


def _refuted_below(x: Floats, bets: Floats, threshold: float) -> float:
    """The largest mean that betting above it refutes: capital falls as the mean rises."""
    if _gains(x, bets, 0.0).sum() < threshold:
        return 0.0
    refuted, standing = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (refuted + standing) / 2
        if _gains(x, bets, middle).sum() >= threshold:
            refuted = middle
        else:
            standing = middle
    return refuted
