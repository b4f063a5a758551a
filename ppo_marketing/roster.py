"""Every champion and challenger of a project: whose run it is, its gain, on data how old."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ppo_marketing.audit_trail import Line, read_trail
from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import Estimate
from ppo_marketing.files import read_json
from ppo_marketing.freshness import Freshness, freshness_of
from ppo_marketing.jobs.kept_runs import KeptRun, kept_evidence, run_in, runs_of
from ppo_marketing.jobs.release_book import trail_of
from ppo_marketing.overview import challenger, done_today
from ppo_marketing.releases import standing

Role = Literal["champion", "challenger"]


@dataclass(frozen=True)
class Listed:
    """A champion, or a challenger that was approved: its run, gain and log as far as they are kept.

    `line` is what was recorded of it, with the verdict of that day. `gain` is what it earns beyond
    what is done today, in currency an episode, paired; None where the run is no longer here.
    """

    decision: str
    role: Role
    line: Line
    run: KeptRun | None
    gain: Estimate | None
    freshness: Freshness | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "decision": self.decision,
            "role": self.role,
            "version": self.line.to_version,
            "since": self.line.time,
            "approver": self.line.approver,
            "verdict": self.line.verdict,
            "run": None if self.run is None else self.run.name,
            "gain": None if self.gain is None else vars(self.gain),
            "log_ends": None
            if self.freshness is None or self.freshness.last is None
            else self.freshness.last.isoformat(),
        }


def roster(project: Path) -> tuple[Listed, ...]:
    """Every decision's champion and challenger, in the order in which decisions were first decided.

    Raises IntegrityError where the audit trail is not what was written.
    """
    lines = read_trail(trail_of(project))
    runs = {policy: run for run in _all_runs(project) if (policy := _policy_of(run))}
    found = []
    for decision in dict.fromkeys(line.decision for line in lines if line.decision):
        now = standing(lines, decision)
        if now is not None:
            found.append(_listed(decision, "champion", now.champion, runs))
        waiting = challenger(lines, decision)
        if waiting is not None:
            found.append(_listed(decision, "challenger", waiting, runs))
    return tuple(found)


def _listed(decision: str, role: Role, line: Line, runs: Mapping[str, KeptRun]) -> Listed:
    run = runs.get(line.policy_sha256)
    try:
        evidence = None if run is None else kept_evidence(run.folder)
    except UserError:
        evidence = None
    gain = None if evidence is None else done_today(evidence.judgement.later).value_lift
    freshness = None if run is None else freshness_of(run, evidence)
    return Listed(decision, role, line, run, gain, freshness)


def _all_runs(project: Path) -> Iterator[KeptRun]:
    """Those that retrainings made first, so that a run that was made by hand is named instead."""
    folder = project / "data" / "retraining"
    for inside in sorted(folder.glob("*/runs/*")) if folder.is_dir() else ():
        run = run_in(inside)
        if run is not None:
            yield run
    yield from runs_of(project)


def _policy_of(run: KeptRun) -> str | None:
    """The hash of the policy that a run's verdict speaks of; None where there is no verdict."""
    try:
        return str(read_json(run.folder / "verdict.json")["policy_sha256"])
    except (UserError, KeyError):
        return None
