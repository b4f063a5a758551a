"""Limits check themselves, say everything that is wrong at once, and survive plain JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.guardrails import drawn_limits
from ppo_marketing.errors import UserError
from ppo_marketing.guardrails import (
    AmountLimits,
    Budget,
    ChoiceLimits,
    ContactCap,
    GuardrailLimits,
    Holdout,
    Quiet,
    Support,
)

BIDS = AmountLimits(floor=1.0, cap=5.0, nothing=0.0)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_any_limits_are_the_same_after_json(seed: int) -> None:
    limits = drawn_limits(np.random.default_rng(seed))
    written = json.dumps(limits.as_dict(), allow_nan=False)
    assert GuardrailLimits.from_dict(json.loads(written)) == limits


def test_every_wrong_entry_of_a_file_is_listed_at_once() -> None:
    with pytest.raises(UserError) as refused:
        GuardrailLimits.from_dict(
            {
                "amounts": {"floor": "low", "cap": 5, "nothin": 0},
                "budget": {"day": -1.0},
                "contact_caps": [{"contacts": True}],
                "holdout": {"share": 0.1, "salt": "s", "gets": "cake"},
                "support": {"low": [0.0], "high": 3},
                "quiet_hours": [21, 8],
            }
        )
    said = str(refused.value)
    for part in (
        "amounts.floor is 'low': it must be a number",
        "amounts.nothin: unknown; did you mean nothing?",
        "day is -1.0: it must be zero or more",
        "contact_caps[0].contacts is True: it must be a whole number",
        "contact_caps[0].days: it must be given",
        "gets is 'cake': choose one of champion, nothing",
        "support.high is 3: it must be a list",
        "quiet_hours: unknown",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AmountLimits(floor=2.0, cap=1.0), "cap is 1.0: it must be at least the floor"),
        (lambda: AmountLimits(floor=math.nan, cap=math.inf), "floor is nan.*cap is inf"),
        (lambda: AmountLimits(floor=0.0, cap=1.0, change=-0.1), "change is -0.1"),
        (lambda: ChoiceLimits(choices=3, nothing=3), "nothing is 3: it must be from 0 to 2"),
        (lambda: ChoiceLimits(choices=2, closed=(0, 1)), "fewer than all choices"),
        (lambda: ChoiceLimits(choices=2, nothing=0, closed=(0,)), "without `nothing`"),
        (lambda: Budget(), "given where `total` is not"),
        (lambda: Budget(day=math.inf), "day is inf"),
        (lambda: ContactCap(contacts=-1, days=0), "contacts is -1.*days is 0"),
        (lambda: ContactCap(contacts=1, days=7, choices=()), "one choice or more"),
        (lambda: Quiet(), "given where neither"),
        (lambda: Quiet(hours=(8, 8)), "shorter than the whole day"),
        (lambda: Quiet(hours=(0, 24)), "shorter than the whole day"),
        (lambda: Quiet(weekdays=(7,), weeks=(52,)), "weekdays is .*weeks is"),
        (lambda: Holdout(share=1.1, salt=""), "share is 1.1.*salt is"),
        (lambda: Support(low=(0.0, 1.0), high=(0.0, 0.5)), "nowhere below low"),
        (lambda: Support(low=(0.0,), high=(0.0, 0.5)), "as many numbers as low"),
        (lambda: Support.seen(np.zeros((0, 3))), "n of 1 or more"),
        (lambda: GuardrailLimits(), "amounts is None: it must be given, or choices"),
        (
            lambda: GuardrailLimits(amounts=BIDS, choices=ChoiceLimits(choices=2)),
            "one of the two",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_with_what_is_allowed(build: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build()


@pytest.mark.parametrize(
    ("guard", "name"),
    [
        ({"budget": Budget(day=1.0)}, "a budget"),
        ({"contact_caps": (ContactCap(contacts=1, days=7),)}, "a contact cap"),
        ({"quiet": Quiet(hours=(21, 8))}, "a quiet time"),
        ({"suppressed": frozenset({"a"})}, "a suppression list"),
        ({"holdout": Holdout(share=0.1, salt="s", gets="nothing")}, "a holdout that gets nothing"),
    ],
)
def test_a_guard_that_stops_decisions_needs_something_to_put_in_their_place(
    guard: dict[str, Any], name: str
) -> None:
    with pytest.raises(UserError, match=f"nothing is None: it must be given: {name}"):
        GuardrailLimits(choices=ChoiceLimits(choices=3), **guard)
    assert GuardrailLimits(choices=ChoiceLimits(choices=3, nothing=0), **guard).nothing == 0


def test_a_budget_refuses_amounts_whose_cost_could_be_negative() -> None:
    with pytest.raises(UserError, match=r"floor is -1\.0: it must be 0 or more with a budget"):
        GuardrailLimits(
            amounts=AmountLimits(floor=-1.0, cap=1.0, nothing=0.0), budget=Budget(day=1.0)
        )
    with pytest.raises(UserError, match=r"nothing is 0\.5: it must be 0 with a budget"):
        GuardrailLimits(
            amounts=AmountLimits(floor=0.0, cap=1.0, nothing=0.5), budget=Budget(day=1.0)
        )


def test_a_cap_on_choices_that_do_not_exist_or_are_no_contact_is_refused() -> None:
    for wrong in (0, 3):
        cap = ContactCap(contacts=1, days=7, choices=(wrong,))
        with pytest.raises(UserError, match="on the menu, and not `nothing`"):
            GuardrailLimits(choices=ChoiceLimits(choices=3, nothing=0), contact_caps=(cap,))


def test_what_a_context_must_tell_follows_from_the_limits() -> None:
    everything = GuardrailLimits(
        amounts=BIDS,
        budget=Budget(total=9.0),
        quiet=Quiet(hours=(21, 8)),
        suppressed=frozenset({"a"}),
        support=Support(low=(0.0,), high=(1.0,)),
        changed_share=0.1,
    )
    assert everything.needs == ("unit", "day", "hour", "cost")
    assert everything.alone().needs == ()
    assert everything.alone().support == everything.support
    calendar = GuardrailLimits(
        choices=ChoiceLimits(choices=2, nothing=0), quiet=Quiet(weekdays=(6,))
    )
    assert calendar.needs == ("day",)
    assert not calendar.keeps_books


def test_the_support_is_the_range_seen_and_a_margin_of_it() -> None:
    support = Support.seen(np.array([[0.0, 5.0], [10.0, 5.0]]), margin=0.1)
    low, high = support.bounds()
    assert low.tolist() == [-1.0, 5.0]
    assert high.tolist() == [11.0, 5.0]
    huge = Support(low=(-1e308,), high=(1e308,), margin=1.0)
    assert [float(bound[0]) for bound in huge.bounds()] == [-math.inf, math.inf]
