"""SLOPE on paper, and what it takes from a drawn log."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ppo_marketing.ope.estimators import DM, DR, IPS
from ppo_marketing.ope.slope import chosen_by_slope, shrinkage_families, slope
from ppo_marketing.ope.terms import value
from tests.support.one_step import bandit


def test_the_last_candidate_within_the_noise_of_all_before_it_is_taken() -> None:
    # Allowed apart: .05 + 1.449 x .1 = .195 of the first two; .155 and .082 of the third.
    assert slope([0.0, 0.1, 0.5], [0.1, 0.05, 0.01]) == 1
    assert slope([0.0, 0.1, 0.12], [0.1, 0.05, 0.01]) == 2
    # The third is near the second but not near the first.
    assert slope([0.0, 0.19, 0.2], [0.1, 0.05, 0.01]) == 1
    assert slope([0.0, 0.2], [0.1, 0.05]) == 0
    # What comes after a break is not reached, however near it is to the first.
    assert slope([0.0, 0.2, 0.0], [0.1, 0.05, 0.01]) == 0


def test_a_deviation_that_rises_is_held_at_the_one_before() -> None:
    # As it stands the third deviation would excuse anything.
    assert slope([0.0, 0.1, 0.5], [0.1, 0.05, 1.0]) == 1


def test_what_has_no_value_is_not_taken() -> None:
    assert slope([math.nan, 0.1], [0.1, 0.1]) == 0
    assert slope([0.1, math.nan], [0.1, 0.1]) == 0


def test_every_family_starts_unshrunk_and_falls_towards_its_limit(rng: np.random.Generator) -> None:
    decisions = bandit(2_000, rng).decisions()
    clipped, switch, shrunk = shrinkage_families(decisions)
    starts = [value(family[0].terms(decisions), decisions) for family in (clipped, switch, shrunk)]
    whole = [value(estimator.terms(decisions), decisions) for estimator in (IPS(), DR(), DR())]
    assert starts == pytest.approx(whole, rel=0.01)
    model = value(DM().terms(decisions), decisions)
    towards = [abs(value(c.terms(decisions), decisions) - model) for c in shrunk]
    assert towards[-1] < towards[0]


def test_a_bias_beyond_the_noise_stops_the_shrinkage(rng: np.random.Generator) -> None:
    log = bandit(7_000, rng)
    right, wrong = log.decisions(), log.decisions(predicted_reward=np.zeros((7_000, 28)))
    assert right.impressions == 7_000
    candidates = shrinkage_families(right)[2]
    index = {
        name: list(candidates).index(chosen_by_slope(candidates, log).estimator)
        for name, log in (("right", right), ("wrong", wrong))
    }
    assert index["wrong"] < index["right"]
