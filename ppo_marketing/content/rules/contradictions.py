"""What no text could satisfy: found when the rules are read, not after a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ppo_marketing.content.rules import gsm
from ppo_marketing.content.rules.terms import (
    Banned,
    Bounded,
    Channel,
    Disclaimer,
    Length,
    Preference,
    Required,
    Similarity,
)
from ppo_marketing.content.rules.wording import holds


def contradictions(terms: Sequence[Any]) -> list[str]:
    """Return every way in which the terms contradict each other or say nothing."""
    return [*_idle(terms), *_empty_bounds(terms), *_banned_and_wanted(terms), *_too_long(terms)]


def _idle(terms: Sequence[Any]) -> list[str]:
    said = [
        f"{term.kind}: has neither a weight nor hard: true, so it would do nothing"
        for term in terms
        if not term.hard and term.weight == 0
    ]
    for term in terms:
        if isinstance(term, Preference):
            if term.hard:
                said.append("preference: a learned score cannot be a hard rule; drop hard")
            if term.penalty and term.combine != "uncertainty":
                said.append(
                    f"preference: a penalty belongs to combine: uncertainty, not {term.combine}"
                )
        if isinstance(term, Bounded) and term.hard and term.at_least is term.at_most is None:
            said.append(f"{term.kind}: is hard and has no bound; give at_least or at_most")
        if isinstance(term, Length) and term.at_least is term.at_most is None and not term.hard:
            said.append("length: has no bound, so its weight would do nothing")
    if sum(isinstance(term, Preference) for term in terms) > 1:
        said.append("preference: given twice; one term combines all members")
    return said


def _empty_bounds(terms: Sequence[Any]) -> list[str]:
    said = [
        f"{term.kind}: at_least {term.at_least:g} is above at_most {term.at_most:g}"
        for term in terms
        if isinstance(term, Bounded)
        and term.at_least is not None
        and term.at_most is not None
        and term.at_least > term.at_most
    ]
    for unit in ("words", "characters"):
        lengths = [t for t in terms if isinstance(t, Length) and t.unit == unit]
        least = [t.at_least for t in lengths if t.at_least is not None]
        most = [t.at_most for t in lengths if t.at_most is not None]
        if len(lengths) > 1 and least and most and max(least) > min(most):
            said.append(
                f"length: one rule asks for at least {max(least):g} {unit}, "
                f"another for at most {min(most):g}"
            )
    return said


def _banned_and_wanted(terms: Sequence[Any]) -> list[str]:
    banned = [phrase for term in terms if isinstance(term, Banned) for phrase in term.phrases]
    wanted = [
        *(("required", p) for t in terms if isinstance(t, Required) for p in t.phrases),
        *(("disclaimer", t.text) for t in terms if isinstance(t, Disclaimer)),
        *(("approved copy", p) for t in terms if isinstance(t, Similarity) for p in t.approved),
    ]
    return [
        f"{where} {text!r} holds the banned phrase {phrase!r}"
        for where, text in wanted
        for phrase in banned
        if holds(text, phrase)
    ]


def _too_long(terms: Sequence[Any]) -> list[str]:
    """Compare what must be said with the room there is for it."""
    rooms = [(f"the channel {t.channel}", t.limit) for t in terms if isinstance(t, Channel)]
    rooms += [
        ("length", int(t.at_most))
        for t in terms
        if isinstance(t, Length) and t.unit == "characters" and t.at_most is not None
    ]
    required = dict.fromkeys(p for t in terms if isinstance(t, Required) for p in t.phrases)
    said = []
    if any(isinstance(term, Channel) and term.channel == "sms" for term in terms):
        said = [
            f"required {phrase!r} has {''.join(gsm.foreign(phrase))}, which no SMS can (GSM 03.38)"
            for phrase in required
            if gsm.foreign(phrase)
        ]
    if not rooms:
        return said
    name, room = min(rooms, key=lambda one: one[1])
    together = len(" ".join(required))
    if together > room:
        said.append(f"the required phrases take {together} characters, {name} has {room}")
    said += [
        f"disclaimer {term.text!r} takes {len(term.text)} characters, {name} has {room}"
        for term in terms
        if isinstance(term, Disclaimer) and len(term.text) > room
    ]
    for term in terms:
        if isinstance(term, Length) and term.at_least is not None:
            # A word and its space are two characters at least.
            needed = 2 * term.at_least - 1 if term.unit == "words" else term.at_least
            if needed > room:
                said.append(
                    f"length: at least {term.at_least:g} {term.unit} do not fit, {name} has {room} "
                    "characters"
                )
    return said
