"""The verdict on disk: written beside its evidence, judged again, and never believed unread."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from ppo_marketing.errors import GateNotPassed, IntegrityError, UserError
from ppo_marketing.files import folder_sha256, read_json
from ppo_marketing.gate import Audit, GateRules, Verdict, judge, sentence
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.releases import ReleaseRules

FILE = "verdict.json"


class Audited(NamedTuple):
    """What a verdict rests on, as it was kept."""

    decision: str
    audit: Audit
    rules: GateRules
    policy: Path
    policy_sha256: str
    data_sha256: str
    sha256: str
    release: ReleaseRules

    @property
    def verdict(self) -> Verdict:
        """The verdict by the rules of the day."""
        return judge(self.audit, self.rules)


def keep_verdict(
    folder: Path,
    decision: str,
    audit: Audit,
    rules: GateRules,
    *,
    policy: Path,
    data_sha256: str,
    release: ReleaseRules | None = None,
) -> None:
    """Write the audit, the rules and their verdict to `folder`, with a hash over all of it.

    `release` says who must agree before the policy is released.
    """
    content = {
        "decision": decision,
        "policy": str(policy.resolve()),
        "policy_sha256": folder_sha256(policy, "policy.json"),
        "data_sha256": data_sha256,
        "rules": asdict(rules),
        "release": asdict(release or ReleaseRules()),
        "audit": asdict(audit),
        "verdict": judge(audit, rules).as_dict(),
    }
    write_json(folder / FILE, {"sha256": _digest(content), **content})


def kept_verdict(folder: Path) -> Audited:
    """What `keep_verdict` wrote, verified.

    Raises:
        UserError: there is no verdict in `folder`.
        IntegrityError: the file, or the policy that it speaks of, is not what was judged.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(
            f"{folder} holds no {FILE}: name the folder that `run` or `evaluate` wrote to"
        )
    content = read_json(path)
    written = content.pop("sha256", None)
    if written != _digest(content):
        raise IntegrityError(
            f"{path} is not what was written (its SHA-256 differs): evaluate the policy again"
        )
    found = Audited(
        decision=content["decision"],
        audit=Audit.from_dict(content["audit"]),
        rules=GateRules(**content["rules"]),
        policy=Path(content["policy"]),
        policy_sha256=content["policy_sha256"],
        data_sha256=content["data_sha256"],
        sha256=written,
        release=_release_rules(content.get("release", {})),
    )
    _require_same_policy(found)
    return found


def _release_rules(values: dict[str, Any]) -> ReleaseRules:
    return ReleaseRules(**{**values, "approvers": tuple(values.get("approvers", ()))})


def _require_same_policy(found: Audited) -> None:
    try:
        now = folder_sha256(found.policy, "policy.json")
    except OSError as error:
        raise IntegrityError(
            f"the policy that was judged is no longer in {found.policy}: evaluate it again where "
            "it is now"
        ) from error
    if now != found.policy_sha256:
        raise IntegrityError(
            f"{found.policy} holds another policy than the one that was judged: evaluate it again"
        )


def require_passed(verdict: Verdict) -> None:
    """Raise GateNotPassed where a test refused the policy."""
    if not verdict.passed:
        raise GateNotPassed(sentence(verdict))


def verdict_tags(passed: bool, reasons: Iterable[str]) -> dict[str, str]:
    """How a run's record is marked with its verdict."""
    said = "passed" if passed else "refused"
    return {"gate.verdict": said, "gate.reasons": ", ".join(sorted(reasons)) or "none"}


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
