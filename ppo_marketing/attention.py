"""What asks for attention: in evidence, logs, releases, retrainings and jobs. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ppo_marketing.audit_trail import Line
from ppo_marketing.freshness import OLD_AFTER, Freshness
from ppo_marketing.gate import Verdict, sentence
from ppo_marketing.jobs.background import Job
from ppo_marketing.jobs.kept_runs import KeptEvidence
from ppo_marketing.jobs.standing_alerts import StandingAlert
from ppo_marketing.releases import force_text, in_force

EXPIRES_SOON = timedelta(days=7)

Level = Literal["bad", "look"]


@dataclass(frozen=True)
class Alert:
    """Something that asks for attention, and the page that shows more of it."""

    level: Level
    text: str
    page: str


def evidence_alerts(evidence: KeptEvidence, verdict: Verdict | None) -> tuple[Alert, ...]:
    """What simulator, gate and drift say against a policy."""
    found = []
    if not evidence.fidelity_passed:
        failed = ", ".join(evidence.fidelity_failures)
        found.append(Alert("bad", f"The simulator failed its checks: {failed}.", "simulator"))
    if verdict is not None and not verdict.passed:
        found.append(Alert("look", sentence(verdict), "evidence"))
    if evidence.drift is not None and not evidence.drift["within_bounds"]:
        reasons = "; ".join(evidence.drift["reasons"])
        found.append(Alert("look", f"It changes more than is allowed: {reasons}.", "release"))
    return tuple(found)


def freshness_alerts(freshness: Freshness, now: datetime) -> tuple[Alert, ...]:
    """What to say of a log that is old; a generated one has no age."""
    age = freshness.age(now)
    if freshness.generated or age is None or age <= OLD_AFTER:
        return ()
    text = f"The log ends {age.days} days ago: calibrate on a newer one before anything is released"
    return (Alert("look", f"{text}.", "data"),)


def release_alerts(champion: Line, now: datetime) -> tuple[Alert, ...]:
    """What to say of a release whose override has ended, or soon will."""
    if not in_force(champion, now):
        return (Alert("bad", f"The champion is {force_text(champion, now)}.", "release"),)
    if not in_force(champion, now + EXPIRES_SOON):
        return (Alert("look", f"The champion is {force_text(champion, now)}.", "release"),)
    return ()


RETRAINING: Mapping[str, tuple[str, Level, str]] = {
    "failed": ("failed", "bad", "train"),
    "silent": ("has been silent", "bad", "train"),
    "set aside": ("set a file aside", "look", "data"),
    "shifted": ("met a log that has shifted", "look", "data"),
    "waiting": ("found a challenger that waits for a person", "look", "release"),
    "kept": ("kept what runs", "look", "release"),
}
"""What each kind of alert says in words, how bad it is, and the page that shows more."""


def retraining_alerts(alerts: Sequence[StandingAlert]) -> tuple[Alert, ...]:
    """What scheduled retrainings told somebody, and nothing has answered since."""
    found = []
    for alert in alerts:
        said, level, page = RETRAINING.get(alert.kind, (alert.kind, "look", "train"))
        often = f", {alert.times} times by now" if alert.times > 1 else ""
        found.append(
            Alert(
                level,
                f"The retraining {alert.retraining} {said} ({alert.time:%Y-%m-%d %H:%M} UTC"
                f"{often}): {alert.message}",
                page,
            )
        )
    return tuple(found)


def job_alerts(jobs: Sequence[Job]) -> tuple[Alert, ...]:
    """The last job, where it failed."""
    if not jobs or jobs[0].state != "failed":
        return ()
    return (Alert("look", f"{jobs[0].order.title} failed: {jobs[0].said}", "train"),)
