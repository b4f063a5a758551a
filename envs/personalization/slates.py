"""Which rows of a log were shown together, and whether at most one of them was rewarded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.personalization.columns import Columns, codes, column_or, texts_or_empty
from envs.personalization.model import Ints


class Slates(NamedTuple):
    """The pages of a log: `page` [M] of every row, the longest, whether one choice each."""

    page: Ints
    longest: int
    one_choice: bool

    def notes(self) -> list[str]:
        """What was found, in words; nothing where every page has one item."""
        if self.longest == 1:
            return []
        found = f"rows of one unit and time are a page, of up to {self.longest} items; "
        if self.one_choice:
            return [
                found + "none has more than one reward: the items of a page compete for it "
                "(conditional logit)"
            ]
        return [found + "some have several rewards: each item is rewarded on its own"]


def slates_of(columns: Columns) -> Slates:
    """Rows of one unit, session and time on different positions are one page.

    A row of several impressions, or beside another on its own position, is a page of its own.
    """
    count = len(columns["reward"])
    if "position" not in columns:
        return Slates(np.arange(count, dtype=np.int32), 1, False)
    # A unit of many rows at one time (a day's date, say) need not have seen them together.
    keys = [texts_or_empty(columns, "session_id"), columns["unit_id"], columns["timestamp"]]
    page = _numbered(*(codes(key) for key in keys))
    weight, position = column_or(columns, "impressions", 1.0), columns["position"].astype(np.int32)
    place = _numbered(page, position)
    alone = (weight > 1) | (np.bincount(place)[place] > 1)
    broken = np.bincount(page, weights=alone)[page] > 0
    page = _numbered(np.where(broken, page.max() + 1 + np.arange(count), page))
    rewards = np.bincount(page, weights=columns["reward"] > 0)
    longest = int(np.bincount(page).max())
    return Slates(page, longest, bool(longest > 1 and (rewards <= 1).all()))


def _numbered(*keys: Ints) -> Ints:
    """Each row's number among the distinct combinations of its keys, `[M]`."""
    found = np.unique(np.column_stack(keys), axis=0, return_inverse=True)[1]
    return found.reshape(-1).astype(np.int32)
