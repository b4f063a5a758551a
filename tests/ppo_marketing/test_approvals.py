"""Two people decide at once, or one says no: worked out by hand on trails of a few lines."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ppo_marketing.approvals import last_act, require_not_rejected, require_unchanged
from ppo_marketing.audit_trail import Action
from ppo_marketing.errors import Refused
from ppo_marketing.releases import ReleaseRules, require_approval
from tests.ppo_marketing.test_releases import ENTRY, NOON, chain, promoted

ONE = "1" * 64
APPROVED = replace(ENTRY, action=Action.APPROVE, policy_sha256=ONE, approver="Grace")
REJECTED = replace(ENTRY, action=Action.REJECT, policy_sha256=ONE, reason="too bold")
TRIED = replace(ENTRY, action=Action.REFUSE, policy_sha256="")
OTHER = replace(promoted(1), decision="other")


def test_the_last_act_is_the_last_line_that_decided_on_this_decision() -> None:
    assert last_act([], "shelf") == 0
    lines = chain(promoted(1), APPROVED, OTHER, TRIED)
    assert last_act(lines, "shelf") == 2
    assert last_act(lines, "other") == 3


def test_whoever_saw_the_last_act_may_go_on_and_attempts_disturb_nobody() -> None:
    require_unchanged(chain(promoted(1), TRIED, OTHER), "shelf", 1)
    require_unchanged(chain(promoted(1)), "shelf", None)
    require_unchanged([], "shelf", 0)


def test_whoever_saw_less_is_told_who_was_faster() -> None:
    with pytest.raises(Refused, match="somebody was faster: Grace recorded approve"):
        require_unchanged(chain(promoted(1), APPROVED), "shelf", 1)


def test_the_last_word_on_a_policy_counts() -> None:
    require_not_rejected(chain(APPROVED), "shelf", ONE)
    require_not_rejected(chain(REJECTED, APPROVED), "shelf", ONE)
    require_not_rejected(chain(REJECTED), "shelf", "2" * 64)
    require_not_rejected(chain(replace(REJECTED, decision="other")), "shelf", ONE)
    with pytest.raises(Refused, match=r"Ada rejected this policy on .*: too bold"):
        require_not_rejected(chain(APPROVED, REJECTED), "shelf", ONE)


def test_an_approval_that_was_followed_by_a_rejection_opens_no_four_eyes() -> None:
    rules = ReleaseRules(four_eyes=True)
    now = NOON + timedelta(hours=1)
    assert require_approval(chain(APPROVED), "shelf", ONE, "Ada", rules, now) is not None
    with pytest.raises(Refused, match="there is no approval of this policy"):
        require_approval(chain(APPROVED, REJECTED), "shelf", ONE, "Ada", rules, now)
