"""Special ad categories: what may not steer ads for housing, employment and credit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

from ppo_marketing.errors import UserError

SpecialAdCategory = Literal["housing", "employment", "credit"]
"""`credit` stands for all financial products and services, as the platforms now have it."""

NOT_PROTECTED = "none"
"""What a user maps a column to that only sounds like a protected attribute."""

RESTRICTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "age": (
            "age", "ages", "birth", "birthday", "birthdate", "birthyear", "dob", "yob", "elderly",
        ),
        "gender": (
            "gender", "sex", "female", "male", "woman", "women", "man", "men", "salutation",
        ),
        "postal code": ("zip", "zipcode", "postcode", "postal", "plz", "zcta"),
        "parental status": (
            "parent", "parents", "parental", "child", "children", "kid", "kids", "familial",
            "pregnant", "pregnancy",
        ),
        "marital status": (
            "marital", "married", "marriage", "spouse", "divorced", "widowed",
            "relationship status",
        ),
        "cultural affinity": (
            "multicultural", "multi cultural", "cultural affinity", "affinity group", "ethnic",
            "ethnicity", "race", "racial", "ancestry", "nationality", "national origin", "hispanic",
        ),
        "religion": ("religion", "religious", "faith"),
        "disability": ("disability", "disabled", "disabilities"),
        "sexual orientation": ("sexual orientation", "sexuality", "lgbt"),
    }
)  # fmt: skip
"""Protected attribute -> the words of a column's name that give it away.

Meta restricts age, gender, postal code, multicultural affinity and whatever describes a protected
group for all three categories (business help 2220749868045706); Google adds parental and marital
status and bars race, religion, disability, sexual orientation and national origin from every
personalised ad (ads policy 143465). One list serves all three categories: platforms make no
difference, and what one statute leaves out (age in housing) another has.
"""


@dataclass(frozen=True)
class Restricted:
    """Which features a special ad category leaves; `reasons` says of each removed one why."""

    kept: tuple[str, ...]
    removed: tuple[str, ...]
    reasons: Mapping[str, str]


def special_ad_category(
    features: Sequence[str],
    category: SpecialAdCategory | None,
    protected: Mapping[str, str] | None = None,
) -> Restricted:
    """Part feature names into those that a category allows and those it does not.

    A name is taken apart into words (`customerAge_2`: customer, age) and removed where one of them,
    or two in a row, is on the list: `page` and `average_price` stay, `account_age` goes, since in
    doubt a name is taken to be of a person. `protected` maps columns to the attribute they are and
    goes first: such a column is removed whatever it is called, and one mapped to "none" is kept.
    Without a category everything is kept.

    Raises:
        UserError: `protected` names a column that is not among the features.
    """
    declared = dict(protected or {})
    unknown = [name for name in declared if name not in features]
    if unknown:
        raise UserError(
            f"log.protected names columns that are not there: {', '.join(unknown)}; there are "
            f"{', '.join(features) or 'none'}"
        )
    reasons = {}
    for name in features if category is not None else ():
        attribute = declared.get(name)
        if attribute == NOT_PROTECTED:
            continue
        if attribute is not None:
            reasons[name] = f"declared as {attribute}"
        elif (word := _telling_word(name)) is not None:
            reasons[name] = (
                f"its name says {word[0]} ({word[1]!r}); log.protected: {{{name}: none}} keeps it"
            )
    return Restricted(
        kept=tuple(name for name in features if name not in reasons),
        removed=tuple(reasons),
        reasons=reasons,
    )


def _telling_word(name: str) -> tuple[str, str] | None:
    """The protected attribute that a name tells of, and the word that says so."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", apart)]
    said = {*words, *(f"{a} {b}" for a, b in pairwise(words))}
    for attribute, telling in RESTRICTED.items():
        for word in telling:
            if word in said:
                return attribute, word
    return None
