"""The checks let the true generator pass and stop models that are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.core.fidelity import FidelityReport
from envs.personalization.evidence import (
    LEAST_POSITIVES,
    MOST_UNSUPPORTED,
    Evidence,
    gather_evidence,
)
from envs.personalization.fidelity import judge_model, weighted_slope
from envs.personalization.generator import PRESETS, Truth, truth_of
from envs.personalization.model import RewardModel, drawn_items, logit_of, logits_of, sigmoid
from envs.personalization.visits import Visits


def visits_of(truth: Truth, rows: int, rng: np.random.Generator) -> Visits:
    x = truth.contexts(rows, rng).x
    propensities = truth.logging.probabilities(x, None)
    item = drawn_items(propensities, rng)
    nobody, index = np.zeros(rows, np.int32), np.arange(rows, dtype=np.int32)
    chance = sigmoid(logit_of(truth.model, nobody, x, item, nobody))
    return Visits(
        x=x, item=item, position=nobody, propensity=propensities[index, item],
        reward=(rng.random(rows) < chance).astype(np.float64), weight=np.ones(rows),
        unit=index, session=np.full(rows, -1, np.int32), day=nobody,
        time=index.astype(np.int64), pool=nobody, pool_items=None,
    )  # fmt: skip


def judged(model: RewardModel, seed: int, *, rows: int = 25_000) -> tuple[FidelityReport, Evidence]:
    """The report on a model of the default market, whose rates are six times as high here.

    Some 190 rewards of 25,000 judging rows fall on the model's choice: well above the 100 asked.
    """
    truth, rng = likely(), np.random.default_rng(seed)
    earlier, later = visits_of(truth, 2 * rows, rng), visits_of(truth, rows, rng)
    logging = truth.logging
    evidence = gather_evidence(model, earlier, later, later.propensity, logging, rng)
    return judge_model(model, later, evidence), evidence


def likely() -> Truth:
    truth = truth_of(PRESETS["default"])
    raised = truth.model._replace(bias=truth.model.bias + np.log(6))
    return Truth(raised, truth.items, truth.logging, truth.preset)


def test_the_true_model_passes_in_nine_of_ten_logs() -> None:
    found = [judged(likely().model, seed) for seed in range(10)]
    assert sum(report.passed for report, _ in found) >= 9
    for _, evidence in found:
        assert evidence.positives >= LEAST_POSITIVES
        assert evidence.unsupported <= MOST_UNSUPPORTED
        assert evidence.greedy.lift_low > 0, "shown better than the log's own policy"


def wrong_models() -> dict[str, RewardModel]:
    true = likely().model
    order = np.random.default_rng(0).permutation(true.items)
    return {
        "doubled rates": true._replace(bias=true.bias + np.log(2)),
        "halved rates": true._replace(bias=true.bias - np.log(2)),
        "shuffled items": true._replace(bias=true.bias[:, order], vector=true.vector[:, order]),
        "exaggerated tastes": true._replace(vector=3 * true.vector),
        "tastes the wrong way round": true._replace(vector=-true.vector),
    }


@pytest.mark.parametrize("case", wrong_models())
def test_a_wrong_model_fails_on_every_log(case: str) -> None:
    for seed in range(2):
        report, _ = judged(wrong_models()[case], seed)
        assert not report.passed, case


def test_a_model_that_ranks_alike_but_promises_more_is_caught_by_its_values() -> None:
    # AUC is that of the truth: only the values tell.
    report, _ = judged(likely().model._replace(bias=likely().model.bias + np.log(2)), 0)
    failed = {check.name for check in report.failures}
    assert "rewards overall" in failed
    assert "value of the policy: greedy" in failed
    assert "calibration slope" not in failed


def test_few_rewards_are_refused_whatever_the_model() -> None:
    report, evidence = judged(likely().model, 0, rows=500)
    assert "effective positives" in {check.name for check in report.failures}
    assert evidence.positives < LEAST_POSITIVES


def test_rewards_that_the_model_was_fitted_to_are_no_evidence_for_it() -> None:
    truth, rng = likely(), np.random.default_rng(0)
    earlier, later = visits_of(truth, 20_000, rng), visits_of(truth, 2_000, rng)
    earlier = replace(earlier, reward=np.ones(earlier.size))
    evidence = gather_evidence(truth.model, earlier, later, later.propensity, truth.logging, rng)
    nobody = np.zeros(later.size, np.int64)
    best = logits_of(truth.model, nobody, later.x).argmax(axis=1)
    assert evidence.positives == later.reward[best == later.item].sum()
    assert 0 < evidence.positives < LEAST_POSITIVES


def test_a_choice_that_the_log_never_made_is_not_supported() -> None:
    truth = likely()
    # An item that hardly anyone was shown, and of which the model expects wonders.
    rare = int(truth.logging.bias.argmin())
    bias = truth.logging.bias.copy()
    bias[rare] = -30.0
    model = truth.model._replace(bias=truth.model.bias + 4 * (np.arange(20) == rare))
    logging = truth.logging._replace(bias=bias, uniform=0.0)
    hidden, rng = Truth(truth.model, truth.items, logging, truth.preset), np.random.default_rng(0)
    earlier, later = visits_of(hidden, 10_000, rng), visits_of(hidden, 10_000, rng)
    evidence = gather_evidence(model, earlier, later, later.propensity, logging, rng)
    assert evidence.unsupported > 0.5
    failed = {check.name for check in judge_model(model, later, evidence).failures}
    assert "unsupported mass" in failed


def test_the_slope_of_counts_is_that_of_their_impressions() -> None:
    rng = np.random.default_rng(0)
    q = rng.uniform(0.05, 0.4, 300)
    clicks = rng.binomial(20, q)
    event = np.tile([1.0, 0.0], 300)
    counts = np.column_stack([clicks, 20 - clicks]).ravel().astype(float)
    slope, error = weighted_slope(np.repeat(q, 2), event, counts)
    assert abs(slope - 1) < 3 * error
    apart = np.repeat(np.arange(600), counts.astype(int))
    again = weighted_slope(np.repeat(q, 2)[apart], event[apart], np.ones(len(apart)))
    assert again == pytest.approx((slope, error))
