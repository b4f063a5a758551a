"""A search: begins from what is, prunes what falls behind, outlives its killing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from ppo_marketing.config import EvaluationSection, TrainingSection, load_config
from ppo_marketing.constrained import score_beyond
from ppo_marketing.errors import UserError
from ppo_marketing.jobs import study as search
from ppo_marketing.jobs.study import (
    Job,
    TuningPlan,
    as_suggested,
    begin_with_defaults,
    is_default,
    suggested,
)
from ppo_marketing.jobs.tuning import refuse_nonsense, refuse_other_study
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.trust_region import KLPenalty
from ppo_marketing.rivals.table import RIVALS, Given
from ppo_marketing.trial import Ground, Outcome, Trial

GIVEN = Given(PPOConfig(rollout_steps=24, minibatch_size=200, gae_lambda=0.9), copies=8)


def job_in(folder: Path, *, seeds: int = 1) -> Job:
    ground = Ground("any", folder, folder, TrainingSection(), EvaluationSection(), seed=0)
    plan = TuningPlan(trials=4, steps=1000, seeds=seeds)
    return Job(0, folder / "study.journal", ground, plan, GIVEN, continuous=True)


def telling(curve: Callable[[Trial], Iterable[tuple[int, float]]]) -> Any:
    """What stands in for a training: it tells this curve of steps and scores, its last the best."""

    def perform(trial: Trial, ground: Ground, watch: Callable[[int, float], None]) -> Outcome:
        score = 0.0
        for steps, score in curve(trial):
            watch(steps, score)
        return Outcome({"failed": None, "best_score": score}, {})

    return perform


def scoring(score: Callable[[Trial], float]) -> Any:
    """A training with one score at every tenth of the steps."""
    return telling(lambda trial: [(point, score(trial)) for point in (0, *trial.points)])


def test_the_first_trial_is_the_settings_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "perform", scoring(lambda trial: 0.5))
    job = job_in(tmp_path)
    study = search.opened(job.journal, 0)
    study.enqueue_trial(as_suggested(GIVEN, True))
    assert search.one_trial(job) == 0
    overrides = study.trials[0].user_attrs["settings"]
    resolved = RIVALS["ppo"].resolved(GIVEN, "continuous", overrides)["ppo"]
    assert resolved == {**GIVEN.ppo.as_values(), "minibatch_size": 24 * 8}


def test_every_suggestion_can_be_configured(tmp_path: Path) -> None:
    study = search.opened(tmp_path / "study.journal", 3)
    for _ in range(30):
        overrides = suggested(study.ask(), GIVEN, continuous=False)
        RIVALS["ppo"].resolved(GIVEN, "discrete", overrides)
        assert "log_std_initial" not in overrides


def test_the_score_is_the_mean_over_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "perform", scoring(lambda trial: float(trial.seed)))
    job = job_in(tmp_path, seeds=3)
    search.one_trial(job)
    assert search.complete(search.opened(job.journal, 0))[0].value == 1.0


def test_settings_that_break_the_limit_with_one_seed_rank_below_all_that_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_in(tmp_path, seeds=3)
    monkeypatch.setattr(search, "perform", scoring(lambda trial: 0.1))
    search.one_trial(job)
    broken = (0.9, 0.9, score_beyond(0.3))
    monkeypatch.setattr(search, "perform", scoring(lambda trial: broken[trial.seed]))
    search.one_trial(job)
    values = [trial.value for trial in search.complete(search.opened(job.journal, 0))]
    assert values == pytest.approx([0.1, score_beyond(0.1)], rel=0, abs=1e-9)


def test_what_falls_behind_the_median_is_pruned_and_counts_as_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_in(tmp_path)
    score = 0.9
    reached: list[int] = []

    def perform(trial: Trial, ground: Ground, watch: Callable[[int, float], None]) -> Outcome:
        def counted(steps: int, value: float) -> None:
            reached.append(steps)
            watch(steps, value)

        made: Outcome = scoring(lambda trial: score)(trial, ground, counted)
        return made

    monkeypatch.setattr(search, "perform", perform)
    for _ in range(search.STARTUP_TRIALS):
        search.one_trial(job)
    score = 0.1
    reached.clear()
    search.one_trial(job)
    study = search.opened(job.journal, 0)
    assert study.trials[-1].state == TrialState.PRUNED
    assert reached == [0, 100], "the training was ended at the first point"
    assert len(search.finished(study)) == search.STARTUP_TRIALS + 1
    assert len(search.complete(study)) == search.STARTUP_TRIALS


def test_trials_with_rollouts_of_other_lengths_are_pruned_by_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A curve is scored after whole rollouts, so these two pass the same points at other steps."""
    job = job_in(tmp_path)
    rollout, score = 64, 0.9
    perform = telling(lambda trial: [(-(-k // rollout) * rollout, score) for k in trial.points])
    monkeypatch.setattr(search, "perform", perform)
    for _ in range(search.STARTUP_TRIALS):
        search.one_trial(job)
    rollout, score = 70, 0.1
    search.one_trial(job)
    assert search.opened(job.journal, 0).trials[-1].state == TrialState.PRUNED


def test_a_trial_that_few_others_can_be_compared_with_is_not_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_in(tmp_path)
    passed, score = 0, 0.9
    perform = telling(lambda trial: [(point, score) for point in trial.points[passed:]])
    monkeypatch.setattr(search, "perform", perform)
    search.one_trial(job)
    passed = 9
    for _ in range(search.STARTUP_TRIALS):
        search.one_trial(job)
    passed, score = 0, 0.1
    search.one_trial(job)
    trial = search.opened(job.journal, 0).trials[-1]
    assert trial.state == TrialState.COMPLETE
    assert set(trial.intermediate_values) == {100 * k for k in range(1, 11)}


@pytest.mark.parametrize(("reached", "point"), [(0, 0), (99, 0), (100, 100), (350, 300)])
def test_a_point_counts_once_it_is_passed(reached: int, point: int) -> None:
    assert search.point_of((100, 200, 300, 400), reached) == point


def test_a_diverged_training_fails_its_trial_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def perform(trial: Trial, ground: Ground, watch: Any) -> Outcome:
        return Outcome({"failed": "the loss is nan"}, {})

    monkeypatch.setattr(search, "perform", perform)
    job = job_in(tmp_path)
    search.one_trial(job)
    study = search.opened(job.journal, 0)
    assert study.trials[0].state == TrialState.FAIL
    assert study.trials[0].user_attrs["failed"] == "the loss is nan"
    assert search.finished(study) == []


def test_the_defaults_are_tried_again_until_they_were_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = replace(GIVEN, copies=16)
    job = job_in(tmp_path)._replace(given=given)
    failing = True

    def perform(trial: Trial, ground: Ground, watch: Any) -> Outcome:
        if failing:
            return Outcome({"failed": "the loss is nan"}, {})
        made: Outcome = scoring(lambda trial: 0.25)(trial, ground, watch)
        return made

    monkeypatch.setattr(search, "perform", perform)

    def defaults() -> list[tuple[int, float | None]]:
        study = search.opened(job.journal, 0)
        done = search.complete(study)
        return [(trial.number, trial.value) for trial in done if is_default(trial, given, True)]

    def begun() -> None:
        begin_with_defaults(search.opened(job.journal, 0), given, True)

    begun()
    begun()
    search.one_trial(job)
    assert defaults() == [], "what failed has no score, and none is made up"
    failing = False
    begun()
    begun()
    for _ in range(2):
        search.one_trial(job)
    assert defaults() == [(1, 0.25)]
    begun()
    search.one_trial(job)
    assert defaults() == [(1, 0.25)], "they were measured, and wait no more"


def test_a_trust_region_that_is_not_searched_leaves_no_default_to_compare_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "perform", scoring(lambda trial: 0.5))
    penalised = Given(PPOConfig(trust_region=KLPenalty()), copies=8)
    job = job_in(tmp_path)._replace(given=penalised)
    begin_with_defaults(search.opened(job.journal, 0), penalised, True)
    search.one_trial(job)
    (trial,) = search.complete(search.opened(job.journal, 0))
    assert not is_default(trial, penalised, True)


def test_trials_that_a_killed_search_left_running_are_closed(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    search.opened(journal, 0).ask()
    reopened = search.opened(journal, 1)
    assert [trial.state for trial in reopened.trials] == [TrialState.RUNNING]
    search.close_orphans(reopened)
    assert [trial.state for trial in reopened.trials] == [TrialState.FAIL]


def test_importance_says_nothing_of_too_few_trials_and_finds_the_one_setting_that_matters(
    tmp_path: Path,
) -> None:
    study = search.opened(tmp_path / "study.journal", 0)
    assert search.importance(study) == {}
    scale = optuna.distributions.FloatDistribution(0.0, 1.0)
    for i in range(64):
        matters, idle = (i % 8) / 7, (i * 37 % 64) / 63
        study.add_trial(
            optuna.trial.create_trial(
                params={"matters": matters, "idle": idle},
                distributions={"matters": scale, "idle": scale},
                value=matters,
            )
        )
    found = search.importance(study)
    assert found["matters"] > 0.8


@pytest.mark.parametrize("name", ["trials", "steps", "seeds", "processes"])
def test_counts_below_one_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"--{name} is 0: it must be at least 1"):
        refuse_nonsense(TuningPlan(**{name: 0}))


def test_a_study_is_continued_on_its_own_market_steps_and_seeds_only(tmp_path: Path) -> None:
    ground = job_in(tmp_path).ground
    for name in ("settings.json", "calibration.json"):
        (tmp_path / name).write_text("{}")
    config = load_config(None, {"decision": "bidding", "output": tmp_path})
    refuse_other_study(config, TuningPlan(steps=10), ground, "data")
    refuse_other_study(config, TuningPlan(steps=10, trials=99), ground, "data")
    with pytest.raises(UserError, match="another study; it differs in learned from, steps and"):
        refuse_other_study(config, TuningPlan(steps=20), ground, "other data")
    # The same log calibrated with another seed is another market.
    (tmp_path / "calibration.json").write_text('{"drawn": "otherwise"}')
    with pytest.raises(UserError, match="another study; it differs in calibration"):
        refuse_other_study(config, TuningPlan(steps=10), ground, "data")
