"""What stands between two people who decide at once: the last act that both were shown, and vetoes.

Pure functions of the audit trail, as `releases`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ppo_marketing.audit_trail import Action, Line
from ppo_marketing.errors import Refused
from ppo_marketing.releases import RELEASES

DECIDES = (*RELEASES, Action.APPROVE, Action.REJECT, Action.RESTORE)


def last_act(lines: Sequence[Line], decision: str) -> int:
    """The number of the last line by which somebody decided on a release; 0 where nobody did.

    Whoever is shown a state acts on it: handed back with the action, the number tells whether
    somebody else acted in between. Attempts that were refused decide nothing.
    """
    numbers = (n.sequence for n in lines if n.decision == decision and n.action in DECIDES)
    return max(numbers, default=0)


def require_unchanged(lines: Sequence[Line], decision: str, seen: int | None) -> None:
    """Raise Refused where somebody acted after `seen`, a `last_act`; None: nothing was shown."""
    now = last_act(lines, decision)
    if seen is None or seen == now:
        return
    newer = next(line for line in lines if line.sequence == now)
    raise Refused(
        f"somebody was faster: {newer.approver} recorded {newer.action} on {newer.time} "
        f"({newer.reason}). Nothing of yours was recorded; look at what stands now, then decide"
    )


def require_not_rejected(lines: Sequence[Line], decision: str, policy_sha256: str) -> None:
    """Raise Refused where the last word on this policy was that it must not be released."""
    words = (Action.APPROVE, Action.REJECT, *RELEASES)
    own = (n for n in lines if n.decision == decision and n.policy_sha256 == policy_sha256)
    last = next((line for line in reversed(tuple(own)) if line.action in words), None)
    if last is not None and last.action is Action.REJECT:
        raise Refused(
            f"{last.approver} rejected this policy on {last.time}: {last.reason}. Whoever sees it "
            "otherwise approves it first: `ppo-marketing approve RUN --approver NAME`"
        )
