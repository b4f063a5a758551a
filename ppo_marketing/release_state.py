"""Where a judged policy stands on its way to release, from the audit trail and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ppo_marketing.approvals import last_act
from ppo_marketing.audit_trail import Action, Line
from ppo_marketing.releases import ReleaseRules, Standing, force_text, in_force, standing

SPEAKS = (Action.APPROVE, Action.REJECT, Action.PROMOTE, Action.OVERRIDE)
"""What somebody can say of one policy."""


class GatesWord(NamedTuple):
    """What the gate says of what would be released, in a sentence; `kind` names what it is."""

    passed: bool
    sentence: str
    kind: str = "policy"


@dataclass(frozen=True, kw_only=True)
class ReleaseState:
    """A policy and the champion of its decision, at one moment.

    `said` are the lines that speak of this very policy, the last first; `seen` is the `last_act`
    that an action on this state is to be handed.
    """

    decision: str
    kind: str
    passed: bool
    champion: Standing | None
    in_force: bool
    is_champion: bool
    said: tuple[Line, ...]
    rules: ReleaseRules
    seen: int
    text: str

    @property
    def rejected(self) -> Line | None:
        """The rejection that stands; None: there is none."""
        last = self.said[0] if self.said else None
        return last if last is not None and last.action is Action.REJECT else None

    @property
    def goes_back_to(self) -> int | None:
        """The version that a rollback would put back; None: there is none."""
        if self.champion is None or not self.champion.earlier:
            return None
        return self.champion.earlier[0].to_version


def release_state(
    lines: Sequence[Line],
    decision: str,
    policy_sha256: str,
    word: GatesWord,
    rules: ReleaseRules,
    now: datetime,
) -> ReleaseState:
    """Where a policy stands; raises IntegrityError where a rollback goes back to what was not."""
    champion = standing(lines, decision)
    said = tuple(
        line
        for line in reversed(lines)
        if line.decision == decision
        and line.policy_sha256 == policy_sha256
        and line.action in SPEAKS
    )
    is_champion = champion is not None and champion.champion.policy_sha256 == policy_sha256
    return ReleaseState(
        decision=decision,
        kind=word.kind,
        passed=word.passed,
        champion=champion,
        in_force=champion is not None and in_force(champion.champion, now),
        is_champion=is_champion,
        said=said,
        rules=rules,
        seen=last_act(lines, decision),
        text=_text(champion, is_champion, said, word, rules, now),
    )


def _text(
    champion: Standing | None,
    is_champion: bool,
    said: Sequence[Line],
    word: GatesWord,
    rules: ReleaseRules,
    now: datetime,
) -> str:
    this = f"This {word.kind}"
    if is_champion:
        assert champion is not None
        return (
            f"{this} is the champion, version {champion.champion.to_version}, "
            f"{force_text(champion.champion, now)}."
        )
    today = (
        "Nothing is released yet."
        if champion is None
        else f"Version {champion.champion.to_version} is the champion."
    )
    last = said[0] if said else None
    if last is not None and last.action is Action.REJECT:
        return f"{today} {this} was rejected by {last.approver}: {last.reason}"
    if not word.passed:
        return f"{today} {word.sentence}"
    if rules.four_eyes and (last is None or last.action is not Action.APPROVE):
        return f"{today} {this} passed the gate and waits for a second person's approval."
    if last is not None and last.action is Action.APPROVE:
        return f"{today} {this} passed the gate and was approved by {last.approver}."
    return f"{today} {this} passed the gate and may be released."
