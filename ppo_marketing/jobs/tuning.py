"""`tune`: PPO's settings searched on the validation score, trial by trial, kept and resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from envs.core.calibration_folder import RECORD
from envs.core.decision import Decision
from ppo_marketing.config import RunConfig
from ppo_marketing.constrained import share_of, shares_of
from ppo_marketing.errors import PpoMarketingError, UserError, below_one
from ppo_marketing.files import folder_sha256, held_alone, read_json, write_atomically
from ppo_marketing.jobs.calibration import record_calibration
from ppo_marketing.jobs.comparing import ground_of, market_of
from ppo_marketing.jobs.folder import tags, write_json
from ppo_marketing.jobs.plan import FIXED_COST_S, own_form
from ppo_marketing.jobs.study import (
    FrozenTrial,
    Job,
    Study,
    TuningPlan,
    begin_with_defaults,
    close_orphans,
    complete,
    finished,
    importance,
    is_default,
    one_trial,
    opened,
)
from ppo_marketing.parallel import in_processes
from ppo_marketing.pipeline import learning
from ppo_marketing.ppo.signals import stop_on_signals
from ppo_marketing.progress import Reporter
from ppo_marketing.rivals.table import RIVALS, Given
from ppo_marketing.tracking import Run, Tracker, open_tracker
from ppo_marketing.trial import Ground


@dataclasses.dataclass(frozen=True)
class TuneSummary:
    """What `tune` leaves behind; scores are validation scores (see `constrained.keeps_limit`).

    `default_score` is of the settings that the search began from, None where it was not measured:
    that trial failed or was pruned, or its trust region is none that is searched.
    """

    output: Path
    run_id: str
    best_score: float
    default_score: float | None
    chosen: Mapping[str, Any]
    trials: int
    pruned: int


def tune(
    decision: Decision,
    config: RunConfig,
    plan: TuningPlan,
    calibration: Path | None,
    reporter: Reporter,
    announce: Callable[[str], None],
) -> TuneSummary:
    """Search until `plan.trials` are finished, those of an earlier start included."""
    ppo = learning.ppo_config(decision, config.training)
    refuse_nonsense(plan)
    continuous = own_form(decision) == "continuous"
    with held_alone(config.output):
        market = market_of(decision, config, calibration, reporter)
        ground = ground_of(decision, config, market)
        given = Given(ppo, config.training.copies)
        refuse_other_study(config, plan, ground, market.calibration.data_sha256)
        journal = (config.output / "study.journal").resolve()
        study = opened(journal, config.seed)
        close_orphans(study)
        earlier = finished(study)
        numbers = range(len(earlier), plan.trials)
        if numbers:
            begin_with_defaults(study, given, continuous)
        announce(_foretold(plan, len(numbers)))
        with reporter.stage("opening the tracker"):
            tracker = open_tracker(config.project)
        params = {**config.as_values(), "search": dataclasses.asdict(plan)}
        name = f"tune {config.output.name}"
        with tracker.start(decision.name, name, params=params, tags=tags(config)) as run:
            record_calibration(run, market.calibration, market.about)
            for trial in earlier:
                _record(decision, tracker, run, trial, resumed=True)
            with (
                reporter.stage("searching", plan.trials) as stage,
                stop_on_signals() as stop,
            ):
                stage.reach(len(earlier), f"{len(earlier)} of {plan.trials}")

                def on_done(job: Job, number: int) -> None:
                    trial = study.trials[number]
                    done = len(finished(study))
                    stage.reach(done, f"{done} of {plan.trials}, best {_best_so_far(study)}")
                    _record(decision, tracker, run, trial, resumed=False)

                jobs = [Job(n, journal, ground, plan, given, continuous) for n in numbers]
                in_processes(one_trial, jobs, processes=plan.workers, on_done=on_done, stop=stop)
            defaults = [trial for trial in complete(study) if is_default(trial, given, continuous)]
            return _kept(decision, config, plan, defaults, study, run)


def refuse_nonsense(plan: TuningPlan) -> None:
    """Raise UserError that lists every count below one."""
    problems = below_one(
        {
            "--trials": plan.trials,
            "--steps": plan.steps,
            "--seeds": plan.seeds,
            "--processes": plan.workers,
        }
    )
    if problems:
        raise UserError("nothing can be tuned like this:\n  " + "\n  ".join(problems))


def refuse_other_study(
    config: RunConfig, plan: TuningPlan, ground: Ground, data_sha256: str
) -> None:
    """Raise UserError where the folder's study has another market, other steps or other seeds.

    Their scores could not be held against each other. Where there is none, say what this one is of.
    """
    own = {
        "decision": config.decision,
        "learned from": data_sha256,
        "calibration": folder_sha256(ground.calibration, RECORD),
        "environment": read_json(ground.settings / "settings.json"),
        "training": config.as_values()["training"],
        "steps and seeds": [plan.steps, plan.seeds, config.seed],
    }
    path = config.output / "study.json"
    written = read_json(path) if path.exists() else own
    differing = [name for name, value in own.items() if written.get(name) != value]
    if differing:
        raise UserError(
            f"{config.output} holds another study; it differs in {', '.join(differing)}. Choose "
            "another --output, or delete its study.json and study.journal to search anew"
        )
    write_json(path, own)


def ready(config: RunConfig, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that trains with the chosen settings what the search trained."""
    values = config.as_values()
    training = values["training"]
    return {
        "decision": config.decision,
        "log": values["log"],
        "environment": values["environment"],
        "training": {**training, "ppo": {**training["ppo"], **chosen}},
    }


def _foretold(plan: TuningPlan, missing: int) -> str:
    seconds = missing * plan.seeds * (FIXED_COST_S + RIVALS["ppo"].cost_us * plan.steps / 1e6)
    minutes = seconds / plan.workers / 60
    return (
        f"{missing} of {plan.trials} trials, at most about {max(1, round(minutes))} minutes on "
        f"{plan.workers} processes; hopeless ones are pruned, finished ones kept when interrupted"
    )


def _best_so_far(study: Study) -> str:
    scored = complete(study)
    if not scored:
        return "none yet"
    share = share_of(scored[0].value)
    return "none within the limit" if share is None else f"{share:.4f}"


def _record(
    decision: Decision, tracker: Tracker, parent: Run, trial: Any, *, resumed: bool
) -> None:
    """One trial as a run below the study's own."""
    params = {"trial": trial.number, "ppo": trial.user_attrs.get("settings", trial.params)}
    marks = {
        "tuning.state": trial.state.name.lower(),
        "tuning.kept_from_earlier": str(resumed).lower(),
    }
    name = f"trial {trial.number}"
    with tracker.start(decision.name, name, params=params, tags=marks, parent=parent) as run:
        run.curve("validation_share", shares_of(trial.intermediate_values))
        score = share_of(trial.value)
        if score is not None:
            run.metrics({"score": score}, max(trial.intermediate_values, default=0))


def _kept(
    decision: Decision,
    config: RunConfig,
    plan: TuningPlan,
    defaults: Sequence[FrozenTrial],
    study: Study,
    run: Run,
) -> TuneSummary:
    """The chosen settings as a file that `run` and `train` take, and the study's summary."""
    scored = complete(study)
    if not scored:
        raise PpoMarketingError(
            "no trial was finished: every one diverged. Look at the runs of this study in MLflow, "
            "and at the scale of the rewards"
        )
    best = scored[0]
    assert best.value is not None, "it is complete"
    default = defaults[0].value if defaults else None
    chosen = dict(best.user_attrs["settings"])
    summary = {
        "decision": decision.name,
        "plan": dataclasses.asdict(plan),
        "seed": config.seed,
        "score": "mean share of the ceiling on validation episodes, best point of each training; "
        "null where the limit was broken",
        "default_score": share_of(default),
        "best_score": share_of(best.value),
        "best_trial": best.number,
        "chosen": chosen,
        "importance": importance(study),
        "trials": [
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "score": share_of(trial.value),
                "settings": trial.user_attrs.get("settings"),
                "curve": {str(step): share_of(s) for step, s in trial.intermediate_values.items()},
            }
            for trial in study.trials
        ],
    }
    write_json(config.output / "tuning.json", summary)
    run.json("tuning", summary)
    text = f"# chosen by `ppo-marketing tune`, trial {best.number} of {len(study.trials)}\n"
    text += yaml.safe_dump(ready(config, chosen), sort_keys=False)
    write_atomically(config.output / "tuned.yaml", text.encode())
    run.text("tuned.yaml", text)
    numbers = {"best_score": share_of(best.value), "default_score": share_of(default)}
    run.metrics({k: v for k, v in numbers.items() if v is not None}, plan.steps)
    pruned = len(finished(study)) - len(scored)
    return TuneSummary(
        config.output, run.id, best.value, default, chosen, len(study.trials), pruned,
    )  # fmt: skip
