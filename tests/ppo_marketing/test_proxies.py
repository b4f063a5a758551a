"""What foretells a protected attribute is named; what does not is left in peace."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import norm

from ppo_marketing.errors import UserError
from ppo_marketing.proxies import proxy_check

N = 4_000


@pytest.fixture
def gender(rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(N) < 0.5, "f", "m")


def test_noise_foretells_nothing(rng: np.random.Generator, gender: np.ndarray) -> None:
    features = {
        "a": rng.normal(size=N),
        "city": rng.integers(0, 50, N).astype(str),
        "street": rng.integers(0, 1500, N).astype(str),  # many levels are learnt by heart
    }
    found = proxy_check("gender", gender, features, rng)
    assert found.together == pytest.approx(0.5, abs=0.04)
    assert found.alone.values() == pytest.approx([0.5] * 3, abs=0.04)
    assert (found.proxies, found.reasons) == ((), ())


@pytest.mark.parametrize(("distance", "named"), [(0.7, False), (1.2, True)])
def test_a_column_at_a_distance_has_the_auc_that_paper_says(
    rng: np.random.Generator, gender: np.ndarray, distance: float, named: bool
) -> None:
    shifted = rng.normal(size=N) + distance * (gender == "f")
    found = proxy_check("gender", gender, {"basket": shifted, "noise": rng.normal(size=N)}, rng)
    assert found.alone["basket"] == pytest.approx(norm.cdf(distance / math.sqrt(2)), abs=0.025)
    assert found.proxies == (("basket",) if named else ())
    assert any("basket alone" in reason for reason in found.reasons) == named


def test_a_text_column_and_one_that_is_not_monotone_are_found(rng: np.random.Generator) -> None:
    district = rng.integers(0, 40, N)
    group = np.where(rng.random(N) < np.where(district < 20, 0.9, 0.1), "a", "b")
    u = rng.normal(size=N) * np.where(group == "a", 0.2, 2.0)
    found = proxy_check("origin", group, {"district": district.astype(str), "spread": u}, rng)
    assert set(found.proxies) == {"district", "spread"}


def test_columns_that_only_together_foretell_it_are_caught_together(
    rng: np.random.Generator,
) -> None:
    a, b = rng.integers(0, 2, N), rng.integers(0, 2, N)
    group = np.where(a ^ b, "x", "y")
    features = {"a": a.astype(float), "b": b.astype(float)}
    found = proxy_check("g", group, features, rng)
    assert found.proxies == ()
    assert found.together is not None
    assert found.together > 0.99
    assert "the remaining features together foretell it (AUC 1.00" in found.reasons[0]


def test_a_person_seen_often_is_not_foretold_by_their_own_rows(rng: np.random.Generator) -> None:
    people = 600
    unit = np.repeat(np.arange(people), 10)
    group = np.where(rng.random(people) < 0.5, "f", "m")[unit]
    browser = np.char.add("build ", rng.permutation(people).astype(str))
    trace = {"fingerprint": browser[unit]}  # one of its own for every person
    assert (proxy_check("g", group, trace, rng).together or 0) > 0.9  # learnt by heart
    found = proxy_check("g", group, trace, rng, unit=unit)
    assert found.rows == people
    assert found.together == pytest.approx(0.5, abs=0.08)


def test_the_rarest_group_counts_as_much_as_the_largest(rng: np.random.Generator) -> None:
    group = np.repeat(["a", "b", "c", "few"], [2000, 1800, 150, 50])
    told = (group == "c") + 0.1 * rng.normal(size=N)
    found = proxy_check("g", group, {"told": told}, rng)
    assert found.rows == 3950  # of fewer than 100 nothing can be said
    assert found.alone["told"] > 0.99
    assert json.loads(json.dumps(found.to_dict()))["proxies"] == ["told"]


def test_where_nothing_can_be_told_that_is_said() -> None:
    rng = np.random.default_rng(0)
    found = proxy_check("g", np.array(["a"] * 300 + ["b"] * 99), {"x": np.zeros(399)}, rng)
    assert found.together is None
    assert "no two groups of 100 rows" in found.reasons[0]
    found = proxy_check("g", np.repeat(["a", "b"], 200), {}, rng)
    assert "no features are left" in found.reasons[0]


def test_empty_cells_and_constant_columns_do_no_harm(rng: np.random.Generator) -> None:
    group = np.array(["a", "b", ""] * 200)
    features = {
        "constant": np.ones(600),
        "never": np.array([""] * 600, dtype=object),
        "sometimes": np.where(group == "a", "", "7").astype(object),  # emptiness tells
    }
    found = proxy_check("g", group, features, rng)
    assert found.rows == 400
    assert found.alone["constant"] == found.alone["never"] == 0.5
    assert found.proxies == ("sometimes",)


def test_arrays_of_other_lengths_are_refused() -> None:
    with pytest.raises(UserError, match=r"g has 2 rows; these have others: x \(3\)"):
        proxy_check("g", ["a", "b"], {"x": [1, 2, 3]}, np.random.default_rng(0))
