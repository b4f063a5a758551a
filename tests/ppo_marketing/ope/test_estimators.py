"""Estimators against another software's answers, against paper, and where one becomes another."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as pa_csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_marketing.errors import UserError
from ppo_marketing.ope.estimators import (
    DM,
    DR,
    IPS,
    MIPS,
    SNDR,
    SNIPS,
    DRos,
    LoggedMean,
    Replay,
    SubGauss,
    SwitchDR,
)
from ppo_marketing.ope.feedback import Decisions, from_columns, from_matrices
from ppo_marketing.ope.terms import Estimator, influence, standard_error, value
from tests.support.one_step import bandit, paper

ALL: tuple[Estimator, ...] = (
    IPS(), IPS(clip=2.0), SNIPS(), SubGauss(), MIPS(), DM(), DR(), SNDR(), SwitchDR(2.0), DRos(3.0),
    LoggedMean(),
)  # fmt: skip

REFERENCE: dict[str, Estimator] = {
    "ipw": IPS(),
    "ipw_clip5": IPS(clip=5.0),
    "snipw": SNIPS(),
    "dm": DM(),
    "dr": DR(),
    "sndr": SNDR(),
    "switch_dr_tau3": SwitchDR(tau=3.0),
    "switch_dr_tau1": SwitchDR(tau=1.0),
    "dros_lambda5": DRos(lam=5.0),
    "dros_lambda1": DRos(lam=1.0),
}


def of(estimator: Estimator, decisions: Decisions) -> float:
    return value(estimator.terms(decisions), decisions)


def error_of(estimator: Estimator, decisions: Decisions) -> float:
    return standard_error(influence(estimator.terms(decisions), decisions), decisions)


def reference(shared_data: Path, name: str) -> tuple[Any, dict[str, float]]:
    folder = shared_data.parent / "reference" / "ope"
    if not (folder / f"{name}.npz").is_file():
        pytest.skip(
            f"reference arrays are absent: expected ope/{name}.npz in {folder.parent.name}/"
        )
    return np.load(folder / f"{name}.npz"), json.loads((folder / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["five_actions", "ten_actions", "twenty_actions_heavy_weights_3"])
def test_every_estimator_equals_the_open_bandit_pipeline(shared_data: Path, name: str) -> None:
    arrays, answers = reference(shared_data, name)
    taken = ("reward", "action", "propensity", "target_probabilities", "predicted_reward")
    decisions = from_matrices(**{column: arrays[column] for column in taken})
    compared = answers.keys() & REFERENCE.keys()
    assert len(compared) == 8
    for answer in compared:
        found = of(REFERENCE[answer], decisions)
        assert found == pytest.approx(answers[answer], rel=0, abs=1e-9), answer
    logged = answers["on_policy_logged_mean"]
    assert of(LoggedMean(), decisions) == pytest.approx(logged, rel=0, abs=1e-9)


def test_every_estimator_equals_the_reference_on_the_open_bandit_log(shared_data: Path) -> None:
    arrays, answers = reference(shared_data, "obd_all_random_to_bts")
    log = shared_data / "open_bandit_small" / "random" / "all" / "all.csv.gz"
    if not log.is_file():
        pytest.skip("open_bandit_small/random/all/all.csv.gz is not in the shared data")
    with gzip.open(log) as file:
        table = pa_csv.read_csv(file)
    position = table["position"].to_numpy() - 1
    decisions = from_matrices(
        reward=table["click"].to_numpy(),
        action=table["item_id"].to_numpy(),
        propensity=table["propensity_score"].to_numpy(),
        target_probabilities=arrays["bts_probabilities"].T[position],
        predicted_reward=arrays["predicted_reward_logged_position"],
    )
    compared = answers.keys() & REFERENCE.keys()
    assert len(compared) == 7
    for answer in compared:
        assert of(REFERENCE[answer], decisions) == pytest.approx(answers[answer], rel=1e-6), answer
    assert of(LoggedMean(), decisions) == pytest.approx(answers["random_on_policy_mean"])


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (IPS(), (2 + 0 + 1 + 8) / 4),
        (IPS(clip=2.0), (2 + 0 + 1 + 4) / 4),
        (SNIPS(), 11 / 7.5),
        # λ = 1/2: weights 2 w / (1 + w) are 4/3, 2/3, 1, 8/5
        (SubGauss(lam=0.5), (4 / 3 + 0 + 1 + 16 / 5) / 4),
        (DM(), 2.5 / 4),
        # w (r - q) = 1, -1/4, 0, 4
        (DR(), (2.5 + 4.75) / 4),
        (SNDR(), 2.5 / 4 + 4.75 / 7.5),
        (SwitchDR(tau=2.0), (2.5 + 0.75) / 4),
        # λ = 2: weights 2 w / (w² + 2) are 2/3, 4/9, 2/3, 4/9
        (DRos(lam=2.0), (2.5 + 1 / 3 - 2 / 9 + 0 + 4 / 9) / 4),
        (LoggedMean(), 1.0),
    ],
    ids=lambda case: getattr(case, "name", ""),
)
def test_four_rows_on_paper(estimator: Estimator, expected: float) -> None:
    assert of(estimator, paper()) == pytest.approx(expected, abs=1e-12)


def test_the_sub_gaussian_rate_is_the_theorems() -> None:
    # mean(w²) = (4 + 1/4 + 1 + 16) / 4, so that n mean(w²) = 21.25
    assert SubGauss().rate(paper()) == pytest.approx(math.sqrt(2 * math.log(20) / (3 * 21.25)))


def test_sub_gaussian_weights_run_from_ips_to_the_logged_mean(rng: np.random.Generator) -> None:
    decisions = bandit(300, rng).decisions()
    assert of(SubGauss(lam=0.0), decisions) == pytest.approx(of(IPS(), decisions))
    assert of(SubGauss(lam=1.0), decisions) == pytest.approx(of(LoggedMean(), decisions))


def test_shrunken_doubly_robust_estimators_run_from_the_model_to_doubly_robust(
    rng: np.random.Generator,
) -> None:
    decisions = bandit(300, rng).decisions()
    model, robust = of(DM(), decisions), of(DR(), decisions)
    assert model != pytest.approx(robust, abs=1e-3)
    smallest = float(decisions.ratio.min())
    for full in (SwitchDR(tau=math.inf), DRos(lam=math.inf), DRos(lam=1e12)):
        assert of(full, decisions) == pytest.approx(robust, abs=1e-7)
    for none in (SwitchDR(tau=smallest / 2), DRos(lam=1e-12)):
        assert of(none, decisions) == pytest.approx(model, abs=1e-7)


def test_doubly_robust_without_a_model_is_importance_weighting(rng: np.random.Generator) -> None:
    log = bandit(300, rng)
    blind = log.decisions(predicted_reward=np.zeros_like(log.columns["predicted_reward"]))
    for robust, plain in ((DR(), IPS()), (SNDR(), SNIPS())):
        assert of(robust, blind) == pytest.approx(of(plain, blind))
        assert error_of(robust, blind) == pytest.approx(error_of(plain, blind))


def test_the_logging_policy_evaluated_on_its_own_log_is_its_mean() -> None:
    own = paper(chosen=[0.25, 0.5, 0.5, 0.125])
    for estimator in (IPS(), SNIPS(), SubGauss()):
        assert of(estimator, own) == pytest.approx(1.0)


@given(shift=st.floats(-10, 10))
def test_snips_moves_with_a_shift_of_rewards_and_ips_does_not(shift: float) -> None:
    shifted = paper(reward=np.array([1.0, 0.0, 1.0, 2.0]) + shift)
    assert of(SNIPS(), shifted) == pytest.approx(of(SNIPS(), paper()) + shift, abs=1e-9)
    # The mean weight is 7.5 / 4, by which IPS scales the shift.
    assert of(IPS(), shifted) == pytest.approx(of(IPS(), paper()) + shift * 7.5 / 4, abs=1e-9)


def test_replay_is_the_mean_of_matching_rows_of_a_uniform_log() -> None:
    uniform: dict[str, Any] = {"propensity": [0.5] * 4, "chosen": [1.0, 0.0, 0.0, 1.0]}
    decisions = paper(**uniform)
    assert of(Replay(), decisions) == pytest.approx((1.0 + 2.0) / 2)
    assert of(Replay(), decisions) == pytest.approx(of(SNIPS(), decisions))


def test_replay_is_refused_where_matching_rows_are_no_fair_sample() -> None:
    with pytest.raises(UserError, match="equal propensities"):
        Replay().terms(paper())


def test_mips_is_ips_when_every_action_is_its_own_category(rng: np.random.Generator) -> None:
    log = bandit(300, rng)
    logging = np.full((300, 28), 1 / 28)
    uniform = log.columns | {"propensity": np.full(300, 1 / 28), "logging_probabilities": logging}
    single = from_matrices(**uniform, category=np.arange(28))
    assert of(MIPS(), single) == pytest.approx(of(IPS(), single))
    one = from_matrices(**uniform, category=np.zeros(28))
    assert of(MIPS(), one) == pytest.approx(of(LoggedMean(), one))


def test_mips_weights_by_category_on_paper() -> None:
    # Categories {0, 1} and {2}: π = .5 + .2, .3 and p = .25 + .25, .5
    row: dict[str, Any] = {
        "target_probabilities": np.array([[0.5, 0.2, 0.3]] * 3),
        "logging_probabilities": np.array([[0.25, 0.25, 0.5]] * 3),
        "predicted_reward": np.zeros((3, 3)),
        "reward": [1.0, 0.0, 1.0],
        "action": [0, 1, 2],
        "propensity": [0.25, 0.25, 0.5],
    }
    exact = from_matrices(**row, category=["a", "a", "b"])
    assert exact.marginal == pytest.approx([1.4, 1.4, 0.6])
    assert of(MIPS(), exact) == pytest.approx((1.4 + 0.6) / 3)
    del row["logging_probabilities"]
    estimated = from_matrices(**row, category=["a", "a", "b"])
    # Mean importance weights of the category: (2 + .8) / 2 and .6
    assert estimated.marginal == pytest.approx([1.4, 1.4, 0.6])


def test_mips_asks_for_categories() -> None:
    with pytest.raises(UserError, match="category"):
        MIPS().terms(paper())


def with_marginal(decisions: Decisions) -> Decisions:
    return from_columns(
        reward=decisions.reward, propensity=decisions.propensity, chosen=decisions.chosen,
        direct=decisions.direct, predicted=decisions.predicted, weight=decisions.weight,
        unit=decisions.unit, marginal=decisions.ratio**0.5,
    )  # fmt: skip


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: e.name)
def test_influence_is_the_derivative_of_the_value_in_the_rows_share(
    estimator: Estimator, rng: np.random.Generator
) -> None:
    decisions = with_marginal(bandit(50, rng).decisions())
    terms = estimator.terms(decisions)
    psi = influence(terms, decisions)
    assert decisions.mean(psi) == pytest.approx(0.0, abs=1e-12)
    row, step = 7, 1e-5
    heavier = decisions.weight.copy()
    heavier[row] += step
    moved = with_marginal(bandit(50, np.random.default_rng(20_240_601)).decisions(weight=heavier))
    slope = (value(terms, moved) - value(terms, decisions)) / step * len(heavier)
    assert slope == pytest.approx(psi[row], rel=1e-3, abs=1e-6)


def test_the_standard_error_of_independent_rows_is_the_textbooks(rng: np.random.Generator) -> None:
    decisions = bandit(400, rng).decisions()
    product = decisions.ratio * decisions.reward
    assert error_of(IPS(), decisions) == pytest.approx(product.std(ddof=1) / 20.0)


@pytest.mark.parametrize("estimator", [IPS(), SNIPS(), DR(), SNDR()], ids=lambda e: e.name)
def test_copies_within_a_unit_add_no_certainty(
    estimator: Estimator, rng: np.random.Generator
) -> None:
    log = bandit(200, rng)
    twice: dict[str, Any] = {
        name: np.concatenate([column, column]) for name, column in log.columns.items()
    }
    once, doubled = log.decisions(), from_matrices(**twice)
    heavy = log.decisions(weight=np.full(200, 2.0))
    for same in (doubled, heavy):
        assert of(estimator, same) == pytest.approx(of(estimator, once))
        assert error_of(estimator, same) == pytest.approx(error_of(estimator, once))


def test_impressions_without_units_are_independent_of_each_other(rng: np.random.Generator) -> None:
    log = bandit(200, rng)
    counted = log.decisions(unit=None, weight=np.full(200, 3.0))
    apart: dict[str, Any] = {
        name: np.repeat(column, 3, axis=0) for name, column in log.columns.items()
    }
    spelt = from_matrices(**apart | {"unit": np.arange(600)})
    assert error_of(DR(), counted) == pytest.approx(error_of(DR(), spelt))


def test_one_unit_has_no_standard_error() -> None:
    assert math.isnan(error_of(IPS(), paper(unit=["one"] * 4)))


def test_a_target_that_nobody_followed_has_no_self_normalised_value() -> None:
    nothing = paper(chosen=[0.0] * 4)
    assert math.isnan(of(SNIPS(), nothing))
    assert of(IPS(), nothing) == 0.0
    assert of(SubGauss(lam=1.0), nothing) == 0.0


@pytest.mark.parametrize(
    ("kind", "setting"), [(IPS, 0.0), (SwitchDR, -1.0), (DRos, 0.0), (SubGauss, 1.5)]
)
def test_a_setting_out_of_range_is_refused(kind: Any, setting: float) -> None:
    with pytest.raises(UserError, match="must be"):
        kind(setting)
