"""The fitted response: does it find the parameters that made the log?"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.personalization.ensemble import fit_ensemble
from envs.personalization.generator import PRESETS, Truth, truth_of
from envs.personalization.logging_policy import estimate_logging
from envs.personalization.model import (
    Floats,
    SoftmaxPolicy,
    drawn_items,
    logit_of,
    mean_probability,
    sigmoid,
)
from envs.personalization.response import Guess, Rows, fit_response, guess_of, sorted_rows
from envs.personalization.visits import Visits

NO_FEATURES = np.zeros((20, 0))


def visits_of(
    truth: Truth, rows: int, rng: np.random.Generator, uniform: float | None = None
) -> Visits:
    """Logged rows; with `uniform`, by a policy that chooses so often at random."""
    x = truth.contexts(rows, rng).x
    policy = truth.logging if uniform is None else truth.logging._replace(uniform=uniform)
    propensities = policy.probabilities(x, None)
    item = drawn_items(propensities, rng)
    nobody, index = np.zeros(rows, np.int32), np.arange(rows, dtype=np.int32)
    chance = sigmoid(logit_of(truth.model, nobody, x, item, nobody))
    return Visits(
        x=x, item=item, position=nobody, propensity=propensities[index, item],
        reward=(rng.random(rows) < chance).astype(np.float64), weight=np.ones(rows),
        unit=index, session=np.full(rows, -1, np.int32), day=nobody,
        time=index.astype(np.int64), pool=nobody, pool_items=None,
    )  # fmt: skip


def likelier(truth: Truth, factor: float) -> Truth:
    """The same items with rates `factor` times as high, so that fewer rows say as much."""
    return Truth(
        truth.model._replace(bias=truth.model.bias + np.log(factor)), truth.items, truth.logging,
        truth.preset,
    )  # fmt: skip


def rows_of(visits: Visits) -> Rows:
    return sorted_rows(visits.x, visits.item, visits.position, visits.reward, visits.weight)


def no_guess(size: int = 8, items: int = 20) -> Guess:
    return guess_of(
        np.zeros((items, 0)), SoftmaxPolicy(np.zeros(items), np.zeros((items, size)), 0)
    )


def share_of_argmax(truth: Truth, score: Floats, x: NDArray[np.float32]) -> float:
    q = mean_probability(truth.model, x)
    return float(q[np.arange(len(q)), score.argmax(axis=1)].mean() / q.max(axis=1).mean())


@pytest.fixture(scope="module")
def truth() -> Truth:
    return likelier(truth_of(PRESETS["default"]), 30)


def test_parameters_are_found_within_their_sampling_error(truth: Truth) -> None:
    visits = visits_of(truth, 100_000, np.random.default_rng(0), uniform=1.0)
    guess = no_guess()
    fitted = fit_response(rows_of(visits), guess, 1)
    bias, vector = fitted.bias(guess), fitted.vector(guess)
    q = sigmoid(logit_of(truth.model, visits.position, visits.x, visits.item, visits.position))
    for a in range(20):
        own = visits.item == a
        design = np.column_stack([np.ones(own.sum()), visits.x[own]])
        information = (design * (q[own] * (1 - q[own]))[:, None]).T @ design
        error = np.sqrt(np.diag(np.linalg.inv(information)))
        z = np.array([bias[a], *vector[a]]) - [truth.model.bias[0, a], *truth.model.vector[0, a]]
        assert np.abs(z / error).max() < 4, a
    # v_a has a deviation of .5 / sqrt(8) per feature; empirical Bayes finds it from the rewards.
    assert fitted.taste_sd == pytest.approx(0.5 / np.sqrt(8), rel=0.15)


def test_the_gradient_is_that_of_the_penalised_likelihood(truth: Truth) -> None:
    # At the maximum no parameter can be moved to gain anything.
    visits = visits_of(truth, 4_000, np.random.default_rng(1))
    rows, guess = rows_of(visits), guess_of(NO_FEATURES, truth.logging)
    best = fit_response(rows, guess, 1)

    def penalised(item: Floats, taste: Floats) -> float:
        logit = best.intercept + guess.feature @ best.shared + item
        vector = best.context + best.trust * guess.taste + taste
        z = logit[rows.item] + np.einsum("nd,nd->n", rows.x, vector[rows.item])
        loss = (np.logaddexp(0, z) - rows.reward * z).sum()
        prior = (item**2).sum() / best.item_sd**2 + (taste**2).sum() / best.taste_sd**2
        return float(loss + prior / 2)

    least = penalised(best.item, best.taste)
    rng = np.random.default_rng(0)
    for size in (0.01, 0.1):
        moved = best.item + size * rng.standard_normal(20)
        assert penalised(moved, best.taste) > least - 0.02
        bent = best.taste + size * rng.standard_normal((20, 8))
        assert penalised(best.item, bent) > least - 0.02


def test_few_rewards_shrink_effects_to_almost_nothing() -> None:
    rng = np.random.default_rng(0)
    visits = visits_of(truth_of(PRESETS["default"]), 6_000, rng, uniform=1.0)
    guess = no_guess()
    fitted = fit_response(rows_of(visits), guess, 1)
    spread = fitted.bias(guess).std()
    assert spread < 0.2, "some 25 rewards over 20 items tell them hardly apart"


def test_shrinking_beats_the_plain_rates_of_the_items(truth: Truth) -> None:
    visits = visits_of(truth, 3_000, np.random.default_rng(2), uniform=1.0)
    guess = no_guess()
    shrunk = fit_response(rows_of(visits), guess, 1).bias(guess)
    shown = np.bincount(visits.item, minlength=20)
    plain = (np.bincount(visits.item, visits.reward, 20) + 0.5) / (shown + 1)
    plain_logit = np.log(plain / (1 - plain))
    error = [np.var(est - truth.model.bias[0]) for est in (shrunk, plain_logit)]
    assert error[0] < error[1]


def test_the_fitted_choice_is_near_the_best_from_a_log_of_the_default_size() -> None:
    truth = truth_of(PRESETS["default"])
    rng = np.random.default_rng(1)
    visits = visits_of(truth, 200_000, rng)
    logging = estimate_logging(visits.x, visits.item, visits.weight, None, 20)
    guess = guess_of(NO_FEATURES, logging.policy)
    fitted = fit_response(rows_of(visits), guess, 1)
    x = truth.contexts(20_000, rng).x
    assert share_of_argmax(truth, fitted.bias(guess) + x @ fitted.vector(guess).T, x) > 0.93


def test_a_logger_who_preferred_the_worst_is_not_trusted(truth: Truth) -> None:
    visits = visits_of(truth, 30_000, np.random.default_rng(3), uniform=0.5)
    liked = guess_of(NO_FEATURES, truth.logging)
    wrong = Guess(-liked.feature, -liked.taste)
    x = truth.contexts(5_000, np.random.default_rng(4)).x
    scores = []
    for guess in (no_guess(), wrong):
        fitted = fit_response(rows_of(visits), guess, 1)
        scores.append(share_of_argmax(truth, fitted.bias(guess) + x @ fitted.vector(guess).T, x))
    assert fitted.trust < 0, "its rewards say that the opposite works"
    assert scores[1] > scores[0] - 0.02


def test_positions_take_their_share_of_the_response(truth: Truth) -> None:
    rng = np.random.default_rng(5)
    visits = visits_of(truth, 40_000, rng, uniform=1.0)
    position = rng.integers(0, 3, visits.size).astype(np.int32)
    effect = np.array([0.0, -0.7, -1.2])
    logit = logit_of(truth.model, np.zeros_like(position), visits.x, visits.item, 0 * position)
    reward = (rng.random(visits.size) < sigmoid(logit + effect[position])).astype(np.float64)
    rows = sorted_rows(visits.x, visits.item, position, reward, visits.weight)
    fitted = fit_response(rows, no_guess(), 3)
    np.testing.assert_allclose(fitted.position, effect, atol=0.12)


def test_members_average_to_the_best_estimate_and_stray_like_its_error(truth: Truth) -> None:
    visits = visits_of(truth, 20_000, np.random.default_rng(6), uniform=1.0)
    guess = no_guess()
    fitted = fit_ensemble(visits, guess, 1, None, np.random.default_rng(0))
    np.testing.assert_allclose(fitted.model.bias.mean(axis=0), fitted.response.bias(guess))
    stray = fitted.model.bias.std(axis=0, ddof=1).mean()
    error = np.abs(fitted.response.bias(guess) - truth.model.bias[0]).mean()
    assert error / 3 < stray < 3 * error


def test_the_rank_is_nil_where_visitors_do_not_differ(truth: Truth) -> None:
    alike = Truth(
        truth.model._replace(vector=np.zeros_like(truth.model.vector)), truth.items,
        truth.logging, truth.preset,
    )  # fmt: skip
    visits = visits_of(alike, 10_000, np.random.default_rng(7), uniform=1.0)
    fitted = fit_ensemble(visits, no_guess(), 1, None, np.random.default_rng(0))
    assert np.abs(fitted.model.vector).max() < 0.15
    different = visits_of(truth, 30_000, np.random.default_rng(7), uniform=1.0)
    assert fit_ensemble(different, no_guess(), 1, None, np.random.default_rng(0)).rank >= 4


def test_the_logging_policy_is_recognised_and_random_dealing_too(truth: Truth) -> None:
    rng = np.random.default_rng(8)
    chosen = visits_of(truth, 20_000, rng)
    found = estimate_logging(chosen.x, chosen.item, chosen.weight, None, 20)
    assert not found.randomised
    x = truth.contexts(2_000, rng).x
    gap = found.policy.probabilities(x, None) - truth.logging.probabilities(x, None)
    assert np.abs(gap).mean() < 0.01
    dealt = visits_of(truth, 20_000, rng, uniform=1.0)
    assert estimate_logging(dealt.x, dealt.item, dealt.weight, None, 20).randomised


def test_an_item_never_shown_is_scored_by_its_features(truth: Truth) -> None:
    # The items' effects follow one feature; the last item is new.
    rng = np.random.default_rng(9)
    feature = np.linspace(-1, 1, 20)[:, None]
    model = truth.model._replace(bias=-2 + 1.0 * feature.T)
    visits = visits_of(
        Truth(model, truth.items, truth.logging, truth.preset), 20_000, rng, uniform=1.0
    )
    visits = visits.rows(np.flatnonzero(visits.item != 19))
    shown = np.arange(20) != 19
    popularity = np.where(shown, 0.01 * rng.standard_normal(20), -12.0)
    logging = SoftmaxPolicy(popularity, np.zeros((20, 8)), 0.0)
    guess = guess_of(feature, logging, shown)
    bias = fit_response(rows_of(visits), guess, 1).bias(guess)
    assert bias[19] == pytest.approx(model.bias[0, 19], abs=0.25)
    assert bias[19] > bias[:15].max(), "it is not held against it that nobody could show it"


def test_many_items_are_fitted_as_few_are(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    # Products item by item and gathered ones are two ways to the same sums.
    rows = rows_of(visits_of(truth, 3_000, np.random.default_rng(10)))
    one = fit_response(rows, no_guess(), 1)
    monkeypatch.setattr("envs.personalization.response._MOST_RUNS", 0)
    other = fit_response(rows, no_guess(), 1)
    np.testing.assert_allclose(one.taste, other.taste, atol=1e-4)
    np.testing.assert_allclose(one.item, other.item, atol=1e-4)
