"""The section `guardrails` of a run's configuration becomes the limits that are exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gymnasium import spaces

from ppo_marketing.config import load_config
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
from ppo_marketing.guardrails.section import GuardrailsSection

BOX, MENU = spaces.Box(-1.0, 1.0, (1,)), spaces.Discrete(5)

FILE = """
decision: bidding
guardrails:
  choices: {nothing: 0, closed: [3]}
  budget: {day: 500}
  contact_caps: [{contacts: 2, days: 7}, {contacts: 1, days: 14, choices: [2], everyone: true}]
  quiet: {hours: [21, 8], weekdays: [6]}
  holdout: {share: 0.1, salt: autumn, gets: nothing}
  support_margin: 0.2
  suppressed: [a]
  suppression_list: LIST
  changed_share: 0.3
"""


def section(folder: Path, text: str) -> GuardrailsSection:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, {}).guardrails


def test_every_guard_of_the_file_is_in_the_limits(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("b\n\n c \n", encoding="utf-8")
    found = section(tmp_path, FILE.replace("LIST", str(tmp_path / "list.txt")))
    limits = found.limits(MENU, Support(low=(0.0,), high=(1.0,)))
    assert limits == GuardrailLimits(
        choices=ChoiceLimits(choices=5, nothing=0, closed=(3,)),
        budget=Budget(day=500.0),
        contact_caps=(
            ContactCap(contacts=2, days=7),
            ContactCap(contacts=1, days=14, choices=(2,), everyone=True),
        ),
        quiet=Quiet(hours=(21, 8), weekdays=(6,)),
        holdout=Holdout(share=0.1, salt="autumn", gets="nothing"),
        support=Support(low=(0.0,), high=(1.0,), margin=0.2),
        suppressed=frozenset({"a", "b", "c"}),
        changed_share=0.3,
    )
    assert GuardrailLimits.from_dict(limits.as_dict()) == limits


def test_the_pages_examples_are_sections_that_work(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "guardrails.md").read_text(encoding="utf-8")
    choosing, setting = (block.split("```")[0] for block in page.split("```yaml\n")[1:])
    (tmp_path / "never-contact.txt").write_text("a\n", encoding="utf-8")
    choosing = choosing.replace("never-contact.txt", str(tmp_path / "never-contact.txt"))
    seen = Support(low=(0.0,), high=(1.0,))
    contacts = section(tmp_path, f"decision: bidding\n{choosing}").limits(spaces.Discrete(7), seen)
    assert contacts.suppressed == {"a"}
    assert len(contacts.contact_caps) == 3
    bids = section(tmp_path, f"decision: bidding\n{setting}").limits(BOX, seen)
    assert bids.amounts is not None
    assert bids.amounts.daily_relative_change == 0.1


def test_without_a_section_a_policy_has_its_whole_action_space() -> None:
    assert GuardrailsSection().limits(BOX) == GuardrailLimits(
        amounts=AmountLimits(floor=-1.0, cap=1.0)
    )
    assert GuardrailsSection().limits(MENU) == GuardrailLimits(choices=ChoiceLimits(choices=5))


def test_wrong_entries_on_every_level_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        section(
            tmp_path,
            "decision: bidding\nguardrails: {budgt: 1, amounts: {floor: 2, cap: 1}, "
            "contact_caps: [{contacts: 1, dayz: 7}], quiet: {hours: [8, 8]}, changed_share: 2}\n",
        )
    for part in (
        "guardrails.budgt: there is no such setting; did you mean budget?",
        "guardrails.amounts: limits on amounts cannot be used: cap is 1.0",
        "guardrails.contact_caps.0.dayz",
        "guardrails.quiet: a quiet time cannot be used",
        "guardrails.changed_share",
    ):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("values", "space", "message"),
    [
        ({"amounts": {"floor": 0, "cap": 1}}, MENU, "amounts do not fit.*guardrails.choices"),
        ({"choices": {"nothing": 0}}, BOX, "choices do not fit.*guardrails.amounts"),
        ({"choices": {"nothing": 7}}, MENU, "nothing is 7: it must be from 0 to 4"),
        ({}, spaces.MultiDiscrete([2, 2]), "guardrails hold amounts or choices from 0 on"),
        ({}, spaces.Discrete(3, start=1), "choices from 0 on"),
        ({"support_margin": 0.1}, MENU, "needs the observations of a training"),
        ({"suppression_list": "/absent/list.txt"}, MENU, "cannot be read"),
        ({"budget": {"day": 1}}, BOX, "a budget must have something to put"),
    ],
)
def test_what_does_not_fit_the_decision_is_refused(
    values: dict[str, Any], space: spaces.Space[Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        GuardrailsSection(**values).limits(space)
