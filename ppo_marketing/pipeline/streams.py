"""Streams of a run's seed, one a purpose, so that none shifts another."""

from __future__ import annotations

import numpy as np

# They count from 100: default_rng([s, 0]) is default_rng(s), and evaluation uses the small numbers.
(
    SAMPLE,
    CALIBRATE,
    TRAIN_EPISODES,
    VALIDATION_EPISODES,
    JUDGING_EPISODES,
    EARLIER_EPISODES,
    TUNE,
    UNTRAINED,
    OFF_POLICY,
    MEMBER_EPISODES,
    CHOICE,
) = range(100, 111)


def stream(seed: int, purpose: int) -> np.random.Generator:
    """The generator of one purpose."""
    return np.random.default_rng([seed, purpose])
