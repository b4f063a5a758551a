"""Where a decision stands: who earns what, on data how fresh, released by whom, and what asks for
attention. Everything is taken from what runs, releases and jobs have left; nothing is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from envs.core.decision import Decision
from ppo_marketing.attention import (
    Alert,
    evidence_alerts,
    freshness_alerts,
    job_alerts,
    release_alerts,
    retraining_alerts,
)
from ppo_marketing.audit_trail import Action, Line, read_trail
from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.evaluation import Estimate, Evidence, Row
from ppo_marketing.files import read_json
from ppo_marketing.freshness import Freshness, freshness_of
from ppo_marketing.gate import Verdict
from ppo_marketing.jobs.background import Job, jobs_of
from ppo_marketing.jobs.kept_runs import KeptEvidence, KeptRun, kept_evidence, runs_of
from ppo_marketing.jobs.release_book import trail_of
from ppo_marketing.jobs.standing_alerts import standing_alerts
from ppo_marketing.jobs.verdicts import kept_verdict
from ppo_marketing.releases import Standing, standing

LAST_RUNS = 8


@dataclass(frozen=True)
class Headline:
    """What a policy would earn an episode beyond what is done today, and whether that is shown.

    `difference` is in currency an episode; `lift` the same in shares of the ceiling, paired, with
    its interval, and `over_rule` that over the best rule. `beside` says what is done today: the
    log's own policy, or else the best rule.
    """

    difference: float
    lift: Estimate
    over_rule: Estimate
    beside: Row
    episode: str
    supported: bool

    @property
    def finding(self) -> Literal["more", "less", "the same"]:
        """Whether the interval of the lift leaves a doubt about its sign."""
        if self.lift.low > 0:
            return "more"
        return "less" if self.lift.high < 0 else "the same"

    def sentence(self, money: Callable[[float], str]) -> str:
        """The headline in plain words; `money` writes an amount with its currency."""
        today = "is done today" if self.beside.kind == "logging" else "the best rule earns"
        amount = money(abs(self.difference))
        said = {
            "more": f"This policy would earn {amount} more a {self.episode} than what {today}",
            "less": f"This policy would earn {amount} less a {self.episode} than what {today}",
            "the same": f"What this policy would earn cannot be told apart from what {today}",
        }[self.finding]
        if self.finding != "more":
            return f"{said}: keep what runs."
        rule = self.over_rule
        as_good = (
            ""
            if rule.low > 0
            else f" The best rule earns {'more' if rule.high < 0 else 'as much'}."
        )
        support = "supports it" if self.supported else "does not support it yet"
        return f"{said}; the log {support}.{as_good}"


@dataclass(frozen=True)
class Told:
    """A run in a sentence of numbers: what its policy is worth, and the gate's word."""

    run: KeptRun
    value: Estimate | None
    share_of_ceiling: Estimate | None
    verdict: Literal["passed", "refused", "none"]


@dataclass(frozen=True)
class Overview:
    """Everything at a glance; parts that do not exist yet are None or empty."""

    decision: str
    run: KeptRun | None
    evidence: KeptEvidence | None
    verdict: Verdict | None
    headline: Headline | None
    rows: tuple[Row, ...]
    freshness: Freshness | None
    champion: Standing | None
    challenger: Line | None
    alerts: tuple[Alert, ...]
    last_runs: tuple[Told, ...]
    jobs: tuple[Job, ...]


def overview(project: Path, card: Decision, run: KeptRun | None, now: datetime) -> Overview:
    """Where `card`'s decision stands, told of one of its runs.

    Raises IntegrityError where the audit trail is not what was written.
    """
    lines = read_trail(trail_of(project))
    champion = standing(lines, card.name)
    judged = run is not None and run.reached == "judged"
    evidence = kept_evidence(run.folder) if run is not None and judged else None
    verdict, broken = _verdict(run.folder) if run is not None and judged else (None, ())
    freshness = None if run is None else freshness_of(run, evidence)
    later = None if evidence is None else evidence.judgement.later
    jobs = jobs_of(project, card.name)
    return Overview(
        decision=card.name,
        run=run,
        evidence=evidence,
        verdict=verdict,
        headline=None
        if later is None
        else headline(later, card.episode, verdict is not None and verdict.passed),
        rows=() if later is None else compared(later),
        freshness=freshness,
        champion=champion,
        challenger=challenger(lines, card.name),
        alerts=(
            *broken,
            *(() if evidence is None else evidence_alerts(evidence, verdict)),
            *(() if freshness is None else freshness_alerts(freshness, now)),
            *(() if champion is None else release_alerts(champion.champion, now)),
            *retraining_alerts(standing_alerts(project, card.name, now)),
            *job_alerts(jobs),
        ),
        last_runs=tuple(told(one) for one in runs_of(project, card.name)[:LAST_RUNS]),
        jobs=jobs,
    )


def headline(evidence: Evidence, episode: str, supported: bool) -> Headline:
    """The policy beside what is done today: the log's own policy, else the best rule."""
    beside = done_today(evidence)
    over_rule = evidence.row(evidence.best_rule).policy_lift
    assert beside.policy_lift is not None
    assert over_rule is not None
    difference = evidence.policy.value.value - beside.value.value
    return Headline(difference, beside.policy_lift, over_rule, beside, episode, supported)


def done_today(evidence: Evidence) -> Row:
    """The log's own policy; where the log has none to tell of, the best rule."""
    logging = [row for row in evidence.rows if row.kind == "logging"]
    return logging[0] if logging else evidence.row(evidence.best_rule)


def compared(evidence: Evidence) -> tuple[Row, ...]:
    """Doing nothing, the log's own policy, the best rule, the policy and the ceiling, in order."""
    kinds = ("floor", "logging", "rule", "policy", "ceiling")
    kept = [row for row in evidence.rows if row.kind != "rule" or row.name == evidence.best_rule]
    return tuple(row for kind in kinds for row in kept if row.kind == kind)


def challenger(lines: Sequence[Line], decision: str) -> Line | None:
    """The last approval whose policy was not released since."""
    waiting: Line | None = None
    for line in lines:
        if line.decision != decision:
            continue
        if line.action is Action.APPROVE:
            waiting = line
        elif waiting is not None and line.to_version == waiting.to_version:
            waiting = None
    return waiting


def told(run: KeptRun) -> Told:
    """A run for a list of runs; what cannot be read is left out."""
    if run.reached != "judged":
        return Told(run, None, None, "none")
    try:
        policy = kept_evidence(run.folder).judgement.later.policy
        passed = read_json(run.folder / "verdict.json")["verdict"]["passed"]
    except (UserError, KeyError):
        return Told(run, None, None, "none")
    return Told(run, policy.value, policy.share_of_ceiling, "passed" if passed else "refused")


def _verdict(folder: Path) -> tuple[Verdict | None, tuple[Alert, ...]]:
    try:
        return kept_verdict(folder).verdict, ()
    except (IntegrityError, UserError) as error:
        return None, (Alert("bad", str(error), "evidence"),)
