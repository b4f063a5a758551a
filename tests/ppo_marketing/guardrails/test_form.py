"""The form asks for every setting, and gives back what it was shown."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from gymnasium import spaces

from ppo_marketing.guardrails.form import ENTRIES, entries, section_values, shown
from ppo_marketing.guardrails.guards import AmountLimits, Budget, ContactCap, Holdout, Quiet
from ppo_marketing.guardrails.section import ChoicesSection, GuardrailsSection

AMOUNTS = spaces.Box(-1.0, 1.0, (1,))
CHOICES = spaces.Discrete(6)

BY_HAND = {"suppression_list", "quiet.weeks", "holdout.gets", "contact_caps"}
"""What a form does not ask for; a cap of one kind is asked for as `contact_cap`."""


def test_every_setting_of_the_section_has_an_entry_or_is_written_by_hand() -> None:
    parts = {"amounts": AmountLimits, "budget": Budget, "quiet": Quiet, "holdout": Holdout}
    names = set()
    for name in GuardrailsSection.model_fields:
        if name == "choices":
            names |= {f"choices.{inner}" for inner in ChoicesSection.model_fields}
        elif name in parts:
            fields: Any = parts[name]
            names |= {f"{name}.{field.name}" for field in dataclasses.fields(fields)}
        else:
            names.add(name)
    asked = {entry.name for entry in ENTRIES} - {"contact_cap.contacts", "contact_cap.days"}
    assert asked == names - BY_HAND
    assert len({entry.label for entry in ENTRIES}) == len(ENTRIES)


def test_a_decision_is_asked_for_what_fits_its_actions() -> None:
    assert "amounts.cap" in {entry.name for entry in entries(AMOUNTS)}
    assert "choices.closed" not in {entry.name for entry in entries(AMOUNTS)}
    assert "choices.closed" in {entry.name for entry in entries(CHOICES)}


@pytest.mark.parametrize(
    ("section", "space"),
    [
        (GuardrailsSection(), AMOUNTS),
        (GuardrailsSection(), CHOICES),
        (GuardrailsSection(amounts=AmountLimits(floor=0.0, cap=0.5, nothing=0.0)), AMOUNTS),
        (
            GuardrailsSection(
                amounts=AmountLimits(floor=0.0, cap=1.0, nothing=0.0, relative_change=0.3),
                budget=Budget(day=500),
                support_margin=0.1,
                changed_share=0.2,
            ),
            AMOUNTS,
        ),
        (
            GuardrailsSection(
                choices=ChoicesSection(nothing=0, closed=(5,)),
                contact_caps=(
                    ContactCap(contacts=2, days=7),
                    ContactCap(contacts=9, days=1, everyone=True),
                    ContactCap(contacts=1, days=28, choices=(4,)),
                ),
                quiet=Quiet(hours=(21, 8), weekdays=(6,), weeks=(51,)),
                holdout=Holdout(share=0.1, salt="autumn", gets="nothing"),
                suppressed=("a", "b"),
            ),
            CHOICES,
        ),
        (
            GuardrailsSection(
                choices=ChoicesSection(nothing=0),
                contact_caps=(ContactCap(contacts=2, days=7), ContactCap(contacts=1, days=1)),
            ),
            CHOICES,
        ),
    ],
)
def test_what_was_shown_comes_back_unchanged(section: GuardrailsSection, space: Any) -> None:
    back = GuardrailsSection.model_validate(section_values(shown(section, space), space, section))
    caps = set(section.contact_caps)
    assert set(back.contact_caps) == caps
    empty = {"contact_caps": ()}
    assert back.model_copy(update=empty) == section.model_copy(update=empty)


def test_one_side_of_a_range_is_enough_and_the_whole_range_is_no_limit() -> None:
    values = section_values({"amounts.cap": 0.5}, AMOUNTS, GuardrailsSection())
    assert values["amounts"] == {"floor": -1.0, "cap": 0.5}
    values = section_values(
        {"amounts.floor": -1.0, "amounts.cap": 1.0}, AMOUNTS, GuardrailsSection()
    )
    assert "amounts" not in values
    impossible = section_values(
        {"amounts.floor": 2.0, "amounts.cap": 1.0}, AMOUNTS, GuardrailsSection()
    )
    assert impossible["amounts"] == {"floor": 2.0, "cap": 1.0}, "the section says what is wrong"


def test_emptying_an_entry_takes_the_limit_away() -> None:
    before = GuardrailsSection(choices=ChoicesSection(nothing=0), quiet=Quiet(weekdays=(6,)))
    given = {**shown(before, CHOICES), "quiet.weekdays": ()}
    after = GuardrailsSection.model_validate(section_values(given, CHOICES, before))
    assert after.quiet is None
