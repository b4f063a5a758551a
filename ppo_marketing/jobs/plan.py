"""What a comparison is to do, refused at once where it contradicts itself; what it will cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import gymnasium

from envs.core.decision import Decision
from envs.core.forms import Form, form_of
from ppo_marketing.config import RunConfig
from ppo_marketing.errors import UserError, below_one
from ppo_marketing.parallel import cores
from ppo_marketing.pipeline import learning
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.rivals.table import RIVALS, Given, Rival, rivals_named
from ppo_marketing.sweep import sweeps_named, swept_values
from ppo_marketing.trial import Trial

Actions = Literal["fitting", "own", "discrete", "continuous"]
ACTIONS: tuple[Actions, ...] = get_args(Actions)

ON_POLICY_POINTS, OFF_POLICY_POINTS = 20, 10
FIXED_COST_S = 10.0
"""Of a training besides its steps: starting a process, loading the market, scoring and judging."""


@dataclass(frozen=True, kw_only=True)
class ComparisonPlan:
    """What to compare; `algorithms` empty: all that fit. See `planned` for what is refused.

    `actions` is the form of action spaces: "fitting" gives every algorithm the decision's own where
    it can, else the other.
    """

    algorithms: tuple[str, ...] = ()
    seeds: int = 3
    steps: int = 1_000_000
    off_policy_steps: int = 100_000
    actions: Actions = "fitting"
    sweep: tuple[str, ...] = ()
    processes: int | None = None

    @property
    def workers(self) -> int:
        """How many trainings run at once."""
        return cores() if self.processes is None else self.processes


@dataclass(frozen=True)
class Planned:
    """A plan that holds: its trainings, what is swept through which of them, who does not fit."""

    trials: tuple[Trial, ...]
    sweeps: Mapping[str, tuple[tuple[float, str], ...]]
    seconds: float
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Algorithms that were not named and do not fit, each with the reason."""

    def foretold(self, workers: int) -> str:
        """What is about to happen in one line, and one for each algorithm that is left out."""
        minutes = self.seconds / min(workers, len(self.trials)) / 60
        took = "under a minute" if minutes < 1 else f"about {minutes:.0f} minutes"
        line = (
            f"{len(self.trials)} trainings, {took} on {workers} processes of one thread each; "
            "finished ones are kept when interrupted"
        )
        return "\n".join([line, *(f"left out: {why}" for why in self.left_out.values())])


def planned(decision: Decision, config: RunConfig, plan: ComparisonPlan) -> Planned:
    """The trainings that a plan asks for.

    Raises UserError that lists everything that cannot be, before any work is done: names unknown,
    counts below one, an algorithm whose action space is not on offer, settings that contradict.
    """
    ppo = learning.ppo_config(decision, config.training)
    problems = below_one(
        {
            "--seeds": plan.seeds,
            "--steps": plan.steps,
            "--off-policy-steps": plan.off_policy_steps,
            "--processes": plan.workers,
        }
    )
    if plan.actions not in ACTIONS:
        problems.append(f"--actions is {plan.actions!r}: choose one of {', '.join(ACTIONS)}")
    rivals: tuple[Rival, ...] = ()
    sweep: tuple[str, ...] = ()
    left_out: dict[str, str] = {}
    try:
        sweep = sweeps_named(plan.sweep)
        rivals = rivals_named(plan.algorithms or (("ppo",) if plan.sweep else ()))
        if sweep and "ppo" not in [rival.name for rival in rivals]:
            problems.append("--sweep varies PPO: add ppo to --algorithms")
    except UserError as error:
        problems.append(str(error))
    if not problems:
        own = own_form(decision)
        forms = {rival.name: _form(rival, own, plan.actions) for rival in rivals}
        for rival in rivals:
            if (unfit := _unfit(rival, forms[rival.name], own, plan.actions, ppo)) is not None:
                left_out[rival.name] = unfit
        if plan.algorithms:
            problems += left_out.values()
        rivals = tuple(rival for rival in rivals if rival.name not in left_out)
    if problems:
        raise UserError("nothing can be compared like this:\n  " + "\n  ".join(problems))
    return replace(_laid_out(rivals, forms, sweep, ppo, config, plan), left_out=left_out)


def own_form(decision: Decision) -> Form:
    """The kind of action space that the decision has by itself."""
    return form_of(gymnasium.make(decision.env_id, days=2).unwrapped.action_space)


def _form(rival: Rival, own: Form, actions: Actions) -> Form | None:
    """The form that an algorithm is given; None where what is on offer does not fit it."""
    if actions == "fitting":
        return "own" if own in rival.forms else rival.forms[0]
    offered = own if actions == "own" else actions
    if offered not in rival.forms:
        return None
    return "own" if offered == own else offered


def _unfit(
    rival: Rival, form: Form | None, own: Form, actions: Actions, ppo: PPOConfig
) -> str | None:
    """Why an algorithm cannot be compared, and the remedy; None where it can."""
    if form is not None:
        return rival.obstacle(ppo)
    offered = own if actions == "own" else actions
    return (
        f"{rival.name} needs {rival.forms[0]} actions and --actions {actions} offers {offered} "
        f"ones: drop it, or use --actions {rival.forms[0]} or fitting"
    )


def _laid_out(
    rivals: tuple[Rival, ...],
    forms: Mapping[str, Form | None],
    sweep: tuple[str, ...],
    ppo: PPOConfig,
    config: RunConfig,
    plan: ComparisonPlan,
) -> Planned:
    trials: dict[str, tuple[Rival, dict[str, Any]]] = {rival.name: (rival, {}) for rival in rivals}
    rows = ppo.rollout_steps * config.training.copies
    sweeps = {}
    for name in sweep:
        places = []
        for value, overrides in swept_values(name, ppo, rows):
            label = f"ppo {name}={value:g}" if overrides else "ppo"
            trials[label] = (RIVALS["ppo"], dict(overrides))
            places.append((value, label))
        sweeps[name] = tuple(places)
    for rival, overrides in trials.values():
        rival.resolved(Given(ppo, config.training.copies), rival.forms[0], overrides)
    made = tuple(
        trial
        for label, (rival, overrides) in trials.items()
        for trial in _seeded(label, rival, forms[rival.name] or "own", overrides, config, plan)
    )
    # The dearest first, so that no long one is left to run alone at the end.
    ordered = sorted(made, key=lambda trial: -RIVALS[trial.algorithm].cost_us * trial.steps)
    seconds = sum(
        FIXED_COST_S + RIVALS[trial.algorithm].cost_us * trial.steps / 1e6 for trial in made
    )
    return Planned(tuple(ordered), sweeps, seconds)


def _seeded(
    label: str,
    rival: Rival,
    form: Form,
    overrides: dict[str, Any],
    config: RunConfig,
    plan: ComparisonPlan,
) -> list[Trial]:
    steps = plan.steps if rival.on_policy else plan.off_policy_steps
    off_policy = min(plan.off_policy_steps, plan.steps)
    points = {round(off_policy * k / OFF_POLICY_POINTS) for k in range(1, OFF_POLICY_POINTS + 1)}
    points |= {round(steps * k / ON_POLICY_POINTS) for k in range(1, ON_POLICY_POINTS + 1)}
    first = Trial(
        label=label,
        algorithm=rival.name,
        form=form,
        seed=config.seed,
        steps=steps,
        points=tuple(sorted(point for point in points if point <= steps)),
        overrides=overrides,
    )
    return [replace(first, seed=config.seed + offset) for offset in range(plan.seeds)]
