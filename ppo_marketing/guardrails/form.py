"""The `guardrails:` section as a form: one entry a setting, and back to plain values.

The package does not import it: what decides live needs no form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gymnasium import spaces

from ppo_marketing.guardrails.guards import AmountLimits
from ppo_marketing.guardrails.section import GuardrailsSection

Kind = Literal["amount", "share", "whole", "choice", "choices", "weekdays", "hours", "text", "ids"]
"""What is asked for: a number; a share from 0 to 1; a whole number; one action, or several; days of
the week; two hours; a text; ids, one a line."""
Group = Literal["What it may do", "Against the champion", "Spending", "Who and when", "Safety"]


@dataclass(frozen=True)
class Entry:
    """One setting: its place in the section, how it is asked for, what it means."""

    name: str
    kind: Kind
    group: Group
    label: str
    help: str
    of: Literal["amounts", "choices", "both"] = "both"


ENTRIES = (
    Entry("amounts.floor", "amount", "What it may do", "Lowest amount",
          "Every amount is at least this, or the amount that means nothing.", "amounts"),
    Entry("amounts.cap", "amount", "What it may do", "Highest amount",
          "Every amount is at most this.", "amounts"),
    Entry("amounts.nothing", "amount", "What it may do", "Amount that means nothing",
          "What stands in a decision's place where it is stopped; budgets and lists need it.",
          "amounts"),
    Entry("choices.nothing", "choice", "What it may do", "Choice that means nothing",
          "Leaves everybody alone; whatever stops a decision needs it.", "choices"),
    Entry("choices.closed", "choices", "What it may do", "Closed choices",
          "Choices that nobody gets: a closed channel, an item out of stock.", "choices"),
    Entry("amounts.change", "amount", "Against the champion", "Largest change of a decision",
          "How far an amount may lie from the champion's, in its own unit.", "amounts"),
    Entry("amounts.relative_change", "share", "Against the champion",
          "Largest change of a decision, as a share",
          "The same as a share of the champion's amount: .3 is 30 %.", "amounts"),
    Entry("amounts.daily_change", "amount", "Against the champion", "Largest change of a day",
          "How far a day's amounts may lie from the champion's, all together.", "amounts"),
    Entry("amounts.daily_relative_change", "share", "Against the champion",
          "Largest change of a day, as a share",
          "The same as a share of what the champion's amounts sum to.", "amounts"),
    Entry("changed_share", "share", "Against the champion", "Share of decisions that may differ",
          "Of a day's decisions, how many may be other than the champion's."),
    Entry("budget.day", "amount", "Spending", "Budget of a day",
          "The most that a day's decisions can cost, in currency."),
    Entry("budget.total", "amount", "Spending", "Budget altogether",
          "The most that all decisions can cost, in currency."),
    Entry("contact_cap.contacts", "whole", "Who and when", "Contacts of a unit at most",
          "Contacts that one unit may get in the days below, whatever the channel."),
    Entry("contact_cap.days", "whole", "Who and when", "in so many days in a row",
          "Any so many consecutive days, not calendar weeks."),
    Entry("quiet.hours", "hours", "Who and when", "Quiet hours",
          "From one hour to another in the unit's local time; 21 to 8 spans midnight."),
    Entry("quiet.weekdays", "weekdays", "Who and when", "Quiet weekdays",
          "Days on which everybody is left alone."),
    Entry("suppressed", "ids", "Who and when", "Ids that are left alone", "One id a line."),
    Entry("holdout.share", "share", "Safety", "Share of units held out",
          "Units that the policy never decides for, by a salted hash of their id."),
    Entry("holdout.salt", "text", "Safety", "Name of the holdout",
          "The same for the whole test; another name holds out other units."),
    Entry("support_margin", "share", "Safety", "Room beyond what training saw",
          "Of the range that training saw, how far beyond it the policy decides; beyond, the "
          "champion does."),
)  # fmt: skip
"""Every setting that a form offers. Caps of several kinds, weeks of the year and lists in files are
written in the YAML by hand; a form keeps them as they are."""


def entries(space: spaces.Space[Any]) -> tuple[Entry, ...]:
    """The entries that fit a decision's actions."""
    own = "choices" if isinstance(space, spaces.Discrete) else "amounts"
    return tuple(entry for entry in ENTRIES if entry.of in (own, "both"))


def shown(section: GuardrailsSection, space: spaces.Space[Any]) -> dict[str, Any]:
    """What each entry holds now, by its name; None where nothing is set."""
    plain = section.model_dump(mode="json")
    cap = _simple_cap(plain["contact_caps"])
    nested = {**plain, "contact_cap": cap}
    found: dict[str, Any] = {}
    for entry in entries(space):
        value: Any = nested
        for part in entry.name.split("."):
            value = None if value is None else value.get(part)
        found[entry.name] = value
    return found


def section_values(
    given: Mapping[str, Any], space: spaces.Space[Any], before: GuardrailsSection
) -> dict[str, Any]:
    """The entries as plain values of a section; what no entry can say stays as it was `before`.

    Amounts without a floor or a cap get the action space's, a holdout without a name one of its
    own; everything else is checked by the section itself.
    """
    plain = before.model_dump(mode="json")
    caps = plain["contact_caps"]
    values: dict[str, Any] = {
        "suppression_list": plain["suppression_list"],
        "contact_caps": [cap for cap in caps if cap is not _simple_cap(caps)],
    }
    for entry in entries(space):
        value = given.get(entry.name)
        if value is None or value == () or value == []:
            continue
        first, _, second = entry.name.partition(".")
        if second:
            values.setdefault(first, {})[second] = value
        else:
            values[first] = value
    if plain["quiet"] is not None and plain["quiet"]["weeks"]:
        values.setdefault("quiet", {})["weeks"] = plain["quiet"]["weeks"]
    if plain["holdout"] is not None and "holdout" in values:
        values["holdout"] = {**plain["holdout"], **values["holdout"]}
    if cap := values.pop("contact_cap", None):
        values["contact_caps"].append(cap)
    if "amounts" in values and isinstance(space, spaces.Box):
        widest = {"floor": float(space.low.min()), "cap": float(space.high.max())}
        values["amounts"] = {**widest, **values["amounts"]}
        if AmountLimits(**widest) == _amounts(values["amounts"]):
            del values["amounts"]
    return values


def _amounts(values: Mapping[str, Any]) -> AmountLimits | None:
    try:
        return AmountLimits(**values)
    except ValueError:
        return None  # the section says what is wrong with them


def _is_simple(cap: Mapping[str, Any]) -> bool:
    return cap["choices"] is None and not cap["everyone"]


def _simple_cap(caps: list[dict[str, Any]]) -> dict[str, Any] | None:
    simple = [cap for cap in caps if _is_simple(cap)]
    return simple[0] if len(simple) == 1 else None
