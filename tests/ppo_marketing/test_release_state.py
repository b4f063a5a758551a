"""Where a policy stands on its way to release, from trails of a few lines."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ppo_marketing.audit_trail import Action, Entry
from ppo_marketing.gate import GateRules, judge, sentence
from ppo_marketing.release_state import GatesWord, ReleaseState, release_state
from ppo_marketing.releases import ReleaseRules
from tests.ppo_marketing.test_releases import ENTRY, NOON, OVERRIDE, back_to, chain, promoted
from tests.support.audits import SOUND

OWN = "7" * 64
PASSED = judge(SOUND, GateRules())
REFUSED = judge(replace(SOUND, positives=3.0), GateRules())
APPROVED = replace(ENTRY, action=Action.APPROVE, policy_sha256=OWN, approver="Grace")
REJECTED = replace(ENTRY, action=Action.REJECT, policy_sha256=OWN, reason="too bold")
TRIED = replace(ENTRY, action=Action.REFUSE, policy_sha256="")


def state(
    *entries: Entry, passed: bool = True, rules: ReleaseRules | None = None, days: float = 0.0
) -> ReleaseState:
    return release_state(
        chain(*entries), "shelf", OWN, GatesWord(passed, sentence(PASSED if passed else REFUSED)),
        rules or ReleaseRules(), NOON + timedelta(days=days),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (state(), "Nothing is released yet. This policy passed the gate and may be released."),
        (state(promoted(1)), "Version 1 is the champion. This policy passed the gate"),
        (state(passed=False), "Nothing is released yet. The gate is not passed"),
        (state(APPROVED), "passed the gate and was approved by Grace"),
        (state(APPROVED, REJECTED), "was rejected by Ada: too bold"),
        (state(promoted(7)), "This policy is the champion, version 7, in force"),
        (state(rules=ReleaseRules(four_eyes=True)), "waits for a second person's approval"),
        (state(replace(OVERRIDE, to_version=7, policy_sha256=OWN), days=40), "no longer in force"),
    ],
)
def test_a_sentence_says_where_it_stands(found: ReleaseState, said: str) -> None:
    assert said in found.text


def test_what_was_said_of_it_comes_last_first_and_attempts_are_no_words() -> None:
    found = state(APPROVED, promoted(1), REJECTED, TRIED)
    assert [line.action for line in found.said] == [Action.REJECT, Action.APPROVE]
    assert found.rejected is not None
    assert found.seen == 3
    assert state(REJECTED, APPROVED).rejected is None


def test_the_way_back_is_the_champion_before_this_one() -> None:
    assert state().goes_back_to is None
    assert state(promoted(1)).goes_back_to is None
    assert state(promoted(1), promoted(2)).goes_back_to == 1
    assert state(promoted(1), promoted(2), back_to(1)).goes_back_to is None
