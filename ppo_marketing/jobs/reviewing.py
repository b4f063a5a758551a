"""Saying no to a release, on the record."""

from __future__ import annotations

from pathlib import Path

from ppo_marketing.access import Permission
from ppo_marketing.approvals import require_unchanged
from ppo_marketing.audit_trail import Action
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.admission import admit, answering
from ppo_marketing.jobs.releasable import releasable
from ppo_marketing.jobs.release_book import HEAD, Desk, opened
from ppo_marketing.jobs.releasing import Released
from ppo_marketing.tracking.registry import CHALLENGER, POLICY_TAG


def reject(
    run_folder: Path,
    desk: Desk,
    *,
    approver: str | None,
    reason: str | None,
    seen: int | None = None,
) -> Released:
    """`reject`: record that a person wants this very policy not to be released.

    Approvals of it so far no longer count, it is no challenger any more, and until somebody
    approves it again `promote` refuses it. `seen` is the `last_act` that the person was shown.

    Raises:
        Refused: `approver` is not among those who may, or somebody acted since.
        UserError: the policy is the champion, which only `rollback` takes back; no reason is given.
        IntegrityError, AlreadyRunning: as `promote`.
    """
    judged = releasable(run_folder)
    decision, asked = judged.decision, f"reject {judged.policy_sha256[:12]}"
    admit(desk, Permission.APPROVE, decision=decision, asked=asked)
    name = answering(desk, approver, decision=decision, asked=asked, reason=reason)
    assert reason is not None
    judged.release.stricter(desk.rules).require_may_approve(name)
    with opened(desk) as book:
        require_unchanged(book.lines, decision, seen)
        before = book.standing(decision)
        if before is not None and before.champion.policy_sha256 == judged.policy_sha256:
            raise UserError(
                f"this policy is the champion of {decision}: rollback takes it back, reject does "
                "not"
            )
        version = next(
            (
                version
                for version in book.registry.history(decision)
                if version.tags.get(POLICY_TAG) == judged.policy_sha256
            ),
            None,
        )
        line = book.record(
            desk.entry(
                Action.REJECT,
                approver=name,
                reason=reason.strip(),
                to_version=None if version is None else version.number,
                **judged.evidence(),
            )
        )
        if version is not None:
            if book.registry.alias(decision, CHALLENGER) == version.number:
                book.registry.drop_challenger(decision)
            book.registry.tag(decision, version.number, {HEAD: book.head})
        return Released(line, book.head)
