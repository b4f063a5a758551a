"""A search of PPO's settings by Optuna: where it looks, one trial, what is finished."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from envs.core.forms import Form
from ppo_marketing.constrained import mean_score
from ppo_marketing.parallel import cores
from ppo_marketing.rivals.table import RIVALS, Given
from ppo_marketing.trial import Ground, Trial, perform

Study = optuna.Study
FrozenTrial = optuna.trial.FrozenTrial

STUDY_NAME = "ppo"
POINTS = 10
"""Of a trial's curve: where it may be pruned."""
STARTUP_TRIALS = 8
"""Drawn at random before TPE has anything to go by; the defaults are the very first."""

LEAST_COMPARED = 4
"""Earlier trials whose median is worth pruning by."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuningPlan:
    """How much to search: complete or pruned trials altogether, steps of each, seeds of each."""

    trials: int = 40
    steps: int = 200_000
    seeds: int = 1
    processes: int | None = None

    @property
    def workers(self) -> int:
        """How many trials run at once."""
        return cores() if self.processes is None else self.processes


class Job(NamedTuple):
    """One trial to be asked for, run and told in a process of its own."""

    number: int
    journal: Path
    ground: Ground
    plan: TuningPlan
    given: Given
    continuous: bool


def suggested(trial: optuna.Trial, given: Given, *, continuous: bool) -> dict[str, Any]:
    """What is searched, and where: the ranges that practitioners report for PPO.

    Source: Andrychowicz et al. 2021, appendix; rl-baselines3-zoo, `hyperparams_opt.py`.
    """
    steps = sorted({8, 16, 32, 64, 128, given.ppo.rollout_steps})
    sizes = sorted({128, 256, 512, 1024, 2048, given.ppo.minibatch_size})
    rollout_steps = trial.suggest_categorical("rollout_steps", steps)
    minibatch_size = trial.suggest_categorical("minibatch_size", sizes)
    epsilon = trial.suggest_float("clip", 0.05, 0.4)
    found: dict[str, Any] = {
        "rollout_steps": rollout_steps,
        # A minibatch cannot be larger than what was gathered.
        "minibatch_size": min(minibatch_size, rollout_steps * given.copies),
        "epochs": trial.suggest_int("epochs", 1, 10),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "gae_lambda": trial.suggest_float("gae_lambda", 0.5, 1.0),
        "entropy_coefficient": trial.suggest_float("entropy_coefficient", 0.0, 0.05),
        "normalise_observations": trial.suggest_categorical(
            "normalise_observations", [True, False]
        ),
        "trust_region": {"kind": "clip", "low": epsilon, "high": epsilon},
    }
    if continuous:
        found["log_std_initial"] = trial.suggest_float("log_std_initial", -3.0, 0.0)
    return found


def one_trial(job: Job) -> int:
    """Ask for settings, train with each seed, tell the mean of the best scores; its number."""
    study = opened(job.journal, job.ground.seed + 1 + job.number)
    trial = study.ask()
    trial.set_user_attr("seeds", job.plan.seeds)
    overrides = suggested(trial, job.given, continuous=job.continuous)
    trial.set_user_attr("settings", overrides)
    scores: list[float] = []
    steps = job.plan.steps
    points = tuple(round(steps * k / POINTS) for k in range(1, POINTS + 1))

    def watch(reached: int, score: float) -> None:
        # Later seeds are not pruned: the first has shown that the settings are worth them.
        point = point_of(points, reached)
        if not scores and point > 0:
            trial.report(score, point)
            if point < steps and trial.should_prune():
                raise optuna.TrialPruned

    try:
        for offset in range(job.plan.seeds):
            one = Trial(
                f"trial-{trial.number}", "ppo", "own", job.ground.seed + offset, steps, points,
                overrides,
            )  # fmt: skip
            record = perform(one, job.ground, watch).record
            if record["failed"] is not None:
                trial.set_user_attr("failed", record["failed"])
                study.tell(trial, state=TrialState.FAIL)
                return trial.number
            scores.append(record["best_score"])
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
        return trial.number
    study.tell(trial, mean_score(scores))
    return trial.number


def point_of(points: Sequence[int], reached: int) -> int:
    """The last of the curve's points that has been passed, 0 before the first.

    Trainings stop at whole rollouts, so that trials with rollouts of different lengths are scored
    at different steps; a pruner compares them at the point that both have passed.
    """
    return max((point for point in points if point <= reached), default=0)


def opened(journal: Path, seed: int) -> optuna.Study:
    """The study that a journal holds, begun where there is none; many processes may have it open.

    Trees of Parzen estimators propose (Bergstra et al. 2011); what falls behind the median of the
    earlier trials at the same point is pruned, where at least `LEAST_COMPARED` have passed it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=STUDY_NAME,
        direction="maximize",
        load_if_exists=True,
        # What runs beside it counts as bad as can be, so that processes look in different places.
        sampler=optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=STARTUP_TRIALS, constant_liar=True
        ),
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=STARTUP_TRIALS, n_min_trials=LEAST_COMPARED
        ),
    )


def close_orphans(study: optuna.Study) -> None:
    """Trials that a killed process left running would be waited for for ever."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that need not be done again: complete or pruned."""
    return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))


def as_suggested(given: Given, continuous: bool) -> dict[str, Any]:
    """The settings as they are, in the words of `suggested`: the first trial."""
    ppo = given.ppo
    known: dict[str, Any] = {
        "rollout_steps": ppo.rollout_steps,
        "minibatch_size": ppo.minibatch_size,
        "epochs": ppo.epochs,
        "learning_rate": ppo.learning_rate,
        "gae_lambda": ppo.gae_lambda,
        "entropy_coefficient": ppo.entropy_coefficient,
        "normalise_observations": ppo.normalise_observations,
        "clip": getattr(ppo.trust_region, "high", None),
    }
    if continuous:
        known["log_std_initial"] = ppo.log_std_initial
    return {name: value for name, value in known.items() if value is not None}


def begin_with_defaults(study: optuna.Study, given: Given, continuous: bool) -> None:
    """Let the settings as they are be tried next, unless they were, or already wait for it.

    A trial of them that failed, or that died with its process, has measured nothing.
    """
    known = as_suggested(given, continuous).items()
    tried = any(known <= trial.params.items() for trial in finished(study))
    if not tried and not study.get_trials(states=(TrialState.WAITING,)):
        study.enqueue_trial(dict(known))


def is_default(trial: FrozenTrial, given: Given, continuous: bool) -> bool:
    """Whether a trial was run with exactly the settings as they are.

    None is where they have a trust region that is not searched.
    """
    settings = trial.user_attrs.get("settings")
    form: Form = "continuous" if continuous else "discrete"
    resolved = RIVALS["ppo"].resolved
    return settings is not None and resolved(given, form, settings) == resolved(given, form, {})


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have a score, the best first."""
    scored = study.get_trials(states=(TrialState.COMPLETE,))
    return sorted(scored, key=lambda trial: -(trial.value or 0.0))


def importance(study: optuna.Study) -> dict[str, float]:
    """What share of the score's variance each setting explains; nothing of too few trials."""
    if len(complete(study)) < STARTUP_TRIALS:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return optuna.importance.get_param_importances(study, evaluator=evaluator)
