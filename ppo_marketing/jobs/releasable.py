"""What a person decides on: something that was judged, and what its verdict says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppo_marketing.content.judged import FILE as CONTENT
from ppo_marketing.content.judged import kept_judgement
from ppo_marketing.gate import advice, sentence
from ppo_marketing.jobs.verdicts import kept_verdict, verdict_tags
from ppo_marketing.releases import ReleaseRules

LANGUAGE_MODEL = "content"
"""What an aligned model decides, on the trail and in the registry, where a policy has its card's
name: what a brand says. A project is one brand, so it has one champion of it."""


@dataclass(frozen=True)
class Releasable:
    """A policy, or a language model aligned as one, with its verdict by the rules of the day."""

    decision: str
    policy: Path
    policy_sha256: str
    data_sha256: str
    verdict_sha256: str
    passed: bool
    reasons: tuple[str, ...]
    sentence: str
    advice: tuple[str, ...]
    release: ReleaseRules

    def evidence(self) -> dict[str, Any]:
        """What a line of the trail says of it."""
        return {
            "decision": self.decision,
            "policy_sha256": self.policy_sha256,
            "data_sha256": self.data_sha256,
            "verdict_sha256": self.verdict_sha256,
            "verdict": "passed" if self.passed else "refused",
            "reasons": self.reasons,
        }

    def tags(self) -> dict[str, str]:
        """How its version is marked in the registry."""
        return {
            "data.sha256": self.data_sha256,
            "verdict.sha256": self.verdict_sha256,
            **verdict_tags(self.passed, self.reasons),
        }


def releasable(folder: Path) -> Releasable:
    """What was judged into `folder`, verified: by `run` or `evaluate`, or by `content gate`.

    Raises:
        UserError: there is no verdict.
        IntegrityError: the verdict, or what it speaks of, is not what was written.
    """
    if (folder / CONTENT).is_file():
        judged = kept_judgement(folder)
        return Releasable(
            decision=LANGUAGE_MODEL,
            policy=judged.bundle,
            policy_sha256=judged.bundle_sha256,
            data_sha256=judged.judged_with_sha256,
            verdict_sha256=judged.sha256,
            passed=judged.verdict.passed,
            reasons=judged.verdict.reasons,
            sentence=judged.verdict.sentence,
            advice=judged.verdict.advice,
            release=judged.release,
        )
    audited = kept_verdict(folder)
    verdict = audited.verdict
    return Releasable(
        decision=audited.decision,
        policy=audited.policy,
        policy_sha256=audited.policy_sha256,
        data_sha256=audited.data_sha256,
        verdict_sha256=audited.sha256,
        passed=verdict.passed,
        reasons=tuple(sorted(str(reason) for reason in verdict.reasons)),
        sentence=sentence(verdict),
        advice=tuple(advice(verdict.findings)),
        release=audited.release,
    )
