"""`regress`: settings, rewards, limits or guardrails changed; what does the policy do otherwise?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from envs.core.decision import Calibration, Decision
from envs.core.settings import load_settings
from envs.core.world import World
from ppo_marketing import as_shipped
from ppo_marketing.behaviour import Behaviour, Controls
from ppo_marketing.config import problems_of, read_mapping
from ppo_marketing.drift import Drift, DriftBounds, drift
from ppo_marketing.errors import Refused, UserError
from ppo_marketing.guardrails.section import GuardrailsSection
from ppo_marketing.jobs.calibration import load_calibration
from ppo_marketing.jobs.logs import decision_named
from ppo_marketing.jobs.policy_folder import START
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.pipeline.streams import JUDGING_EPISODES, stream
from ppo_marketing.policy import Policy, PolicyActor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import load_policy
from ppo_marketing.reference_states import ReferenceStates, reference_states

COMPARED = ("environment", "training", "guardrails", "gate")
"""Sections of a run's configuration that say what a policy is to do, and what it must not."""


@dataclass(frozen=True)
class Regression:
    """What changed in the configuration, and what that changes in behaviour.

    `settings` and `configuration` map what differs to (old, new). `of_shipped_alone`: an action no
    longer means what it meant, so that only what reaches the market is compared.
    """

    decision: str
    settings: dict[str, tuple[Any, Any]]
    configuration: dict[str, tuple[Any, Any]]
    of_shipped_alone: bool
    drift: Drift

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "decision": self.decision,
            "settings": self.settings,
            "configuration": self.configuration,
            "of_shipped_alone": self.of_shipped_alone,
            **self.drift.to_dict(),
        }

    def told(self) -> list[str]:
        """A line for everything that differs in what was asked for."""
        both = {**self.configuration, **self.settings}
        return [f"{name}: {old} -> {new}" for name, (old, new) in sorted(both.items())]


@dataclass(frozen=True)
class _Side:
    """One of the two runs: its policy as it ships, and what it acts under."""

    folder: Path
    config: dict[str, Any]
    agent: Agent
    start: Agent
    settings: Any
    guardrails: GuardrailsSection

    @property
    def seed(self) -> int:
        return int(self.config.get("seed", 0))

    def shipped(self, calibration: Calibration) -> Policy:
        return as_shipped.held(
            calibration, self.settings, self.guardrails, self.agent, self.start, self.seed
        )


def regress(old: Path, new: Path, *, bounds: DriftBounds | None = None) -> Regression:
    """Ask both policies, as they ship, what they do in the states that the old one meets.

    The states are simulated from the new run's calibration, the later part. `bounds` are those of
    the new run's configuration where none are given.

    Raises:
        UserError: a folder is no run, or the two do not act in the same states.
        IntegrityError: a policy or the calibration is not what was written.
    """
    decision = decision_named(_same_decision(old, new))
    before, after = (_side(folder, decision) for folder in (old, new))
    calibration, _ = load_calibration(decision, new / "calibration")
    episodes = int(after.config["evaluation"]["episodes"])

    def world(settings: Any) -> World[Any]:
        with as_user_error():
            return calibration.judging_world(
                episodes, settings, stream(after.seed, JUDGING_EPISODES)
            )

    worlds = world(before.settings), world(after.settings)
    _require_same_states(*worlds)
    first, second = before.shipped(calibration), after.shipped(calibration)
    states = reference_states(worlds[0], PolicyActor("old", first), seed=after.seed)
    seen = replace(
        states,
        world=worlds[1],
        observation=worlds[1].observe(states.state),
        mask=worlds[1].action_mask(states.state),
    )
    pairs = ((before.agent, first, states), (after.agent, second, seen))
    behaviours = [as_shipped.shipped_behaviour(decision, *pair) for pair in pairs]
    limits = bounds or DriftBounds(**after.config.get("drift", {}))
    alike = _actions_mean_the_same(states, seen)
    if not alike:
        behaviours = [_of_what_ships(behaviour) for behaviour in behaviours]
        limits = replace(limits, mean_kl=None, kl_95=None, total_variation=None)
    logged = calibration.heldout_decisions(after.settings)
    found = drift(
        *behaviours,
        segment=as_shipped.thirds(states),
        labels=None if logged is None else logged.actions,
        bounds=limits,
    )
    return Regression(
        decision=decision.name,
        settings=_differing(vars(before.settings), vars(after.settings)),
        configuration=_differing(_asked(before.config), _asked(after.config)),
        of_shipped_alone=not alike,
        drift=found,
    )


def require_within(found: Regression) -> None:
    """Raise Refused where the behaviour changes by more than the bounds allow."""
    if not found.drift.within_bounds:
        listed = "\n  ".join(found.drift.reasons)
        raise Refused(
            f"the behaviour changes beyond the bounds:\n  {listed}\nChange less at once, or widen "
            "`drift:` in the configuration on purpose"
        )


def _same_decision(old: Path, new: Path) -> str:
    names = [str(_config(folder).get("decision")) for folder in (old, new)]
    if names[0] != names[1]:
        raise UserError(
            f"{old} is of {names[0]} and {new} of {names[1]}: only two of a kind can be compared"
        )
    return names[0]


def _config(folder: Path) -> dict[str, Any]:
    missing = [name for name in ("config.yaml", "policy") if not (folder / name).exists()]
    if missing:
        raise UserError(
            f"{folder} holds no {', '.join(missing)}: name the folder that `run` or `retrain` "
            "wrote to"
        )
    return read_mapping(folder / "config.yaml")


def _side(folder: Path, decision: Decision) -> _Side:
    config, policy = _config(folder), folder / "policy"
    try:
        guardrails = GuardrailsSection.model_validate(config.get("guardrails") or {})
    except ValidationError as error:
        raise UserError(
            f"the guardrails of {folder / 'config.yaml'} cannot be used:\n{problems_of(error)}"
        ) from error
    with as_user_error():
        settings: Any = load_settings(policy, decision.settings_type)
    start = load_policy(policy / START)
    return _Side(folder, config, load_policy(policy), start, settings, guardrails)


def _require_same_states(old: World[Any], new: World[Any]) -> None:
    problems = [
        f"{what}: {first} and {second}"
        for what, first, second in (
            ("observations", old.observation_space.shape, new.observation_space.shape),
            ("actions", old.action_space, new.action_space),
            ("steps of an episode", old.horizon, new.horizon),
            ("episodes", old.episodes, new.episodes),
        )
        if first != second
    ]
    if problems:
        raise UserError(
            "the two policies do not act in the same states, so that nothing can be compared "
            f"decision by decision: {'; '.join(problems)}. Judge the new one by itself (`evaluate`)"
        )


def _actions_mean_the_same(old: ReferenceStates, new: ReferenceStates) -> bool:
    """Whether the same action is the same to the market under both settings."""
    space = old.world.action_space
    rng = np.random.default_rng(0)
    space.seed(int(rng.integers(2**31)))
    action = np.stack([space.sample() for _ in range(old.size)])
    before, after = (
        np.asarray(states.world.control(states.state, action)) for states in (old, new)
    )
    return before.shape == after.shape and bool(np.allclose(before, after))


def _of_what_ships(behaviour: Behaviour) -> Behaviour:
    """A behaviour as the control that ships, with certainty."""
    if not isinstance(behaviour, Controls):
        raise UserError(
            "the two policies choose from menus that mean different things: nothing can be "
            "compared. Judge the new one by itself (`evaluate`)"
        )
    control = np.asarray(behaviour.control, np.float64)
    return replace(behaviour, mean=control[:, None], log_std=np.array([-np.inf]))


def _asked(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for section in COMPARED for name, value in _leaves(config.get(section), section)
    }


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}")
    else:
        yield name, value


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (old.get(name), new.get(name))
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    }
