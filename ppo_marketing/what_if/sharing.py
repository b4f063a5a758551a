"""Scenarios as the query of an address, and back."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs, urlencode

from envs.core.decision import Decision
from ppo_marketing.errors import UserError
from ppo_marketing.what_if.scenarios import Named, parsed, several

PARAMETER = "scenario"
LONGEST = 4_000
"""Characters of an address that every browser and mail program passes on."""


def to_query(scenarios: Sequence[Named]) -> str:
    """`scenario=Lean%3A+budget%3D0.8&scenario=...`, one parameter a scenario.

    Raises UserError where no browser would carry it.
    """
    query = urlencode([(PARAMETER, one.text) for one in scenarios])
    if len(query) > LONGEST:
        raise UserError(
            f"the address would have {len(query):,} characters, and {LONGEST:,} are passed on "
            "everywhere: share fewer scenarios, or with shorter names"
        )
    return query


def from_query(decision: Decision, query: str) -> tuple[Named, ...]:
    """The scenarios of an address; () where it names none.

    Raises UserError where they cannot be used.
    """
    return from_texts(decision, parse_qs(query.lstrip("?")).get(PARAMETER, []))


def from_texts(decision: Decision, texts: Sequence[str]) -> tuple[Named, ...]:
    """The scenarios that each text describes, as in an address or a repeated flag."""
    if not texts:
        return ()
    return several([parsed(decision, text) for text in texts])
