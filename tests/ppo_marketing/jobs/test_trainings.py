"""Trainings that were kept: taken back whole, or refused with what is wrong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from envs import load_decision
from envs.core.decision import Calibration
from ppo_marketing.config import EvaluationSection, TrainingSection
from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.jobs import trainings
from ppo_marketing.jobs.trainings import Kept, Task, by_label, done, finished, kept, task_of
from ppo_marketing.ppo.constraint import PIDLagrangian
from ppo_marketing.trial import Ground, Outcome, Trial


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A finished training whose work is stood in for."""

    def perform(trial: Trial, ground: Ground) -> Outcome:
        return Outcome({"label": trial.label, "failed": None}, {"value": np.array([1.5, 2.5])})

    monkeypatch.setattr(trainings, "perform", perform)
    ground = Ground("any", tmp_path, tmp_path, TrainingSection(), EvaluationSection(), 0)
    trial = Trial("ppo", "ppo", "own", 0, 10, (10,))
    task = Task(trial, ground, {"learned from": "abc", "training": {"steps": 10}}, tmp_path)
    assert kept(task) is None
    done(task)
    return task


def test_what_was_kept_is_taken_back_as_it_was(task: Task) -> None:
    found = kept(task)
    assert found is not None
    assert found.record["label"] == "ppo"
    np.testing.assert_array_equal(found.kpis["value"], [1.5, 2.5])


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"learned from": "another log"}, "learned from"),
        ({"training": {"steps": 11}, "judged on": [1]}, "training, judged on"),
    ],
)
def test_another_training_under_the_same_name_is_refused_and_what_differs_is_named(
    task: Task, changed: dict[str, Any], named: str
) -> None:
    with pytest.raises(UserError, match=f"another comparison; it differs in {named}"):
        kept(task._replace(identity={**task.identity, **changed}))


def test_arrays_that_are_not_what_was_written_are_refused(task: Task) -> None:
    arrays = task.folder / "ppo-seed0.kpis.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="not what was written"):
        kept(task)
    arrays.unlink()
    with pytest.raises(IntegrityError, match="lost its arrays"):
        kept(task)


def test_trainings_are_grouped_by_competitor_with_ppo_first_and_seeds_in_order() -> None:
    def one(label: str, seed: int, failed: str | None = None) -> Kept:
        return Kept({"label": label, "seed": seed, "failed": failed}, {})

    gone = one("sac", 10, failed="the loss is nan")
    several = [one("sac", 2), gone, one("ppo epochs=1", 0), one("ppo", 1), one("ppo", 0)]
    found = by_label({f"{place}": kept for place, kept in enumerate(several)})
    seeds = {label: [kept.record["seed"] for kept in own] for label, own in found.items()}
    assert list(seeds.items()) == [("ppo", [0, 1]), ("sac", [2, 10]), ("ppo epochs=1", [0])]
    assert finished(found["sac"]) == [several[0]]


def test_another_limit_or_calibration_makes_another_training(tmp_path: Path) -> None:
    card = load_decision("personalization")
    settings = card.sample_settings()
    world = card.true_world(card.presets[0], 10, settings, np.random.default_rng(0))
    market = SimpleNamespace(data_sha256="abc", history_world=lambda settings: world)

    def identity(limit: float | None, margin: float = 0.1) -> dict[str, Any]:
        constraint = limit and PIDLagrangian(kpi="impressions", limit=limit, margin=margin)
        section = TrainingSection(constraint=constraint or None)
        ground = Ground(card.name, tmp_path, tmp_path, section, EvaluationSection(), 0)
        trial = Trial("ppo", "ppo", "own", 0, 10, (10,))
        return task_of(
            trial, ground, card, cast("Calibration", market), settings, tmp_path
        ).identity

    (tmp_path / "calibration.json").write_text("{}")
    assert identity(0.5) == identity(0.5)
    others = [identity(None), identity(0.6), identity(0.5, margin=0.2)]
    for other in others:
        differing = {name for name, value in identity(0.5).items() if other[name] != value}
        assert differing == {"limit"}
    before = identity(0.5)
    # The same log calibrated with another seed is another market.
    (tmp_path / "calibration.json").write_text('{"drawn": "otherwise"}')
    assert {name for name, value in identity(0.5).items() if before[name] != value} == {
        "calibration"
    }
