"""A season brings what the log's own busy days brought: elasticities and mixes known on paper."""

from __future__ import annotations

import numpy as np
import pytest

from envs.core.season import Season, elasticity

TRAFFIC = np.array([50.0, 80.0, 100.0, 120.0, 150.0])


def test_an_elasticity_without_noise_is_found_exactly() -> None:
    log_traffic = np.log(TRAFFIC)
    assert elasticity(log_traffic, 3.0 + 0.4 * log_traffic) == pytest.approx(0.4)
    weight = np.array([1.0, 5.0, 2.0, 1.0, 3.0])
    assert elasticity(log_traffic, 1.0 - 0.7 * log_traffic, weight) == pytest.approx(-0.7)


def test_what_chance_explains_is_pulled_to_nothing() -> None:
    rng = np.random.default_rng(0)
    slopes = [
        elasticity(0.2 * rng.standard_normal(20), 0.2 * rng.standard_normal(20)) for _ in range(400)
    ]
    assert np.median(np.abs(slopes)) == 0.0, "most days that only chance moved say nothing"
    assert np.mean(slopes) == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize("traffic", [TRAFFIC[:3], np.full(9, 100.0)])
def test_days_too_few_or_alike_say_nothing(traffic: np.ndarray) -> None:
    assert elasticity(np.log(traffic), np.arange(len(traffic), dtype=float)) == 0.0


def test_a_season_moves_amounts_by_their_elasticity_and_knows_its_bounds() -> None:
    season = Season.seen(TRAFFIC, {"prices": TRAFFIC**0.5, "value": np.full(5, 2.0)})
    assert season.factor("prices", 1.44) == pytest.approx(1.2)
    assert season.factor("value", 1.44) == 1.0
    assert (season.quietest, season.busiest) == (0.5, 1.5)
    (known,) = season.remarks(1.44)
    assert known.text == "On this log's days, traffic x 1.44 comes with prices x 1.2, value x 1."
    assert not known.beyond
    assert season.remarks(1.0) == ()
    for far in (0.4, 1.6):
        assert [one.beyond for one in season.remarks(far)] == [False, True]
        assert "0.5 to 1.5 times the usual traffic" in season.remarks(far)[1].text


def test_days_that_are_alike_show_no_season_and_that_is_said() -> None:
    flat = Season.seen(np.array([100.0, 101.0, 99.0, 100.0]), {"prices": np.ones(4)})
    (said,) = flat.remarks(1.2)
    assert said.beyond
    assert "about the same traffic" in said.text
