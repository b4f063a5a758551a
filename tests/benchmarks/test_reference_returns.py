"""How rows of the reference benchmark are summed up, and what fails it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import reference_returns as reference
from benchmarks.reference_tasks import TASKS
from ppo_marketing.ppo.config import require_fitting_minibatch


def row(ours: list[float], theirs: list[float], *, gated: bool = True) -> dict[str, Any]:
    found = {
        name: {seed: {"return": r, "seconds": 1.0} for seed, r in enumerate(returns, 1)}
        for name, returns in (("ours", ours), (reference.PEER, theirs))
    }
    return reference.summary(found, {}, gated)


def test_an_interval_wholly_below_zero_fails() -> None:
    below = row([1.0, 1.1, 1.2, 1.3, 1.4], [2.0, 2.1, 2.2, 2.3, 2.4])
    assert below["against_stable_baselines3"]["ours"]["high"] < 0
    fault = reference.fault_of(below, reference.SEEDS)
    assert fault is not None
    assert "below" in fault


def test_noise_does_not_fail_and_a_row_that_is_only_shown_never_does() -> None:
    noisy = row([1.0, 3.0, 1.0, 3.0, 2.0], [2.0, 2.0, 2.0, 2.0, 2.5])
    assert reference.fault_of(noisy, reference.SEEDS) is None
    shown = row([1.0] * 5, [2.0] * 5, gated=False)
    assert reference.fault_of(shown, reference.SEEDS) is None


def test_missing_seeds_and_missing_peers_are_faults() -> None:
    part = row([1.0, 1.0], [1.0, 1.0])
    assert reference.fault_of(part, (1, 2)) is None
    assert reference.fault_of(part, (1, 2, 3)) == "seeds [3] are missing"
    assert reference.fault_of({"failed": "no Box2D", "seeds": []}, (1,)) == "no Box2D"


def test_only_seeds_that_everyone_has_are_compared() -> None:
    one = {"return": 1.0, "seconds": 1.0}
    found = {"ours": {1: one, 2: one, 3: one}, reference.PEER: {2: one}}
    assert reference.summary(found, {}, True)["seeds"] == [2]
    assert "returns" not in reference.summary({"ours": {}, reference.PEER: {}}, {}, True)


def test_the_interquartile_mean_is_that_of_the_middle_half_wherever_one_is_told() -> None:
    ours, theirs = [0.0, 5.0, 6.0, 10.0, 100.0], [0.0] * 5
    middle = (0.75 * 5 + 6 + 0.75 * 10) / 2.5  # of five values the outer quarters cut 1.25 each
    result = reference.compare(np.array(ours), np.array(theirs), np.random.default_rng(0))
    assert result["difference"] == pytest.approx(middle)
    assert row(ours, theirs)["interquartile_means"]["ours"] == pytest.approx(middle)


@pytest.mark.parametrize("name", TASKS)
def test_both_learners_are_told_the_same(name: str) -> None:
    task = TASKS[name]
    ours, theirs = task.ours(), task.theirs()
    require_fitting_minibatch(ours, task.copies)
    assert (ours.rollout_steps, ours.minibatch_size, ours.epochs) == (
        theirs["n_steps"],
        theirs["batch_size"],
        theirs["n_epochs"],
    )
    rate = theirs["learning_rate"]
    assert ours.learning_rate == (rate(1.0) if callable(rate) else rate)
    assert ours.anneals == callable(rate)
    for mine, other in (
        ("entropy_coefficient", "ent_coef"),
        ("value_coefficient", "vf_coef"),
        ("max_grad_norm", "max_grad_norm"),
        ("gamma", "gamma"),
        ("gae_lambda", "gae_lambda"),
    ):
        assert getattr(ours, mine) == theirs[other]


def test_every_marketing_environment_has_a_row() -> None:
    for name in set(reference.ROWS) - set(TASKS):
        learners, settings, gated = reference.row_of(name, None)
        assert set(learners) == {"ours", reference.PEER}
        assert settings["total_steps"] <= reference.MARKET_STEPS
        assert gated
