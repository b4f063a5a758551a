from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from ppo_marketing.content.best_of_n import best_of_n, expected_best_of_n, n_of_kl
from ppo_marketing.content.ensembles import combined, disagreement
from ppo_marketing.content.hacking import repetition, signs, text_statistics
from ppo_marketing.content.kl import best_of_n_kl
from ppo_marketing.content.overoptimisation import GaoFit, gao_fit, held_out_peak


@pytest.mark.parametrize("form", ["rl", "best_of_n"])
def test_the_form_is_recovered_from_points_on_it(form: str) -> None:
    truth = GaoFit(form, 1.4, 0.5, 1.0)  # type: ignore[arg-type]
    kl = np.linspace(0.0, 30.0, 25)
    found = gao_fit(kl, truth.at(np.sqrt(kl)), truth.form)
    assert (found.alpha, found.beta) == pytest.approx((1.4, 0.5))
    assert found.r_squared == pytest.approx(1.0)
    assert found.peak is not None
    around = found.at(np.array([found.peak * 0.99, found.peak, found.peak * 1.01]))
    assert around[1] == around.max()


def test_noise_lowers_r_squared_and_a_curve_that_only_rises_has_no_peak(
    rng: np.random.Generator,
) -> None:
    kl = np.linspace(0.1, 20.0, 60)
    assert gao_fit(kl, rng.normal(size=60)).r_squared < 0.3
    assert gao_fit(kl, np.sqrt(kl) ** 1.2).peak is None


def test_three_distances_are_needed() -> None:
    with pytest.raises(ValueError, match="three different"):
        gao_fit(np.array([1.0, 1.0, 2.0]), np.zeros(3))


def test_the_held_out_peak_waits_as_long_as_it_is_told() -> None:
    assert held_out_peak([0.0, 2.0, 1.0]) == (1, False)
    assert held_out_peak([0.0, 2.0, 1.0], patience=2) == (1, False)
    assert held_out_peak([0.0, 2.0, 1.0, 1.5], patience=2) == (1, True)


def test_an_ensemble_is_its_mean_its_worst_or_its_mean_less_its_variance() -> None:
    scores = np.array([[1.0, 0.0], [3.0, 0.0]])
    assert combined(scores, "mean").tolist() == [2.0, 0.0]
    assert combined(scores, "worst").tolist() == [1.0, 0.0]
    assert combined(scores, "uncertainty", 0.5).tolist() == [1.5, 0.0]
    assert disagreement(scores).tolist() == [1.0, 0.0]


def test_the_expected_best_of_n_is_the_mean_over_every_subset(rng: np.random.Generator) -> None:
    proxy, gold = rng.normal(size=(2, 3, 6))
    for n in (1, 2, 4, 6):
        subsets = [list(one) for one in itertools.combinations(range(6), n)]
        best = [np.take_along_axis(gold[:, s], best_of_n(proxy[:, s])[:, None], 1) for s in subsets]
        assert expected_best_of_n(proxy, gold, n)[1] == pytest.approx(np.mean(best))
    with pytest.raises(ValueError, match="at least 7"):
        expected_best_of_n(proxy, gold, 7)


def test_the_n_of_a_kl_is_the_nearest() -> None:
    for n in (1, 2, 5, 100):
        assert n_of_kl(best_of_n_kl(n)) == n
    assert n_of_kl(math.inf, largest=64) in (64, 65)


def test_repetition_is_the_share_of_pairs_said_before() -> None:
    assert repetition(["a", "b", "c", "d"]) == 0.0
    assert repetition(["a", "b", "a", "b", "a", "b"]) == pytest.approx(1 - 2 / 5)
    assert repetition(["a"]) == 0.0


def test_what_moved_much_and_surely_is_marked_and_nothing_else(rng: np.random.Generator) -> None:
    calm = ["try our warm shoes today"] * 100
    looping = ["try try try try try try try try try"] * 100
    entropy = rng.normal(2.0, 0.1, 100)
    ended = np.ones(100, bool)
    before = text_statistics(calm, ended, entropy, entropy)
    after = text_statistics(looping, ended, entropy, entropy + 0.01)
    marked = {sign.name for sign in signs(before, after) if sign.marked}
    assert marked == {"length, words", "repeated pairs of words, share"}
    assert not any(sign.marked for sign in signs(before, before))
