"""The historical log of personalization: one row per item shown, and readers of known formats."""

from __future__ import annotations

from envs.core.log import Column, LogSchema, RowRule
from envs.personalization.readers import READERS

__all__ = ["ITEM_PREFIX", "READERS", "VISITS"]

ITEM_PREFIX = "item_"
"""Context columns of this prefix describe the item shown, not the visitor; `item_category` groups
items for boredom and `item_clickbait` (0 to 1) is what satisfaction suffers from."""

VISITS = LogSchema(
    name="visit log",
    columns=(
        Column(name="timestamp", kind="timestamp", unit="UTC"),
        Column(name="impression_id", kind="id", unit="one per row", required=False, key=True),
        # Whoever was shown something: rows of one unit are never parted.
        Column(name="unit_id", kind="id", unit="visitor, customer or visit"),
        Column(name="action_id", kind="id", unit="item shown"),
        # The place in the slate, from 1.
        Column(name="position", kind="number", unit="place", required=False, low=1.0),
        # P(this item | context, position) under the policy that logged.
        Column(
            name="propensity", kind="number", unit="probability", required=False, low=0.0, high=1.0
        ),
        # Mean reward of the row's impressions: 0 or 1 where a row is one impression.
        Column(name="reward", kind="number", unit="rewarded share", low=0.0, high=1.0),
        Column(name="impressions", kind="number", unit="impressions", required=False, low=0.0),
        # Rows of one pool could have shown the same items; without it every item could always be.
        Column(name="pool_id", kind="category", unit="set of eligible items", required=False),
        # Rows of one visit, in the order of time.
        Column(name="session_id", kind="category", unit="session", required=False),
    ),
    rules=(
        RowRule(
            columns=("position",),
            broken="position <> floor(position)",
            found="a position that is not a whole number",
            allowed="whole numbers from 1",
            action="count the places of a slate 1, 2, 3",
        ),
        RowRule(
            columns=("propensity",),
            broken="propensity = 0",
            found="a propensity of 0: what was shown had a chance of being shown",
            allowed="probabilities above 0, up to 1",
            action="log the probability of the item shown, or leave the column out",
        ),
        RowRule(
            columns=("impressions",),
            broken="impressions = 0 OR impressions <> floor(impressions)",
            found="a row that does not stand for a whole number of impressions",
            allowed="whole numbers from 1",
            action="leave out what was never shown",
        ),
        RowRule(
            columns=("action_id",),
            broken="(SELECT count(DISTINCT action_id) FROM staged) < 2",
            found="a single action in the whole log: there was nothing to choose",
            allowed="two actions or more",
            action="export what was shown to everyone, not to one group",
        ),
        RowRule(
            columns=("reward",),
            broken="(SELECT coalesce(max(reward), 0) FROM staged) = 0",
            found="no reward in the whole log",
            allowed="some rows with a reward above 0",
            action="join the clicks or conversions before exporting",
        ),
    ),
    readers=READERS,
    unmapped_is_context=True,
    unit="unit_id",
)
"""One row per item shown. All other columns are context: numbers or categories known *before* the
choice (leave out what is known only after it)."""
