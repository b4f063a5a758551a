"""`compare`: every algorithm on the same calibrated market, in processes, kept one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from envs.core.decision import Calibration, Decision, Rule
from envs.core.settings import settings_text
from envs.core.world import Array
from ppo_marketing import report_comparison
from ppo_marketing.comparison import (
    Comparison,
    Competitor,
    common_grid,
    competitor,
    mean_played,
)
from ppo_marketing.config import RunConfig
from ppo_marketing.constrained import share_of, shares_of
from ppo_marketing.errors import PpoMarketingError
from ppo_marketing.evaluation import Played, ceiling_of, play
from ppo_marketing.files import held_alone, made, read_json, write_atomically
from ppo_marketing.jobs.calibration import (
    calibrated,
    keep_calibration,
    playable_calibration,
    record_calibration,
)
from ppo_marketing.jobs.folder import part_of, tags, write_json
from ppo_marketing.jobs.logs import prepare
from ppo_marketing.jobs.plan import ComparisonPlan, Planned, planned
from ppo_marketing.jobs.references import refuse_reference
from ppo_marketing.jobs.trainings import Kept, Task, by_label, done, finished, kept, task_of
from ppo_marketing.parallel import in_processes
from ppo_marketing.pipeline import calibrating, judging
from ppo_marketing.pipeline.streams import JUDGING_EPISODES, stream
from ppo_marketing.ppo.signals import stop_on_signals
from ppo_marketing.progress import Reporter
from ppo_marketing.tracking import Run, Tracker, open_tracker
from ppo_marketing.trial import Ground


class Market(NamedTuple):
    """A calibration and where it lies, the settings on the best rule, the tuned rules."""

    calibration: Calibration
    folder: Path
    settings: Any
    rules: tuple[Rule[Any], ...]
    about: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class CompareSummary:
    """What `compare` leaves behind."""

    output: Path
    run_id: str
    comparison: Comparison


def compare(
    decision: Decision,
    config: RunConfig,
    plan: ComparisonPlan,
    calibration: Path | None,
    reporter: Reporter,
    announce: Callable[[str], None],
) -> CompareSummary:
    """Train all that the plan asks for, or what of it is missing in `config.output`, and judge.

    `announce` is told before the start how long it will take.
    """
    laid_out = planned(decision, config, plan)
    with held_alone(config.output):
        market = market_of(decision, config, calibration, reporter)
        ground = ground_of(decision, config, market)
        folder = made(config.output / "trainings")
        tasks = [
            task_of(trial, ground, decision, market.calibration, market.settings, folder)
            for trial in laid_out.trials
        ]
        announce(laid_out.foretold(plan.workers))
        with reporter.stage("opening the tracker"):
            tracker = open_tracker(config.project)
        params = {**config.as_values(), "comparison": dataclasses.asdict(plan)}
        name = f"compare {config.output.name}"
        with tracker.start(decision.name, name, params=params, tags=tags(config)) as run:
            record_calibration(run, market.calibration, market.about)
            results = _all_trained(decision, tasks, plan, tracker, run, reporter)
            with reporter.stage("judging on what was held out"):
                comparison = _judged(decision, market, laid_out, results, config)
            _keep(decision, comparison, config, plan, market, run)
    return CompareSummary(config.output, run.id, comparison)


def market_of(
    decision: Decision, config: RunConfig, calibration: Path | None, reporter: Reporter
) -> Market:
    """The saved calibration, or one made now from the log; rules tuned, settings anchored on them.

    Raises UserError where the simulator failed its checks and that was not accepted by name, or
    training is to be held to somebody whom the other algorithms do not know.
    """
    refuse_reference(config)
    if calibration is None:
        prepared = prepare(decision, config, reporter)
        market = calibrated(decision, prepared, config, reporter)
        folder, settings, about = config.output / "calibration", prepared.settings, prepared.about()
        keep_calibration(market, prepared, folder)
    else:
        folder = part_of(calibration, "calibration")
        market, settings = playable_calibration(decision, folder, config.environment)
        about = read_json(folder / "log.json")
    calibrating.require_fidelity(market, config.accept_failed_fidelity)
    with reporter.stage("tuning the rules on history"):
        rules = calibrating.tuned_rules(decision, market, settings, config.seed)
        settings = calibrating.anchored(decision, settings, rules)
    return Market(market, folder.resolve(), settings, rules, about)


def ground_of(decision: Decision, config: RunConfig, market: Market) -> Ground:
    """What all trainings share, its settings written where their processes read them."""
    folder = made(config.output / "ground").resolve()
    write_atomically(folder / "settings.json", settings_text(market.settings).encode())
    text = yaml.safe_dump(config.as_values(), sort_keys=False)
    write_atomically(config.output / "config.yaml", text.encode())
    return Ground(
        decision.name, market.folder, folder, config.training, config.evaluation, config.seed
    )


def _all_trained(
    decision: Decision,
    tasks: Sequence[Task],
    plan: ComparisonPlan,
    tracker: Tracker,
    run: Run,
    reporter: Reporter,
) -> dict[str, Kept]:
    """Every training by its name: kept from an earlier start, or done now."""
    earlier = {task.trial.name: kept(task) for task in tasks}
    results = {name: found for name, found in earlier.items() if found is not None}
    missing = [task for task in tasks if task.trial.name not in results]
    for found in results.values():
        _record(decision, tracker, run, found, resumed=True)
    total = sum(task.trial.steps for task in tasks)
    with reporter.stage("training", total) as stage, stop_on_signals() as stop:
        reached = total - sum(task.trial.steps for task in missing)

        def on_done(task: Task, result: Kept) -> None:
            nonlocal reached
            results[task.trial.name] = result
            reached += task.trial.steps
            stage.reach(reached, f"{len(results)} of {len(tasks)}, last {task.trial.name}")
            _record(decision, tracker, run, result, resumed=False)

        stage.reach(reached, f"{len(results)} of {len(tasks)}")
        in_processes(done, missing, processes=plan.workers, on_done=on_done, stop=stop)
    return {task.trial.name: results[task.trial.name] for task in tasks}


def _record(
    decision: Decision, tracker: Tracker, parent: Run, result: Kept, *, resumed: bool
) -> None:
    """One training as a run below the comparison's own."""
    record = result.record
    params = {name: record[name] for name in ("algorithm", "label", "seed", "steps", "settings")}
    marks = {"comparison.kept_from_earlier": str(resumed).lower()}
    with tracker.start(
        decision.name, record["name"], params=params, tags=marks, parent=parent
    ) as run:
        run.json("training", record)
        if record["failed"] is not None:
            run.tag("training.failed", record["failed"])
            return
        curve = zip(record["curve_steps"], record["curve_scores"], strict=True)
        run.curve("validation_share", shares_of(dict(curve)))
        names = ("largest_drop", "largest_kl", "entropy", "cpu_seconds")
        numbers = {name: record[name] for name in names}
        numbers["best_score"] = share_of(record["best_score"])
        known = {name: number for name, number in numbers.items() if number is not None}
        run.metrics(known, record["steps_done"])


def _judged(
    decision: Decision,
    market: Market,
    laid_out: Planned,
    results: Mapping[str, Kept],
    config: RunConfig,
) -> Comparison:
    """Everyone beside the rules, the ceiling and the floor, on the episodes that all played."""
    episodes, seed = config.evaluation.episodes, config.seed
    world = market.calibration.judging_world(
        episodes, market.settings, stream(seed, JUDGING_EPISODES)
    )
    ceiling = ceiling_of(world, episodes, seed, decision.ceiling)
    competing = by_label(results)
    competitors = _summed_up(decision, competing, ceiling, config)
    played: list[Played] = []
    for label, own in competing.items():
        if kpis := [result.kpis for result in finished(own)]:
            played.append(mean_played(label, kpis, first=not played))
    if not played:
        raise PpoMarketingError(
            "every training diverged: " + "; ".join(f for c in competitors for f in c.failures[:1])
        )
    others = judging.beside(
        market.rules, decision.logging_rule(market.calibration), decision.do_nothing
    )
    played += [play(actor, world, episodes, seed, kind) for actor, kind in others]
    evidence = judging.evidence_of(
        decision, played, ceiling, market.rules,
        title=judging.LATER, unit=market.settings.currency, seed=seed,
        bootstrap=config.evaluation.bootstrap,
    )  # fmt: skip
    return Comparison(competitors, evidence, laid_out.sweeps)


def _summed_up(
    decision: Decision,
    competing: Mapping[str, Sequence[Kept]],
    ceiling: Array,
    config: RunConfig,
) -> tuple[Competitor, ...]:
    """Every competitor over its seeds, their curves at the same steps."""
    grid = common_grid([result.record for own in competing.values() for result in own])
    return tuple(
        competitor(
            [result.record for result in own],
            [result.kpis[decision.value_kpi] for result in finished(own)],
            ceiling,
            decision.ceiling_kind,
            grid=grid,
            seed=config.seed,
            repetitions=config.evaluation.bootstrap,
        )
        for own in competing.values()
    )


def _keep(
    decision: Decision,
    comparison: Comparison,
    config: RunConfig,
    plan: ComparisonPlan,
    market: Market,
    run: Run,
) -> None:
    """The comparison as JSON, page and pictures, in the folder and in the tracker."""
    record = {
        "decision": decision.name,
        "data_sha256": market.calibration.data_sha256,
        "plan": dataclasses.asdict(plan),
        "config": config.as_values(),
        "fidelity_passed": market.calibration.fidelity.passed,
        **comparison.to_dict(),
    }
    write_json(config.output / "comparison.json", record)
    run.json("comparison", record)
    page = report_comparison.markdown(decision, comparison, market.calibration)
    write_atomically(config.output / "report.md", page.encode())
    run.text("report.md", page)
    figures = {"comparison.png": report_comparison.figure(comparison)}
    if comparison.sweeps:
        figures["sweep.png"] = report_comparison.sweep_figure(comparison)
    for name, figure in figures.items():
        figure.savefig(config.output / name, dpi=110)
        run.figure(name, figure)
    for one in comparison.competitors:
        if one.share is not None:
            label = one.label.replace("=", ".").replace(" ", ".")
            run.metrics({f"share.{label}": one.share.value}, one.steps)
