"""What a training is held to (`training.anchor_to`), and the settings that it then acts under."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np

from envs.core.decision import Calibration, Decision
from envs.core.world import World
from ppo_marketing.audit_trail import Line
from ppo_marketing.config import RunConfig
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.incumbents import Incumbent, changed_settings, fitted, incumbent
from ppo_marketing.jobs.kept_runs import runs_folder
from ppo_marketing.jobs.release_book import standing_champion
from ppo_marketing.logging_reference import LoggingReference
from ppo_marketing.pipeline import calibrating, learning
from ppo_marketing.ppo.anchor import Reference

IDENTIFYING = 256
"""In how many situations of history the log's own policy is told from another one."""


class Footing(NamedTuple):
    """The settings that a training acts under, and whom it is held to; None: where it starts."""

    settings: Any
    reference: Reference | None


def require_reference(decision: Decision, config: RunConfig) -> None:
    """Refuse an anchor to a champion that there is not, or to a log that is silent.

    Before any work. Raises UserError.
    """
    if config.training.anchor_to == "logging" and decision.logging_choices is None:
        raise _silent(decision)
    if config.training.anchor_to == "champion":
        _released(decision, config)


def refuse_reference(config: RunConfig) -> None:
    """Refuse an anchor to anybody where algorithms are compared, most of which know none.

    Raises UserError.
    """
    if config.training.anchor_to != "start":
        raise UserError(
            f"training.anchor_to is {config.training.anchor_to!r}, and every algorithm that is "
            "compared or tuned begins from the same start and knows nobody else: leave it out, "
            "and use it with `train` or `run`"
        )


def footing(
    decision: Decision, calibration: Calibration, settings: Any, config: RunConfig
) -> Footing:
    """What `training.anchor_to` asks for.

    Held to the champion, training acts under the champion's settings: only then do both mean the
    same by an action.

    Raises UserError where the reference is not there or does not fit; the remedy is given.
    """
    if config.training.anchor_to == "champion":
        champion = _champion(decision, calibration, config)
        return Footing(champion.settings, champion.agent)
    rules = calibrating.tuned_rules(decision, calibration, settings, config.seed)
    settings = calibrating.anchored(decision, settings, rules)
    if config.training.anchor_to == "start":
        return Footing(settings, None)
    return Footing(settings, _logging(decision, calibration.history_world(settings), calibration))


def _logging(decision: Decision, world: World[Any], calibration: Calibration) -> LoggingReference:
    make = decision.logging_choices
    choosing = None if make is None else make(calibration, world)
    if choosing is None:
        raise _silent(decision)
    state = world.initial(IDENTIFYING, np.random.default_rng(0))
    seen = choosing(world.observe(state), world.action_mask(state))
    return LoggingReference(choosing, hashlib.sha256(seen.tobytes()).hexdigest())


def _silent(decision: Decision) -> UserError:
    return UserError(
        f"training.anchor_to is 'logging', and the log of {decision.name} does not tell, from what "
        "a policy sees, with which probabilities its own policy chose: set training.anchor_to: "
        "champion, or start"
    )


def _champion(decision: Decision, calibration: Calibration, config: RunConfig) -> Incumbent:
    line = _released(decision, config)
    retrained = sorted((config.project / "data" / "retraining").glob("*/runs"))
    runs = runs_folder(config.project)
    champion = incumbent(decision, line, config.project, None, runs, *retrained)
    changed = changed_settings(decision, config.environment, champion)
    if changed:
        raise UserError(
            f"training.anchor_to is 'champion', which acts under other settings than `environment:`"
            f" asks for ({', '.join(changed)}): its actions mean something else. Leave them out of "
            "`environment:`, or set training.anchor_to: start"
        )
    settings = champion.settings
    calibrating.require_playable(calibration, settings)
    ppo = learning.ppo_config(decision, config.training)
    fresh = learning.untrained(calibration.history_world(settings), ppo, config.seed)
    return fitted(champion, calibration, fresh)


def _released(decision: Decision, config: RunConfig) -> Line:
    line = standing_champion(config.project, decision.name)
    if line is None:
        raise UserError(
            f"training.anchor_to is 'champion', and nothing of {decision.name} was released in "
            f"{config.project}: promote a policy first (`ppo-marketing promote RUN`), or set "
            "training.anchor_to: start"
        )
    return line
