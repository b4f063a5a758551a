"""What a log says of policies that did not write it: DM, IPS, SNIPS and DR with intervals.

    IPS   = sum w pi/p r / n                        w: impressions of the row, n = sum w
    SNIPS = sum w pi/p r / sum w pi/p
    DR    = sum w (E_pi q(x, .) + pi/p (r - q(x, a))) / n

Sources: Horvitz and Thompson 1952; Swaminathan and Joachims 2015; Dudik, Langford and Li 2011.
Rows of one unit are drawn together: intervals are bootstrapped over blocks of units. A log of
counts has many independent impressions a row, so that their sum is normal.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.personalization.model import Floats, Ints

BLOCKS = 1000
REPETITIONS = 1000


@dataclass(frozen=True)
class PolicyValue:
    """One policy on one log: estimates, deviations, and how much of the log speaks of it.

    `lift` is DR minus the log's own mean reward; `effective_n` Kish's (sum v)^2 / sum v^2 of
    v = w pi/p; `positives` the rewarded impressions of rows with pi > 0.
    """

    name: str
    model: float
    ips: float
    snips: float
    doubly_robust: float
    sd: float
    lift: float
    lift_low: float
    effective_n: float
    largest_weight: float
    positives: float
    impressions: float


def policy_value(
    name: str,
    chosen: Floats,
    direct: Floats,
    q: Floats,
    propensity: Floats,
    reward: Floats,
    weight: Floats,
    unit: Ints,
    rng: Generator,
) -> PolicyValue:
    """The value of a policy on rows, all `[M]`.

    `chosen` is pi(a | x) of the item shown, `direct` E_pi q(x, .), `q` that of the item shown.
    """
    ratio = chosen / propensity
    n = weight.sum()
    robust = direct + ratio * (reward - q)
    value = float((weight * robust).sum() / n)
    lift = value - float((weight * reward).sum() / n)
    values, lifts = _redrawn(unit, weight, robust, robust - reward, rng)
    effective = weight * ratio
    return PolicyValue(
        name=name,
        model=float((weight * direct).sum() / n),
        ips=float((effective * reward).sum() / n),
        snips=float((effective * reward).sum() / max(effective.sum(), 1e-300)),
        doubly_robust=value,
        sd=float(values.std()),
        lift=lift,
        lift_low=float(np.quantile(lifts, 0.025)),
        # A row of many impressions is as many draws.
        effective_n=float(effective.sum() ** 2 / max((weight * ratio**2).sum(), 1e-300)),
        largest_weight=float(ratio.max()),
        positives=float((weight * reward)[ratio > 0].sum()),
        impressions=float(n),
    )


def _redrawn(
    unit: Ints, weight: Floats, value: Floats, lift: Floats, rng: Generator
) -> tuple[Floats, Floats]:
    """Weighted means of `value` and `lift` over repeated draws of the log, `[R]` each."""
    n = weight.sum()
    if (weight > 1).any():
        means = [float((weight * amount).sum() / n) for amount in (value, lift)]
        noise = rng.standard_normal((REPETITIONS, 1))
        sds = [
            np.sqrt((weight * (amount - mean) ** 2).sum()) / n
            for amount, mean in zip((value, lift), means, strict=True)
        ]
        drawn = np.array(means) + noise * np.array(sds)
        return drawn[:, 0], drawn[:, 1]
    sums = _block_sums(unit, weight, weight * value, weight * lift)
    draws = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), REPETITIONS) @ sums
    return draws[:, 1] / draws[:, 0], draws[:, 2] / draws[:, 0]


def _block_sums(unit: Ints, *amounts: Floats) -> Floats:
    """Sums of the amounts by block of units, `[B, amounts]`; a unit is never parted."""
    block = _block_of(unit)
    return np.column_stack([np.bincount(block, weights=amount) for amount in amounts])


def _block_of(unit: Ints) -> NDArray[np.int64]:
    levels, index = np.unique(unit, return_inverse=True)
    if len(levels) <= BLOCKS:
        return index
    # Neighbouring numbers may be alike, so blocks are dealt by a checksum.
    dealt = np.array([zlib.crc32(int(level).to_bytes(8, "little")) % BLOCKS for level in levels])
    return np.unique(dealt[index], return_inverse=True)[1]
