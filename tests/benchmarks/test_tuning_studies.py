"""When a study's settings are a reason to change the defaults."""

from __future__ import annotations

import pytest

from benchmarks.tuning_studies import judged, summary_of


def test_a_gain_on_every_seed_is_a_reason() -> None:
    found = judged(
        {"shipped": [0.90, 0.91, 0.92, 0.93, 0.94], "chosen": [0.95, 0.96, 0.97, 0.98, 0.99]}
    )
    assert found["better"]
    assert found["gain"]["difference"] == pytest.approx(0.05)


def test_a_gain_that_some_seeds_deny_is_none_however_good_the_best_seed() -> None:
    found = judged({"shipped": [0.9] * 5, "chosen": [0.99, 0.99, 0.91, 0.85, 0.85]})
    assert found["gain"]["low"] < 0 < found["gain"]["difference"]
    assert not found["better"]


def test_no_difference_is_none() -> None:
    assert not judged({"shipped": [0.9] * 5, "chosen": [0.9] * 5})["better"]


def test_a_study_is_summed_up_without_the_curves_of_its_trials() -> None:
    trials = [{"state": "complete", "curve": {"1": 0.5}}, {"state": "pruned"}, {"state": "pruned"}]
    found = summary_of({"decision": "d", "chosen": {"epochs": 5}, "trials": trials})
    assert found == {
        "decision": "d",
        "chosen": {"epochs": 5},
        "states": {"complete": 1, "pruned": 2},
    }
