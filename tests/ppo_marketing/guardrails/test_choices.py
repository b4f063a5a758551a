"""Choices: the proposed one where it is allowed, else the champion's, else nothing."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.guardrails import (
    Budget,
    ChoiceLimits,
    ContactCap,
    Context,
    GuardrailLimits,
    Holdout,
    Quiet,
    Reason,
    Support,
    apply,
    reasons_of,
)

MENU = ChoiceLimits(choices=4, nothing=0)
DAY = (date(2026, 11, 18) - date(1970, 1, 1)).days  # a Wednesday in week 45


def shipped(
    limits: GuardrailLimits, proposed: float, champion: float, context: Context
) -> tuple[int, set[Reason]]:
    guarded = apply(limits, [proposed], [champion], context)
    return int(guarded.action[0]), set(reasons_of(int(guarded.reasons[0])))


@pytest.mark.parametrize(
    ("proposed", "champion", "expected", "reasons"),
    [
        (2, 1, 2, set()),
        (3, 1, 1, {Reason.NOT_ELIGIBLE}),
        (3, 3, 0, {Reason.NOT_ELIGIBLE, Reason.FALLBACK_UNUSABLE}),
        (0, 1, 0, set()),
        (4, 1, 1, {Reason.NOT_ON_MENU}),
        (-1, 1, 1, {Reason.NOT_ON_MENU}),
        (1.5, 1, 1, {Reason.NOT_ON_MENU}),
        (1e300, 1, 1, {Reason.NOT_ON_MENU}),
        (math.nan, 1, 1, {Reason.NON_FINITE_OUTPUT}),
        (math.inf, math.nan, 0, {Reason.NON_FINITE_OUTPUT, Reason.FALLBACK_UNUSABLE}),
    ],
)
def test_what_is_not_allowed_or_no_choice_falls_back(
    proposed: float, champion: float, expected: int, reasons: set[Reason]
) -> None:
    masked = Context(mask=[[False, True, True, False]])
    assert shipped(GuardrailLimits(choices=MENU), proposed, champion, masked) == (expected, reasons)


def test_a_closed_choice_is_nobodys() -> None:
    closed = GuardrailLimits(choices=ChoiceLimits(choices=3, nothing=0, closed=(2,)))
    assert shipped(closed, 2, 1, Context()) == (1, {Reason.NOT_ELIGIBLE})


def test_without_nothing_the_first_allowed_choice_stands_in() -> None:
    limits = GuardrailLimits(choices=ChoiceLimits(choices=3))
    masked = Context(mask=[[0, 1, 1]])
    assert shipped(limits, 0, 0, masked)[0] == 1
    with pytest.raises(UserError, match="1 decisions allow no choice at all"):
        apply(limits, [0], [0], Context(mask=[[0, 0, 0]]))


def test_a_mask_with_values_that_are_no_numbers_allows_nothing_there() -> None:
    masked = Context(mask=[[1.0, np.nan, np.inf, 1.0]])
    limits = GuardrailLimits(choices=MENU)
    assert shipped(limits, 1, 3, masked)[0] == 3
    assert shipped(limits, 2, 3, masked)[0] == 3


def test_suppressed_units_are_left_alone_and_so_is_whoever_has_no_id() -> None:
    limits = GuardrailLimits(choices=MENU, suppressed=frozenset({"b", "7"}))
    units = ["a", "b", 7, None, "", math.nan, True, np.int64(7), "B"]
    guarded = apply(limits, np.full(9, 2), np.full(9, 1), Context(unit=units))
    assert guarded.action.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert guarded.interventions.of(Reason.SUPPRESSED) == 3
    assert guarded.interventions.of(Reason.UNKNOWN_UNIT) == 4


@pytest.mark.parametrize(
    ("hours", "hour", "quiet"),
    [
        ((21, 8), 20.99, False),
        ((21, 8), 21, True),
        ((21, 8), 3, True),
        ((21, 8), 8, False),
        ((1, 4), 0.5, False),
        ((1, 4), 1, True),
        ((1, 4), 4, False),
        ((21, 24), 23.9, True),
        ((1, 4), math.nan, True),
        ((1, 4), 24, True),
        ((1, 4), -1, True),
        ((1, 4), math.inf, True),
    ],
)
def test_quiet_hours_by_the_local_clock(hours: tuple[int, int], hour: float, quiet: bool) -> None:
    limits = GuardrailLimits(choices=MENU, quiet=Quiet(hours=hours))
    choice, reasons = shipped(limits, 2, 1, Context(hour=[hour]))
    assert (choice == 0, Reason.QUIET in reasons) == (quiet, quiet)


@pytest.mark.parametrize(
    ("quiet", "day", "stopped"),
    [
        (Quiet(weekdays=(2,)), DAY, True),
        (Quiet(weekdays=(6,)), DAY, False),
        (Quiet(weekdays=(6,)), DAY + 4, True),
        (Quiet(weeks=(45,)), DAY, True),
        (Quiet(weeks=(44,)), DAY, False),
        (Quiet(weeks=(51,)), (date(2026, 12, 31) - date(1970, 1, 1)).days, True),
        (Quiet(weeks=(0,)), (date(2026, 1, 7) - date(1970, 1, 1)).days, True),
        (Quiet(weeks=(0,)), (date(2026, 1, 8) - date(1970, 1, 1)).days, False),
        (Quiet(weeks=(0,)), math.nan, True),
        (Quiet(weeks=(0,)), 1e12, True),
        (Quiet(weeks=(0,)), -1, True),
        (Quiet(weeks=(0,)), 20_000.5, True),
    ],
)
def test_quiet_days_by_the_calendar(quiet: Quiet, day: float, stopped: bool) -> None:
    choice, _ = shipped(GuardrailLimits(choices=MENU, quiet=quiet), 2, 1, Context(day=day))
    assert (choice == 0) == stopped


@pytest.mark.parametrize(("gets", "expected"), [("champion", 1), ("nothing", 0)])
def test_held_out_units_get_the_champions_or_nothing(gets: Any, expected: int) -> None:
    limits = GuardrailLimits(choices=MENU, holdout=Holdout(share=1.0, salt="s", gets=gets))
    assert shipped(limits, 2, 1, Context(unit=["a"])) == (expected, {Reason.HOLDOUT})
    nobody = GuardrailLimits(choices=MENU, holdout=Holdout(share=0.0, salt="s", gets=gets))
    assert shipped(nobody, 2, 1, Context(unit=["a"])) == (2, set())


@pytest.mark.parametrize(
    ("observation", "expected", "reason"),
    [
        ([0.5, 0.0], 2, None),
        ([1.1, 0.0], 2, None),
        ([1.2, 0.0], 1, Reason.OUT_OF_SUPPORT),
        ([0.5, 1.0], 1, Reason.OUT_OF_SUPPORT),
        ([math.nan, 0.0], 1, Reason.NON_FINITE_INPUT),
        ([0.5, -math.inf], 1, Reason.NON_FINITE_INPUT),
    ],
)
def test_what_training_never_saw_is_left_to_the_champion(
    observation: list[float], expected: int, reason: Reason | None
) -> None:
    support = Support(low=(0.0, 0.0), high=(1.0, 0.0), margin=0.1)
    limits = GuardrailLimits(choices=MENU, support=support)
    choice, reasons = shipped(limits, 2, 1, Context(observation=[observation]))
    assert choice == expected
    assert reasons == (set() if reason is None else {reason})


def test_a_budget_pays_for_the_cheaper_champion_where_the_proposal_is_too_dear() -> None:
    limits = GuardrailLimits(choices=MENU, budget=Budget(day=5.0))
    costs = np.tile([0.0, 1.0, 3.0, np.nan], (4, 1))
    day = apply(limits, [2, 2, 2, 3], [1, 1, 1, 3], Context(day=1, cost=costs))
    assert day.action.tolist() == [2, 1, 1, 0]
    assert day.receipt.tolist() == [0, 1, 2, -1]
    assert Reason.UNKNOWN_COST in reasons_of(int(day.reasons[3]))


def test_caps_of_a_channel_of_all_contacts_and_of_everyone() -> None:
    caps = (
        ContactCap(contacts=1, days=7, choices=(2,)),
        ContactCap(contacts=2, days=7),
        ContactCap(contacts=4, days=1, everyone=True),
    )
    limits = GuardrailLimits(choices=MENU, contact_caps=caps)
    units = ["a", "a", "a", "a", "b", "c", "d"]
    day = apply(limits, np.full(7, 2), np.full(7, 1), Context(day=1, unit=units))
    # a: the letter, then the champion's mail, then nothing; d finds the day's capacity used up.
    assert day.action.tolist() == [2, 1, 0, 0, 2, 2, 0]


def test_the_share_that_may_differ_counts_only_what_differs() -> None:
    limits = GuardrailLimits(choices=MENU, changed_share=0.5)
    day = apply(limits, [1, 2, 2, 2], [1, 1, 1, 1], Context(day=1))
    assert day.action.tolist() == [1, 2, 1, 2]
