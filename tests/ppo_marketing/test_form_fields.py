"""Forms made from configurations: every setting with its type, default, choices, unit and help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest
from pydantic import BaseModel, PositiveInt

from envs import decision_names, load_decision
from ppo_marketing.config import TrainingSection, build
from ppo_marketing.errors import UserError
from ppo_marketing.form_fields import changed, fields_of, plain, written
from ppo_marketing.ppo.config import PPOConfig


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A shop. `rent` is what it pays; nothing else matters.

    `open_days` are counted from Monday.
    """

    rent: float = 2.5
    open_days: tuple[int, ...] = (0, 1)
    # one of two
    # kinds
    kind: Literal["small", "large"] = "small"
    longest_days: int | None = None
    lit: bool = True  # at night
    caps: dict[str, int] = field(default_factory=dict)


class Section(BaseModel):
    """A section."""

    copies: PositiveInt = 64
    """How many
    at once."""
    name: str = "x"


def test_each_field_has_its_kind_default_and_help() -> None:
    fields = {found.name: found for found in fields_of(Shop)}
    assert {name: found.kind for name, found in fields.items()} == {
        "rent": "number",
        "open_days": "values",
        "kind": "choice",
        "longest_days": "whole",
        "lit": "switch",
        "caps": "values",
    }
    assert fields["kind"].choices == ("small", "large")
    assert fields["kind"].help == "one of two kinds"
    assert fields["lit"].help == "at night"
    assert fields["open_days"].help == "open_days are counted from Monday."
    assert fields["rent"].help.startswith("rent is what it pays")
    assert fields["longest_days"].optional
    assert fields["longest_days"].label == "Longest days (days)"


def test_models_have_bounds_and_the_text_below_a_field() -> None:
    copies, name = fields_of(Section)
    assert (copies.kind, copies.low, copies.help) == ("whole", 1.0, "How many at once.")
    assert (name.kind, name.low) == ("text", None)


def test_only_what_was_changed_is_given() -> None:
    fields = fields_of(Shop)
    given = {found.name: found.default for found in fields if found.kind != "values"}
    unchanged = given | {"open_days": written((0, 1)), "caps": written({})}
    assert changed(fields, unchanged) == {}
    altered = unchanged | {"rent": 3.0, "open_days": "[2]", "caps": "{a: 1}"}
    assert changed(fields, altered) == {"rent": 3.0, "open_days": [2], "caps": {"a": 1}}


def test_every_unreadable_text_is_told() -> None:
    with pytest.raises(UserError, match=r"(?s)Open days.*Caps"):
        changed(fields_of(Shop), {"open_days": "[1", "caps": "{a: "})


@pytest.mark.parametrize("kind", [TrainingSection, PPOConfig], ids=lambda kind: str(kind.__name__))
def test_the_engines_own_settings_make_a_form(kind: type) -> None:
    fields = fields_of(kind)
    assert {found.name for found in fields} >= {"total_steps"} or kind is PPOConfig
    told = [found for found in fields if found.help]
    assert len(told) >= 0.6 * len(fields)


@pytest.mark.parametrize("name", decision_names())
def test_every_decisions_settings_make_a_form_that_gives_them_back(name: str) -> None:
    card = load_decision(name)
    base = card.sample_settings()
    fields = fields_of(card.settings_type, base)
    given = {
        found.name: written(found.default) if found.kind == "values" else found.default
        for found in fields
    }
    assert changed(fields, given) == {}
    whole = {found.name: plain(found.default) for found in fields}
    assert build(card.settings_type, whole, name) == base
