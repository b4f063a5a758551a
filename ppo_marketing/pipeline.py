"""The whole line on one screen: log -> calibrated world -> PPO -> evidence.

Every arrow takes values and returns a value; files, the tracker and the terminal stay with the
callers (`jobs/`), which hand in what they want to be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import VectorEnv

from envs.core.calibration_folder import DamagedFile
from envs.core.decision import Calibration, Decision, Rule
from envs.core.log import LogError, LogTable, read_log
from envs.core.vector import RegretVectorEnv, WorldVectorEnv
from envs.core.world import Array, HindsightWorld, World
from ppo_marketing.config import EvaluationSection, LogSection, TrainingSection, build
from ppo_marketing.constrained import PricedVectorEnv, score_beyond
from ppo_marketing.errors import IntegrityError, UserError
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
    shares,
    telling_episodes,
)
from ppo_marketing.policy import Actor, Policy, PolicyActor
from ppo_marketing.ppo.constraint import PIDLagrangian
from ppo_marketing.ppo.signals import StopSignal
from ppo_marketing.restricted_log import unrestricted

# Torch takes seconds to import, and reading a log needs none of it.
if TYPE_CHECKING:
    from ppo_marketing.ppo.agent import Agent
    from ppo_marketing.ppo.config import PPOConfig
    from ppo_marketing.ppo.run import TrainingRow
    from ppo_marketing.ppo.train import TrainResult

# Streams of the run's seed, one a purpose, so that none shifts another.
# They count from 100: default_rng([s, 0]) is default_rng(s), and evaluation uses the small numbers.
(
    SAMPLE,
    CALIBRATE,
    TRAIN_EPISODES,
    VALIDATION_EPISODES,
    JUDGING_EPISODES,
    EARLIER_EPISODES,
    TUNE,
    UNTRAINED,
    OFF_POLICY,
    MEMBER_EPISODES,
    CHOICE,
) = range(100, 111)


def stream(seed: int, purpose: int) -> np.random.Generator:
    """The generator of one purpose."""
    return np.random.default_rng([seed, purpose])


@contextmanager
def as_user_error() -> Iterator[None]:
    """Turn what the decisions refuse (their ValueErrors) into the engine's bad-data errors."""
    try:
        yield
    except DamagedFile as error:
        raise IntegrityError(str(error)) from error
    except (LogError, ValueError) as error:
        raise UserError(str(error)) from error


def read(decision: Decision, section: LogSection, cache: Path) -> LogTable:
    """The log, validated whole; less what its special ad category takes out."""
    assert section.path is not None
    with as_user_error():
        log = read_log(
            section.path,
            decision.schema,
            columns=section.columns or None,
            cache=cache,
            reader=section.reader,
            reader_options=section.reader_options or None,
        )
    return unrestricted(log, section.special_ad_category, section.protected, section.columns)


def given_settings(decision: Decision, given: Mapping[str, Any], base: Any) -> Any:
    """The decision's settings: the given ones over those of `base`."""
    return build(decision.settings_type, {**vars(base), **given}, decision.name)


def settle(decision: Decision, log: LogTable, settings: Any) -> Any:
    """The settings with what the log itself says filled in."""
    with as_user_error():
        return decision.settle(log, settings)


def calibrate(decision: Decision, log: LogTable, settings: Any, seed: int) -> Calibration:
    """The fitted market with its fidelity report.

    On one thread: the fits are many small steps, which took twice as long on two.
    """
    from ppo_marketing.ppo.threads import single_threaded

    with as_user_error(), single_threaded():
        return decision.fit(log, settings, stream(seed, CALIBRATE))


def require_fidelity(calibration: Calibration, accepted_because: str | None) -> None:
    """Refuse to train on a simulator that does not reproduce the held-out days."""
    if not calibration.fidelity.passed and accepted_because is None:
        listed = "\n".join(
            f"  {c.name}: {c.value:.4g}, allowed {c.low:.4g} to {c.high:.4g}: {c.meaning}"
            for c in calibration.fidelity.failures
        )
        listed = listed or "  the log supports no check at all"
        raise UserError(
            f"the simulator does not reproduce the held-out days; training on it is refused:\n"
            f"{listed}\nMend the log or the calibration; or accept it by name with "
            "--accept-failed-fidelity REASON, which is recorded with the run."
        )


def require_playable(calibration: Calibration, settings: Any) -> None:
    """Refuse settings that only the calibrated market shows to be impossible."""
    with as_user_error():
        calibration.history_world(settings)


def tuned_rules(
    decision: Decision, calibration: Calibration, settings: Any, seed: int
) -> tuple[Rule[Any], ...]:
    """Every rule, tuned on the history days only."""
    history = calibration.history_world(settings)
    return tuple(rule.tuned(history, stream(seed, TUNE)) for rule in decision.rules())


def ppo_config(decision: Decision, training: TrainingSection) -> PPOConfig:
    """PPO's settings: its own defaults, the decision's, the user's.

    Raises UserError for what they contradict, the rollout's size included: before any work.
    """
    from ppo_marketing.ppo.config import PPOConfig, require_fitting_minibatch

    config = build(PPOConfig, {**decision.ppo, **training.ppo}, "training.ppo")
    require_fitting_minibatch(config, training.copies)
    _require_known_kpis(decision, training.constraint)
    return config


def _require_known_kpis(decision: Decision, constraint: PIDLagrangian | None) -> None:
    known = [kpi.name for kpi in decision.kpis]
    unknown = [] if constraint is None else [k for k in constraint.kpis if k not in known]
    if unknown:
        raise UserError(
            f"training.constraint: {decision.name} has no KPI {', '.join(unknown)}; it has "
            f"{', '.join(known)}"
        )


def untrained(world: World[Any], config: PPOConfig, seed: int) -> Agent:
    """The agent that training starts from: its action is the space's zero, whatever it sees."""
    from ppo_marketing.ppo.agent import Agent

    return Agent.create(
        world.observation_space, world.action_space, config, stream(seed, UNTRAINED)
    )


def training_env(
    world: World[Any], copies: int, *, regret: bool, constraint: PIDLagrangian | None = None
) -> VectorEnv:
    """What an algorithm learns in: by regret where that is asked for and known, within a limit."""
    shaped = regret and isinstance(world, HindsightWorld)
    env = (RegretVectorEnv if shaped else WorldVectorEnv)(world, copies)
    return env if constraint is None else PricedVectorEnv(env, constraint)


def validation(
    decision: Decision,
    world: World[Any],
    episodes: int,
    seed: int,
    constraint: PIDLagrangian | None = None,
) -> Callable[[Actor], float]:
    """The score that chooses among policies: their mean share of the ceiling in one world.

    Any policy within the limit ranks above all beyond it, and those by how far they are beyond.
    """
    ceiling = ceiling_of(world, episodes, seed, decision.ceiling)
    telling = telling_episodes(ceiling, decision.ceiling_kind)

    def score(actor: Actor) -> float:
        kpis = play(actor, world, episodes, seed, "policy").kpis
        beyond = 0.0 if constraint is None else violation(constraint, kpis)
        if beyond > 0:
            return score_beyond(beyond)
        value = kpis[decision.value_kpi]
        return float(shares(value[telling], ceiling[telling], decision.ceiling_kind).mean())

    return score


def violation(constraint: PIDLagrangian, kpis: Mapping[str, Array]) -> float:
    """How far beyond the limit episodes with these KPI totals are: used / limit - 1."""
    return constraint.violation(np.stack([kpis[name] for name in constraint.kpis], axis=1))


def learn(
    decision: Decision,
    training_world: World[Any],
    validation_world: World[Any],
    training: TrainingSection,
    seed: int,
    *,
    checkpoint: Path | None = None,
    on_update: Callable[[TrainingRow], None] | None = None,
    stop: StopSignal | None = None,
    agent: Agent | None = None,
) -> TrainResult:
    """Train PPO from the decision's start; fresh simulated episodes choose the best update.

    Where an `agent` is given, training starts from it instead.
    """
    from ppo_marketing.ppo.train import train

    score = validation(
        decision, validation_world, training.validation_episodes, seed, training.constraint
    )
    config = ppo_config(decision, training)
    return train(
        training_env(
            training_world, training.copies, regret=training.regret, constraint=training.constraint
        ),
        config,
        agent=agent or untrained(training_world, config, seed),
        total_steps=training.total_steps,
        seed=seed,
        checkpoint=checkpoint,
        checkpoint_every=training.checkpoint_every,
        validate=lambda agent: score(PolicyActor("candidate", agent)),
        validate_every=training.validate_every,
        on_update=on_update,
        stop=stop,
    )


def learn_from_calibration(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    training: TrainingSection,
    seed: int,
    **watchers: Any,
) -> TrainResult:
    """Train through the calibrated simulator."""
    return learn(
        decision,
        calibration.training_world(training.episodes, settings, stream(seed, TRAIN_EPISODES)),
        calibration.training_world(
            training.validation_episodes, settings, stream(seed, VALIDATION_EPISODES)
        ),
        training,
        seed,
        **watchers,
    )


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


def anchored(decision: Decision, settings: Any, rules: Sequence[Rule[Any]]) -> Any:
    """The settings with the agent's action 0 on the best closed-form rule."""
    return decision.anchored(settings, rules)
