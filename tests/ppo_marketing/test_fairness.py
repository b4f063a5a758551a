"""Treatment by protected group: ratios on paper, too few to say, and intervals that cover."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.fairness import AttributeFairness, treatment_fairness
from ppo_marketing.intervals import newcombe, wilson


def of(counts: dict[str, tuple[int, int]]) -> AttributeFairness:
    """Group -> (treated, all)."""
    treated = np.concatenate([np.arange(n) < k for k, n in counts.values()])
    group = np.repeat(list(counts), [n for _, n in counts.values()])
    return treatment_fairness(treated, {"gender": group})[0]


def test_the_guidelines_own_example_shows_adverse_impact() -> None:
    # Uniform Guidelines, question 12: 48 of 80 and 12 of 40 selected; .6 and .3, a ratio of .5.
    found = treatment_fairness(
        np.r_[np.arange(80) < 48, np.arange(40) < 12],
        {"group": np.repeat(["white", "black"], [80, 40])},
        least_units=40,
    )[0]
    black, white = found.groups
    assert (found.best, found.verdict) == ("white", "fails")
    assert black.ratio == pytest.approx(0.5)
    assert black.gap == pytest.approx(0.3)
    assert black.gap_bounds == pytest.approx(newcombe(48, 80, 12, 40))
    assert black.rate_bounds == pytest.approx(wilson(12, 40))
    assert (white.ratio, white.gap, white.gap_bounds, white.verdict) == (1.0, 0.0, None, "passes")
    assert "black is treated at 30.0%, 0.50 of the rate of white" in found.reasons[0]


@pytest.mark.parametrize(("treated", "verdict"), [(80, "passes"), (79, "fails")])
def test_four_fifths_exactly_is_enough(treated: int, verdict: str) -> None:
    found = of({"men": (100, 200), "women": (treated, 200)})
    assert found.verdict == verdict
    assert found.best == "men"


def test_of_fewer_than_a_hundred_nothing_is_said_however_bad_it_looks() -> None:
    found = of({"men": (100, 200), "other": (0, 99), "women": (90, 200)})
    other = found.groups[1]
    assert other.verdict == "too few to say"
    assert (other.ratio, other.gap, other.gap_bounds) == (None, None, None)
    assert found.verdict == "passes"
    assert found.reasons == ("gender: fewer than 100 units, nothing said: other (99)",)
    # A small group cannot be the one that others are held against.
    assert of({"men": (100, 200), "other": (99, 99), "women": (90, 200)}).verdict == "passes"
    alone = of({"men": (100, 200), "women": (0, 99)})
    assert (alone.best, alone.verdict) == (None, "too few to say")
    assert "two groups of 100 units or more are needed" in alone.reasons[-1]


def test_where_nobody_is_treated_everyone_is_treated_alike() -> None:
    assert of({"men": (0, 200), "women": (0, 200)}).verdict == "passes"


def test_a_difference_that_luck_could_make_is_said_so() -> None:
    found = of({"men": (10, 100), "women": (7, 100)})
    assert found.verdict == "fails"
    assert "(within what luck could do)" in found.reasons[0]
    assert (
        "(within what luck could do)" not in of({"men": (500, 900), "women": (300, 900)}).reasons[0]
    )


def test_units_are_counted_once_and_their_rows_move_together(rng: np.random.Generator) -> None:
    unit = np.repeat(np.arange(300), 10)
    group = np.where(unit < 150, "a", "b")
    chance = np.repeat(rng.random(300), 10)  # a unit's rows are alike
    found = treatment_fairness(chance, {"g": group}, unit=unit)[0]
    apart = treatment_fairness(chance, {"g": group})[0]
    worse = found.groups[0 if found.best == "b" else 1]
    naive = apart.groups[0 if found.best == "b" else 1]
    assert (worse.units, worse.rows) == (150, 1500)
    assert worse.gap_bounds is not None
    assert naive.gap_bounds is not None
    widths = [b.high - b.low for b in (worse.gap_bounds, naive.gap_bounds)]
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(10), rel=0.02)
    few = treatment_fairness(chance[:1800], {"g": group[:1800]}, unit=unit[:1800])[0]
    assert few.groups[1].verdict == "too few to say"  # 300 rows of 30 people


def test_the_interval_of_a_gap_covers_as_often_as_it_says(rng: np.random.Generator) -> None:
    covered = 0
    for _ in range(300):
        people = rng.beta([[4.0], [3.0]], 6.0, (2, 120))  # rates .4 and .333
        treated = rng.random((5, 2, 120)) < people
        group = np.broadcast_to(np.array([["a"], ["b"]]), (5, 2, 120))
        unit = np.broadcast_to(np.arange(240).reshape(2, 120), (5, 2, 120))
        found = treatment_fairness(
            treated.ravel(), {"g": group.ravel()}, unit=unit.ravel(), least_ratio=0.5
        )[0]
        other = next(g for g in found.groups if g.group != found.best)
        truth = (4 / 10 - 3 / 9) * (1 if found.best == "a" else -1)
        assert other.gap_bounds is not None
        covered += other.gap_bounds.holds(truth)
    assert 0.91 <= covered / 300 <= 0.985


def test_unknown_groups_are_a_group_and_json_holds_no_surprises() -> None:
    group = np.array(["a", None, "", float("nan")] * 100, dtype=object)
    found = treatment_fairness(np.ones(400), {"g": group})[0]
    assert [(g.group, g.units) for g in found.groups] == [("(not known)", 300), ("a", 100)]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["verdict"] == "passes"


def test_arrays_that_do_not_fit_are_refused_with_every_problem() -> None:
    with pytest.raises(UserError) as refused:
        treatment_fairness([0.5, 1.5, np.nan], {"g": ["a"], "h": ["a", "b", "c"]}, unit=[1, 2])
    for part in (
        "2 values of treated are no probabilities",
        "g has the shape (1,)",
        "unit has the",
    ):
        assert part in str(refused.value)
    assert "h has" not in str(refused.value)
    with pytest.raises(UserError, match="no protected attribute is declared"):
        treatment_fairness([1.0], {})
    with pytest.raises(UserError, match="one number a decision"):
        treatment_fairness([], {"g": []})
