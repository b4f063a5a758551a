"""Policies and rules playing the same episodes, summed up as evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.core.decision import Calibration, Decision, Rule
from envs.core.world import Array, World
from ppo_marketing.config import EvaluationSection
from ppo_marketing.evaluation import (
    Evidence,
    Judgement,
    Kind,
    Limit,
    Played,
    Row,
    ceiling_of,
    judge_played,
    play,
)
from ppo_marketing.pipeline.streams import EARLIER_EPISODES, JUDGING_EPISODES, stream
from ppo_marketing.policy import Actor, Policy, PolicyActor
from ppo_marketing.ppo.constraint import PIDLagrangian

if TYPE_CHECKING:
    from ppo_marketing.ppo.agent import Agent

LATER = "simulated from the later part"
"""What the judging world is called in tables."""
CHAMPION = "champion"
"""What the policy that runs today is called in tables."""


def beside(
    rules: Sequence[Rule[Any]], logging: Rule[Any] | None, do_nothing: Rule[Any]
) -> list[tuple[Actor, Kind]]:
    """Whom every policy is judged beside, in the order of the table."""
    logged: list[tuple[Actor, Kind]] = [(logging, "logging")] if logging else []
    return [*((rule, "rule") for rule in rules), *logged, (do_nothing, "floor")]


@dataclass(frozen=True)
class Contest:
    """Who is compared: the policy, its untrained start, the rules, the log's own, doing nothing.

    `champion` is the policy that runs today, where there is one.
    """

    policy: Policy
    start: Agent
    rules: Sequence[Rule[Any]]
    logging: Rule[Any] | None
    do_nothing: Rule[Any]
    champion: Policy | None = None

    def actors(self) -> list[tuple[Actor, Kind]]:
        """Everyone in the order of the table."""
        return [
            (PolicyActor("PPO", self.policy), "policy"),
            *self._today(),
            (PolicyActor("untrained start", self.start), "untrained"),
            *beside(self.rules, self.logging, self.do_nothing),
        ]

    def _today(self) -> list[tuple[Actor, Kind]]:
        return [] if self.champion is None else [(PolicyActor(CHAMPION, self.champion), "champion")]


def judge_in(
    decision: Decision,
    world: World[Any],
    contest: Contest,
    *,
    title: str,
    unit: str,
    episodes: int,
    seed: int,
    bootstrap: int,
) -> Evidence:
    """Everyone plays the same episodes of one world; the policy is compared, paired, with each."""
    return evidence_of(
        decision,
        [play(actor, world, episodes, seed, kind) for actor, kind in contest.actors()],
        ceiling_of(world, episodes, seed, decision.ceiling),
        contest.rules,
        title=title, unit=unit, seed=seed, bootstrap=bootstrap,
    )  # fmt: skip


def evidence_of(
    decision: Decision,
    played: Sequence[Played],
    ceiling: Array,
    rules: Sequence[Rule[Any]],
    *,
    title: str,
    unit: str,
    seed: int,
    bootstrap: int,
) -> Evidence:
    """What was made of the same episodes, judged in the decision's own KPIs and units."""
    event_unit = next(kpi.unit for kpi in decision.kpis if kpi.name == decision.event_kpi)
    return judge_played(
        played,
        ceiling,
        world=title,
        value_kpi=decision.value_kpi,
        event_kpi=decision.event_kpi,
        unit=unit,
        event_unit=event_unit,
        ceiling_kind=decision.ceiling_kind,
        seed=seed,
        chosen={rule.name: dict(rule.chosen) for rule in rules},
        repetitions=bootstrap,
    )


def judge_policy(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    policy: Policy,
    start: Agent,
    rules: Sequence[Rule[Any]],
    evaluation: EvaluationSection,
    seed: int,
    constraint: PIDLagrangian | None = None,
    champion: Policy | None = None,
) -> Judgement:
    """Judge on the later part, which nothing was fitted to or trained on, and on the earlier.

    `constraint` is what the policy was trained to keep within; `champion` what runs today.
    """
    contest = Contest(
        policy, start, rules, decision.logging_rule(calibration), decision.do_nothing, champion
    )
    episodes = evaluation.episodes
    later = calibration.judging_world(episodes, settings, stream(seed, JUDGING_EPISODES))
    earlier = calibration.training_world(episodes, settings, stream(seed, EARLIER_EPISODES))
    logged = calibration.heldout_world(settings)

    def judged(world: World[Any], title: str, episodes: int) -> Evidence:
        return judge_in(
            decision, world, contest,
            title=title, unit=settings.currency, episodes=episodes, seed=seed,
            bootstrap=evaluation.bootstrap,
        )  # fmt: skip

    found = judged(later, LATER, episodes)
    return Judgement(
        later=found,
        logged=None
        if logged is None
        else judged(logged, "the later part itself, as logged", logged.episodes),
        earlier=judged(earlier, "simulated from the earlier part", episodes),
        limit=None if constraint is None else _limit(constraint, found),
    )


def _limit(constraint: PIDLagrangian, evidence: Evidence) -> Limit:
    def used(row: Row) -> float:
        totals = np.array([[row.kpis[name] for name in constraint.kpis]])
        return constraint.limit * (1.0 + constraint.violation(totals))

    return Limit(
        kpi=constraint.kpi,
        per=constraint.per,
        allowed=constraint.limit,
        used=used(evidence.policy),
        best_rule_uses=used(evidence.row(evidence.best_rule)),
    )
