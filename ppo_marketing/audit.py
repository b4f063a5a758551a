"""What the gate judges, measured: support, residuals, members and the log's own word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.core.decision import Calibration, Decision, Rule
from envs.core.logged import LoggedDecisions
from envs.core.world import Array, World
from ppo_marketing.evaluation import bootstrap_means, play
from ppo_marketing.gate import Audit, LogLift, Residual
from ppo_marketing.ope.battery import OffPolicyReport, off_policy_report
from ppo_marketing.ope.blocks import blocks
from ppo_marketing.ope.diagnostics import kish
from ppo_marketing.ope.feedback import LEAST_ROWS, from_columns
from ppo_marketing.ope.lift import Lift, lift_over_logging
from ppo_marketing.ope.trajectories import ENDED, UNKNOWN, CellLog
from ppo_marketing.policy import Actor, Policy, PolicyActor

LEAST_GROUP_ROWS = 200
"""With fewer held-out rows a group's events say nothing (MODELLING 5.2)."""

MOST_UNSUPPORTED_STEPS = 0.20
"""Of the decisions of any step: beyond, what the log says of them is a guess (MODELLING 5.2)."""

MOST_EPISODES = 2000
"""Of every member: the policy and the rules play the same ones, so that few tell them apart."""

BOOTSTRAP = 500
"""Resampled logs, which is more than a bound's own sampling error needs (see `ope.lift`)."""

TAIL = 0.05
"""A policy is shown better where less than this share of resampled logs says it is not."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Proposed(NamedTuple):
    """What a policy, shipped as its most likely action, does on logged rows, all `[n]`."""

    action: NDArray[np.int64]
    agrees: Bools  # with what was done


def proposed(policy: Any, logged: LoggedDecisions, rng: np.random.Generator) -> Proposed:
    """The policy's action on every logged row."""
    action = policy.act(logged.observation, rng, logged.mask, deterministic=True)
    return Proposed(np.asarray(action, np.int64), np.asarray(action == logged.action))


def residuals(logged: LoggedDecisions, agrees: Bools) -> tuple[Residual, ...]:
    """Foretold less observed events in every group of rows that agree with the policy.

    z = (sum p - sum y) / sqrt(noise + spread): the noise is the larger of sum p (1 - p) and the
    squared sums of units; the spread over bootstrap members is the simulator's own sampling
    error, at most as large as the noise: what it does not know excuses no more (ADR 11).
    """
    found = []
    for number, name in enumerate(logged.groups):
        rows = agrees & (logged.group == number)
        if logged.weight[rows].sum() < LEAST_GROUP_ROWS:
            continue
        w, y = logged.weight[rows], logged.event[rows]
        by_member = logged.foretold[:, rows] @ w  # [K]
        p = logged.foretold[:, rows].mean(axis=0)
        excess = w * (p - y)
        by_unit = np.bincount(np.unique(logged.unit[rows], return_inverse=True)[1], excess)
        noise = max(float((w * p * (1 - p)).sum()), float((by_unit**2).sum()))
        spread = float(by_member.var(ddof=1)) if len(by_member) > 1 else 0.0
        z = float(excess.sum() / np.sqrt(noise + min(spread, noise)))
        found.append(
            Residual(name, float(w.sum()), float(by_member.mean()), float((w * y).sum()), z)
        )
    return tuple(found)


def effective_positives(logged: LoggedDecisions, agrees: Bools) -> float:
    """(sum v w y)^2 / sum v (w y)^2 of the rows that agree with the policy, w = 1 / propensity.

    At most as many as the events on those rows, and fewer where a handful of them carries the
    estimate: a log that explored little has plenty of events, but hardly any on what is new.
    Source: Kish 1965.
    """
    ratio = np.where(agrees, logged.event / logged.propensity, 0.0)
    return kish(ratio, logged.weight)


def unsupported_share(
    actor: Actor, world: World[Any], logged: LoggedDecisions, episodes: int, seed: int
) -> float:
    """The share of an actor's decisions in `world` on (cell, action) with < 30 rows of the log."""
    episode_rng, actor_rng = (np.random.default_rng([seed, stream]) for stream in (0, 1))
    arena = actor.arena(world, actor_rng)
    state = arena.initial(episodes, episode_rng)
    thin = logged.seen < LEAST_ROWS
    met, unsupported = 0, 0
    running = np.ones(episodes, np.bool_)
    for _ in range(arena.horizon):
        cell = logged.cell_of(arena.observe(state))
        control = np.asarray(actor.control(arena, state, actor_rng))
        met += int(running.sum())
        unsupported += int(thin[cell, control][running].sum())
        outcome = arena.step(state, control, episode_rng)
        state = outcome.state
        running &= ~(outcome.terminated | outcome.truncated)
        if not running.any():
            break
    return unsupported / met


def audited(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    policy: Policy,
    rules: Sequence[Rule[Any]],
    *,
    training_value: float,
    judging_value: float,
    limit_excess: float | None = None,
    drift: tuple[str, ...] | None = None,
    seed: int,
    episodes: int,
    bootstrap: int = BOOTSTRAP,
) -> Audit:
    """Everything that the gate judges of a policy, which acts as it would be shipped.

    `rules` are tuned on history; the two values are the policy's mean value KPI by the simulators
    of the earlier and the later part. `episodes`, at most 2,000, are simulated anew: of every
    member of the earlier part for the policy and each rule alike, and of all of them for the
    policy's visits.
    """
    episodes = min(episodes, MOST_EPISODES)
    actor = PolicyActor("policy", policy)
    rng = np.random.default_rng([seed, 3])
    members = calibration.member_worlds(episodes, settings, rng)

    def worth(who: Actor) -> Floats:
        return np.array([
            play(who, world, world.episodes, seed, "policy").kpis[decision.value_kpi].mean()
            for world in members
        ])  # fmt: skip

    own, by_rule = worth(actor), {rule.name: worth(rule) for rule in rules}
    best = max(by_rule, key=lambda name: float(by_rule[name].mean()))
    simulated = {
        "training_value": training_value,
        "judging_value": judging_value,
        "ensemble_lift": lower_percentile(own - by_rule[best]),
        "best_rule": best,
        "limit_excess": limit_excess,
        "drift": drift,
        "currency": settings.currency,
    }
    logged = calibration.heldout_decisions(settings)
    if logged is None:
        return _replayed(decision, calibration, settings, actor, seed, bootstrap, simulated)
    does = proposed(policy, logged, np.random.default_rng(seed))
    world = calibration.training_world(episodes, settings, rng)
    return Audit(
        sequential=logged.sequential,
        unsupported=unsupported_share(actor, world, logged, episodes, seed),
        residuals=residuals(logged, does.agrees),
        lift=log_lift(logged, does.action, bootstrap, np.random.default_rng([seed, 4])),
        positives=effective_positives(logged, does.agrees),
        not_applicable={},
        **simulated,
    )


def _replayed(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    actor: Actor,
    seed: int,
    bootstrap: int,
    simulated: dict[str, Any],
) -> Audit:
    """The audit where the held-out episodes can be played again as they were."""
    world, logging = calibration.heldout_world(settings), decision.logging_rule(calibration)
    whole = "the log is replayed whole: every decision has its outcome"
    unknown = "the log does not hold what its own policy did, so that nothing can be compared"
    absent = {"support": whole, "residual": whole} if world is not None else {}
    lift, positives = None, None
    if world is None or logging is None:
        absent |= {"log": unknown, "events": unknown}
    else:
        mine, theirs = replayed(world, actor, logging, seed)
        gain = mine[decision.value_kpi] - theirs[decision.value_kpi]
        drawn = bootstrap_means(gain[None], bootstrap, np.random.default_rng([seed, 4]))[0]
        positives = float(mine[decision.event_kpi].sum())
        lift = LogLift(
            method=f"the held-out part replayed, paired by {decision.episode}",
            value=float(gain.mean()),
            low=float(np.quantile(drawn, TAIL)),
            logging=float(theirs[decision.value_kpi].mean()),
            unit=decision.episode,
            effective_n=float(len(gain)),
        )
    return Audit(
        sequential=False, unsupported=None, residuals=None, lift=lift, positives=positives,
        not_applicable=absent, **simulated,
    )  # fmt: skip


def replayed(
    world: World[Any], actor: Actor, logging: Actor, seed: int
) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
    """KPI totals `[n]` of the actor and of the log's own policy, both in the same n episodes."""
    mine, theirs = (
        play(who, world, world.episodes, seed, "policy").kpis for who in (actor, logging)
    )
    return mine, theirs


def log_lift(
    logged: LoggedDecisions, action: Ints, repetitions: int, rng: np.random.Generator
) -> LogLift:
    """V(policy) - V(logging) by the held-out log alone, with its lower bound.

    `action [n]` is the policy's on every row. Decisions that stand alone: the doubly robust
    estimate, with the training simulator's expectations as the model, which has not seen these
    rows. Sequences: fitted Q evaluation between cells, customers resampled whole.
    """
    return (
        _lift_of_sequences(logged, action, repetitions, rng)
        if logged.sequential
        else _lift_of_rows(logged, action, repetitions, rng)
    )


def _lift_of_rows(
    logged: LoggedDecisions, action: Ints, repetitions: int, rng: np.random.Generator
) -> LogLift:
    report = rows_report(logged, action, repetitions, rng)
    return LogLift(
        method=f"doubly robust, propensities {logged.propensities}",
        value=report.lift.value,
        low=report.lift.low,
        logging=report.logging.value,
        unit="decision",
        effective_n=report.diagnostics.effective_n,
        cannot=report.refusals,
    )


def rows_report(
    logged: LoggedDecisions, action: Ints, repetitions: int, rng: np.random.Generator
) -> OffPolicyReport:
    """Every estimator on held-out decisions that stand alone; `action [n]` is the policy's."""
    assert logged.expected is not None
    direct, predicted = np.empty(logged.size), np.empty(logged.size)
    for part in blocks(logged.size, len(logged.actions)):
        rows = np.arange(logged.size)[part]
        q = logged.expected(rows)
        place = np.arange(len(rows))
        direct[part] = q[place, action[part]]
        predicted[part] = q[place, logged.action[part]]
    decisions = from_columns(
        reward=logged.reward,
        propensity=logged.propensity,
        chosen=(action == logged.action).astype(np.float64),
        direct=direct,
        predicted=predicted,
        unit=logged.unit,
        weight=logged.weight,
        unsupported=(logged.seen[logged.cell, action] < LEAST_ROWS).astype(np.float64),
        action=logged.action,
        propensity_source=logged.propensities,
    )
    return off_policy_report(decisions, rng, repetitions=repetitions, names=logged.actions)


def sequences_report(
    logged: LoggedDecisions, action: Ints, repetitions: int, rng: np.random.Generator
) -> Lift:
    """The policy and the log's own, by fitted Q evaluation; `action [n]` is the policy's."""
    first = np.flatnonzero(logged.step == 0)
    trajectory = np.cumsum(logged.step == 0) - 1
    log = CellLog(
        trajectory=trajectory,
        step=logged.step,
        cell=logged.cell,
        action=logged.action,
        reward=logged.reward,
        after=np.full(len(first), ENDED if logged.terminal else UNKNOWN),
        cells=len(logged.seen),
        actions=len(logged.actions),
        unit=np.unique(logged.unit[first], return_inverse=True)[1],
    )
    target = np.zeros((logged.size, len(logged.actions)))
    target[np.arange(logged.size), action] = 1.0
    return lift_over_logging(
        log,
        target,
        discount=logged.discount,
        rng=rng,
        horizon=None if logged.discount < 1 else log.longest,
        propensity=logged.propensity,
        repetitions=repetitions,
        level=1 - 2 * TAIL,
    )


def _lift_of_sequences(
    logged: LoggedDecisions, action: Ints, repetitions: int, rng: np.random.Generator
) -> LogLift:
    found = sequences_report(logged, action, repetitions, rng)
    thin = float(found.support.by_step.max())
    cannot = () if thin <= MOST_UNSUPPORTED_STEPS else (
        f"{100 * thin:.0f} % of its decisions in some step are hardly in the log (at most "
        f"{100 * MOST_UNSUPPORTED_STEPS:.0f} %)",
    )  # fmt: skip
    return LogLift(
        method="fitted Q evaluation between cells, customers resampled",
        value=found.lift.value,
        low=None if cannot else found.lift.low,
        logging=found.logging.value,
        unit="customer",
        effective_n=float(found.units),
        cannot=cannot,
    )


def lower_percentile(lifts: Sequence[float] | Array, q: float = 0.05) -> float:
    """The 5th percentile over members of the policy's value less the best rule's."""
    return float(np.quantile(np.asarray(lifts, np.float64), q))
