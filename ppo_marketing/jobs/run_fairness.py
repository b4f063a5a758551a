"""Who would be treated how often by a run's policy, by the segments of its own held-out log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.core.decision import Decision
from envs.core.words import StateVariable, Words, words_of
from envs.core.world import World
from ppo_marketing.errors import UserError, meant
from ppo_marketing.explore.answers import played
from ppo_marketing.explore.mix import segments
from ppo_marketing.fairness import AttributeFairness, GroupTreatment, treatment_fairness
from ppo_marketing.jobs.kept_parts import Parts
from ppo_marketing.reference_states import reference_states

MOST_ROWS = 60_000
"""Of the held-out decisions, spread evenly: a rate of a tenth of them is known to .004."""
STATES = 256
"""States in which it is seen which choice leaves people alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Segments:
    """n held-out decisions of a run's log, and what they can be parted by.

    `observation [n, obs]`, `mask [n, A]` or None, `action [n]` as logged and `unit [n]`, whose
    decision each is; `actions` names the A choices. `usual` is what counts as treatment unless
    something else is said: every choice but that of doing nothing, or, where there is no such
    choice, the one that the log made most often.
    """

    variables: tuple[StateVariable, ...]
    actions: tuple[str, ...]
    usual: tuple[str, ...]
    observation: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    action: NDArray[np.int64]
    unit: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SegmentFairness:
    """One segmentation: how often the policy would treat each part, and how often the log did."""

    variable: StateVariable
    policy: AttributeFairness
    log: AttributeFairness

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"policy": self.policy.to_dict(), "log": self.log.to_dict()}


def segments_of(parts: Parts) -> Segments | None:
    """What a run's held-out log can be parted by; None where it holds no choices about people."""
    logged = parts.calibration.heldout_decisions(parts.settings)
    world = parts.calibration.history_world(parts.settings)
    words = words_of(parts.decision, parts.calibration, world)
    if logged is None or not words.action.choices:
        return None
    rows = np.linspace(0, logged.size - 1, min(logged.size, MOST_ROWS)).astype(np.int64)
    observation = logged.observation[rows]
    nothing = _nothing(parts.decision, world, words)
    usual = [name for number, name in enumerate(logged.actions) if number != nothing]
    if nothing is None:
        most = int(np.bincount(logged.action, minlength=len(logged.actions)).argmax())
        usual = [logged.actions[most]]
    there = [one for one in words.variables if np.ptp(one.shown(observation)) > 0]
    return Segments(
        # What has levels are segments by itself; numbers are parted into fifths.
        variables=tuple(sorted(there, key=lambda one: not one.levels)),
        actions=logged.actions,
        usual=tuple(usual),
        observation=observation,
        mask=None if logged.mask is None else logged.mask[rows],
        action=logged.action[rows],
        unit=logged.unit[rows],
    )


def run_fairness(
    parts: Parts, within: Segments, names: Sequence[str], treatments: Sequence[str] = ()
) -> tuple[SegmentFairness, ...]:
    """Compare treatment rates between segments: as the policy would be shipped, and as logged.

    `within` are the run's own `segments_of`, `names` some of its variables, `treatments` the
    choices that count as treatment (none: the usual). The policy is asked in the held-out decisions
    of the log, behind the run's guardrails.

    Raises:
        UserError: no variable is named, or a name is unknown; every problem at once.
    """
    variables = {one.name: one for one in within.variables}
    problems = [] if names else [f"name a segment column: {', '.join(variables)}"]
    for what, given, known in (
        ("segment column", names, list(variables)),
        ("action", treatments, list(within.actions)),
    ):
        problems += [
            f"there is no {what} {one!r}: {meant(one, known)}" for one in given if one not in known
        ]
    if problems:
        raise UserError("; ".join(problems))
    shipped = parts.shipped.act(
        within.observation, np.random.default_rng(0), within.mask, deterministic=True
    )
    first = getattr(parts.policy.head, "starts", (0,))[0]
    counted = [within.actions.index(one) for one in treatments or within.usual]
    groups = {name: _named(variables[name], within.observation) for name in names}
    mine, theirs = (
        treatment_fairness(np.isin(choice, counted), groups, unit=within.unit)
        for choice in (shipped - first, within.action)
    )
    return tuple(
        SegmentFairness(
            variable=variables[name],
            policy=_in_order(policy, variables[name]),
            log=_in_order(log, variables[name]),
        )
        for name, policy, log in zip(names, mine, theirs, strict=True)
    )


def _named(variable: StateVariable, observation: NDArray[np.float32]) -> NDArray[np.str_]:
    names, group = segments(variable, observation)
    return np.array(names)[group]


def _in_order(found: AttributeFairness, variable: StateVariable) -> AttributeFairness:
    """The groups as the variable has them; fifths by their lower end."""

    def place(group: GroupTreatment) -> float:
        if variable.levels:
            return variable.levels.index(group.group)
        return float(group.group.split(" ")[0])

    return replace(found, groups=tuple(sorted(found.groups, key=place)))


def _nothing(decision: Decision, world: World[Any], words: Words) -> int | None:
    """The choice that doing nothing always makes; None where the policy must do something."""
    states = reference_states(world, decision.do_nothing, seed=0, states=STATES)
    made = played(decision.do_nothing, states, words, len(words.action.choices)).choice
    (first, *others) = np.unique(made).tolist()
    return None if others or first < 0 else int(first)
