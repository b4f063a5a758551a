"""What all seeds of a retraining share, how one is trained, and which of them is chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from envs.core.decision import Calibration, Decision
from ppo_marketing.behaviour import Choices
from ppo_marketing.config import RunConfig
from ppo_marketing.constrained import share_of
from ppo_marketing.divergence import categorical_kl, gaussian_kl
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.incumbents import Incumbent, changed_settings, fitted
from ppo_marketing.jobs.policy_folder import keep_policy
from ppo_marketing.pipeline import calibrating, learning
from ppo_marketing.pipeline.streams import CHOICE, stream
from ppo_marketing.policy import PolicyActor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.run import TrainingRow
from ppo_marketing.ppo.signals import stop_on_signals
from ppo_marketing.progress import Reporter
from ppo_marketing.reference_states import ReferenceStates, behaviour_of, reference_states
from ppo_marketing.retraining.bounded import Bounded, brought_back
from ppo_marketing.retraining.project import AnchorSection
from ppo_marketing.tracking import Run


@dataclass(frozen=True)
class Lesson:
    """A calibrated market, the settings to act under, and where training starts.

    `champion` is None where training starts from the rule; `incomparable` then says why a champion
    that there is cannot be compared.
    """

    decision: Decision
    calibration: Calibration
    settings: Any
    config: RunConfig
    start: Agent
    champion: Incumbent | None
    incomparable: str | None


def lesson_of(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    config: RunConfig,
    champion: Incumbent | None,
    anchor: AnchorSection,
) -> Lesson:
    """From the champion, under its settings and anchored to it; else from the rule.

    A champion acts under the settings that it was trained with. Where the project's `environment:`
    changes one of them, its actions mean something else, and it is not compared.

    Raises UserError as `fitted`.
    """
    reason = None
    if champion is not None:
        changed = changed_settings(decision, config.environment, champion)
        if not changed:
            settings = champion.settings
            calibrating.require_playable(calibration, settings)
            anchored = _anchored_config(config, anchor)
            start = _untrained(decision, calibration, settings, anchored)
            known = fitted(champion, calibration, start)
            reason = _why_not_compared(calibration, settings, known.agent)
            if reason is None:
                return Lesson(decision, calibration, settings, anchored, known.start, known, None)
        else:
            reason = f"the champion acts under other settings ({', '.join(changed)})"
    rules = calibrating.tuned_rules(decision, calibration, settings, config.seed)
    settings = calibrating.anchored(decision, settings, rules)
    start = _untrained(decision, calibration, settings, config)
    return Lesson(decision, calibration, settings, config, start, None, reason)


def trained(
    lesson: Lesson, seed: int, folder: Path, most_kl: float, reporter: Reporter, run: Run
) -> dict[str, Any]:
    """Train one seed into `folder`, resuming what was cut short; what is to be said of it.

    A policy beyond `most_kl` nats from the champion is brought back towards it.
    """
    training = lesson.config.training
    folder.mkdir(parents=True, exist_ok=True)
    with (
        reporter.stage(f"training PPO, seed {seed}", training.total_steps) as stage,
        stop_on_signals() as stop,
    ):

        def on_update(row: TrainingRow) -> None:
            stage.reach(row.steps, f"{row.steps_per_second:,.0f} steps/s")

        result = learning.learn_from_calibration(
            lesson.decision, lesson.calibration, lesson.settings, training, seed,
            checkpoint=folder / "checkpoint.pt", on_update=on_update, stop=stop,
            agent=None if lesson.champion is None else lesson.champion.agent,
        )  # fmt: skip
    last = result.history[-1]
    known = replace(last, validation_score=share_of(last.validation_score))
    run.metrics(known.metrics(), last.steps)
    bounded = _bounded(lesson, result.best, most_kl)
    keep_policy(
        bounded.agent, lesson.start, lesson.settings, lesson.calibration, training.constraint,
        folder / "policy",
    )  # fmt: skip
    said: dict[str, Any] = {"best_update": result.best_update, "seed": seed}
    if lesson.champion is not None:
        kl = {"kl": bounded.distance, "kl_before": bounded.before, "share": bounded.share}
        run.metrics({f"champion.{name}": value for name, value in kl.items()}, 0)
        said |= kl
    return said


def scores(lesson: Lesson, policies: list[Agent]) -> list[float]:
    """How policies do on the same fresh episodes of the earlier part: what chooses among seeds."""
    training, seed = lesson.config.training, lesson.config.seed
    episodes = training.validation_episodes
    practised = lesson.decision.training_settings(lesson.settings)
    world = lesson.calibration.training_world(episodes, practised, stream(seed, CHOICE))
    score = learning.validation(lesson.decision, world, episodes, seed, training.constraint)
    return [score(PolicyActor("candidate", policy)) for policy in policies]


def mean_kl(policy: Agent, champion: Agent, states: ReferenceStates) -> float:
    """Mean KL(policy ‖ champion) in nats over reference states: exact, as `drift` has it.

    Raises UserError where their actions cannot be compared so.
    """
    ours, theirs = behaviour_of(policy, states), behaviour_of(champion, states)
    if isinstance(ours, Choices):
        assert isinstance(theirs, Choices)
        return float(categorical_kl(ours.probability, theirs.probability).mean())
    assert not isinstance(theirs, Choices)
    return float(gaussian_kl(ours.mean, ours.log_std, theirs.mean, theirs.log_std).mean())


def _bounded(lesson: Lesson, policy: Agent, most_kl: float) -> Bounded:
    if lesson.champion is None:
        return Bounded(policy, np.nan, np.nan, 1.0)
    champion = lesson.champion.agent
    states = _states(lesson.calibration, lesson.settings, champion, lesson.config.seed)
    return brought_back(champion, policy, lambda agent: mean_kl(agent, champion, states), most_kl)


def _states(calibration: Calibration, settings: Any, champion: Agent, seed: int) -> ReferenceStates:
    """The champion's own decisions on the history days, which judging does not look at."""
    world = calibration.history_world(settings)
    return reference_states(world, PolicyActor("champion", champion), seed=seed)


def _why_not_compared(calibration: Calibration, settings: Any, champion: Agent) -> str | None:
    try:
        mean_kl(champion, champion, _states(calibration, settings, champion, 0))
    except UserError as error:
        return str(error)
    return None


def _untrained(
    decision: Decision, calibration: Calibration, settings: Any, config: RunConfig
) -> Agent:
    ppo = learning.ppo_config(decision, config.training)
    return learning.untrained(calibration.history_world(settings), ppo, config.seed)


def _anchored_config(config: RunConfig, anchor: AnchorSection) -> RunConfig:
    """The configuration with its training held to where it starts, unless it says how itself."""
    if config.training.ppo.get("anchor") is not None:
        return config
    ppo = {**config.training.ppo, "anchor": anchor.model_dump()}
    training = config.training.model_copy(update={"ppo": ppo})
    return config.model_copy(update={"training": training})
