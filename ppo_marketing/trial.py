"""One training of one algorithm through a saved calibration: trained, chosen, judged."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from envs import load_decision
from envs.core.decision import Calibration, Decision
from envs.core.forms import Form, form_of, in_form
from envs.core.settings import load_settings
from envs.core.world import Array, World
from ppo_marketing.config import EvaluationSection, TrainingSection
from ppo_marketing.constrained import as_shares
from ppo_marketing.errors import TrainingDiverged
from ppo_marketing.evaluation import play
from ppo_marketing.pipeline import learning
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.pipeline.streams import (
    JUDGING_EPISODES,
    TRAIN_EPISODES,
    VALIDATION_EPISODES,
    stream,
)
from ppo_marketing.policy import Actor
from ppo_marketing.rivals.learned import Chooser, Learned, permitted
from ppo_marketing.rivals.table import RIVALS, Given, Values
from ppo_marketing.statistics import largest_drop


@dataclass(frozen=True)
class Ground:
    """What all trainings that are compared share; `seed` draws what they are scored on.

    `settings` is the folder of the decision's settings, `calibration` that of the market.
    """

    decision: str
    calibration: Path
    settings: Path
    training: TrainingSection
    evaluation: EvaluationSection
    seed: int


@dataclass(frozen=True)
class Trial:
    """One training: an algorithm, what it is told beyond its own settings, a seed.

    `form` is the kind of action space that it is given, `points` the steps at which its curve is
    measured, besides the start and the end.
    """

    label: str
    algorithm: str
    form: Form
    seed: int
    steps: int
    points: tuple[int, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A name for its files."""
        plain = "".join(c if c.isalnum() or c in ".-" else "_" for c in self.label)
        return f"{plain}-seed{self.seed}"


@dataclass
class ChoosingActor:
    """A policy as it would be shipped, in its own form of actions, counting what it may not choose.

    A choice that the mask forbids is replaced by the first one that it allows.
    """

    name: str
    policy: Chooser
    form: Form
    choices: int = 0
    forbidden: int = 0

    def arena(self, world: World[Any], rng: Generator) -> World[Any]:
        """The world in this policy's form of actions."""
        return in_form(world, self.form)

    def control(self, world: World[Any], state: Any, rng: Generator) -> Array:
        """The control that the policy's preferred action stands for."""
        mask = world.action_mask(state)
        action = self.policy.act(world.observe(state), rng, mask, deterministic=True)
        action, forbidden = permitted(action, mask)
        self.choices += len(action)
        self.forbidden += forbidden
        return world.control(state, action)


@dataclass
class Curve:
    """Scores a training at its points and keeps the best policy: alike for every algorithm.

    The time that scoring takes is kept apart, as it is no cost of the algorithm.
    """

    score: Callable[[Actor], float]
    form: Form
    points: tuple[int, ...]
    watch: Callable[[int, float], None]
    steps: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best: Chooser | None = None
    cpu_seconds: float = 0.0

    def __call__(self, steps: int, policy: Chooser) -> None:
        """Score the policy if a point has been reached since the last time."""
        due = not self.steps or any(self.steps[-1] < point <= steps for point in self.points)
        if due:
            self.measure(steps, policy)

    def measure(self, steps: int, policy: Chooser) -> None:
        """Score the policy, and keep it if it is the best so far."""
        began = time.process_time()
        score = self.score(ChoosingActor("candidate", policy, self.form))
        if not self.scores or score > max(self.scores):
            self.best = policy.copy()
        self.steps.append(steps)
        self.scores.append(score)
        self.cpu_seconds += time.process_time() - began
        self.watch(steps, score)


class Outcome(NamedTuple):
    """What a trial leaves: plain numbers, and its KPI totals of every judged episode `[n]`."""

    record: dict[str, Any]
    kpis: dict[str, Array]


def perform(
    trial: Trial, ground: Ground, watch: Callable[[int, float], None] = lambda steps, score: None
) -> Outcome:
    """Train, choose the best point of the curve on fresh episodes, judge it on the later part.

    `watch` is told every point of the curve, and may raise to end the training. A training that
    diverges is an outcome too: its record says `failed`, and there are no KPIs.
    """
    decision, calibration, settings = _loaded(ground)
    resolved = resolved_settings(trial, decision, calibration, settings, ground.training)
    worlds = _worlds(trial, ground, decision, calibration, settings)
    score = learning.validation(
        decision,
        worlds.validation,
        ground.training.validation_episodes,
        ground.seed,
        ground.training.constraint,
    )
    curve = Curve(score, trial.form, trial.points, watch)
    own = in_form(worlds.training, trial.form)
    env = learning.training_env(
        own,
        resolved["copies"],
        regret=ground.training.regret,
        constraint=ground.training.constraint,
    )
    wall, cpu = time.monotonic(), time.process_time()
    record = {**asdict(trial), "name": trial.name, "settings": dict(resolved)}
    try:
        learned = RIVALS[trial.algorithm].train(
            env, resolved, steps=trial.steps, seed=trial.seed, on_curve=curve
        )
    except TrainingDiverged as error:
        return Outcome({**record, "failed": str(error)}, {})
    cost = {
        "cpu_seconds": time.process_time() - cpu - curve.cpu_seconds,
        "wall_seconds": time.monotonic() - wall,
    }
    if curve.steps[-1] != learned.steps:
        curve.measure(learned.steps, learned.policy)
    assert curve.best is not None
    judged = ChoosingActor(trial.label, curve.best, trial.form)
    episodes = ground.evaluation.episodes
    played = play(judged, worlds.judging, episodes, ground.seed, "rival")
    share = judged.forbidden / judged.choices if judged.choices else 0.0
    return Outcome(
        {**record, **cost, **numbers_of(learned, curve), "forbidden_share": share, "failed": None},
        dict(played.kpis),
    )


def resolved_settings(
    trial: Trial,
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    training: TrainingSection,
) -> Values:
    """Everything that the trial's algorithm is run with.

    Raises UserError where an override is no setting of it, or contradicts another.
    """
    world = in_form(calibration.history_world(settings), trial.form)
    ppo = learning.ppo_config(decision, training)
    if trial.form != "own":
        ppo = replace(ppo, start_bias=())  # it was written for the actions of the world itself
    given = Given(ppo, training.copies, world.horizon)
    return RIVALS[trial.algorithm].resolved(given, form_of(world.action_space), trial.overrides)


class _Worlds(NamedTuple):
    training: World[Any]
    validation: World[Any]
    judging: World[Any]


def _worlds(
    trial: Trial, ground: Ground, decision: Decision, calibration: Calibration, settings: Any
) -> _Worlds:
    """Each seed trains on episodes of its own; all are scored and judged on the same."""
    training, practised = ground.training, decision.training_settings(settings)
    return _Worlds(
        calibration.training_world(
            training.episodes, practised, stream(trial.seed, TRAIN_EPISODES)
        ),
        calibration.training_world(
            training.validation_episodes,
            practised,
            stream(ground.seed, VALIDATION_EPISODES),
        ),
        calibration.judging_world(
            ground.evaluation.episodes, settings, stream(ground.seed, JUDGING_EPISODES)
        ),
    )


def _loaded(ground: Ground) -> tuple[Decision, Calibration, Any]:
    decision = load_decision(ground.decision)
    with as_user_error():
        calibration = decision.load_calibration(ground.calibration)
        return decision, calibration, load_settings(ground.settings, decision.settings_type)


def numbers_of(learned: Learned, curve: Curve) -> dict[str, Any]:
    """What a training came to; None also for what is not finite, which JSON cannot say."""
    best = int(np.argmax(curve.scores))
    measured = {
        "largest_kl": learned.largest_kl,
        "mean_kl": learned.mean_kl,
        "clip_fraction": learned.clip_fraction,
        "entropy": learned.entropy,
    }
    return {
        "steps_done": learned.steps,
        "updates": learned.updates,
        "curve_steps": curve.steps,
        "curve_scores": curve.scores,
        "best_steps": curve.steps[best],
        "best_score": curve.scores[best],
        "final_score": curve.scores[-1],
        "largest_drop": largest_drop(as_shares(curve.scores)),
        **{k: v if v is not None and math.isfinite(v) else None for k, v in measured.items()},
    }
