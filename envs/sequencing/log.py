"""The historical log of sequencing: one row per event of a customer, and readers of known formats.

Consent is stated on the signup row of a customer, one column per channel. A logged decision is a
`contact`, or `none` where the team decided against one; `propensity` is the chance that this
decision had. Marketing systems keep customers in a table of their own: reader `tables` joins it.
"""

from __future__ import annotations

from envs.core.log import Column, LogSchema, RowRule
from envs.sequencing.readers import READERS

__all__ = ["CHANNELS", "DECISIONS", "EVENTS", "READERS", "RESPONSES"]

CHANNELS = ("email", "sms", "push", "letter", "call")
DECISIONS = ("contact", "none")
RESPONSES = ("deliver", "open", "click")
_KINDS = ("signup", *DECISIONS, *RESPONSES, "purchase", "unsubscribe")
_MONEY = "account currency"


def _sql(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


_HAS_SIGNUP = "customer_id IN (SELECT s.customer_id FROM staged s WHERE s.event = 'signup')"
_CONTACTED = "SELECT c.customer_id FROM staged c WHERE c.event = 'contact'"
_SIGNED_UP = (
    "SELECT min(s.timestamp) FROM staged s "
    "WHERE s.event = 'signup' AND s.customer_id = staged.customer_id"
)
_LEFT_ALL = (
    "SELECT min(u.timestamp) FROM staged u WHERE u.event = 'unsubscribe' AND u.channel IS NULL "
    "AND u.customer_id = staged.customer_id"
)
_LEFT_CHANNEL = (
    "SELECT min(u.timestamp) FROM staged u WHERE u.event = 'unsubscribe' "
    "AND u.channel = staged.channel AND u.customer_id = staged.customer_id"
)


def _consent_rules(channel: str) -> tuple[RowRule, ...]:
    column = f"consent_{channel}"
    contacted = f"event = 'contact' AND channel = '{channel}'"
    missing = "map the consent records, or leave out contacts that cannot be shown to be allowed"
    return (
        RowRule(
            columns=("channel", "event"),
            absent=(column,),
            broken=contacted,
            found=f"consent missing: contacts by {channel} in a log without {column}",
            allowed=f"{column} (0 or 1) on the signup row of every customer contacted by {channel}",
            action=missing,
        ),
        RowRule(
            columns=(column, "channel", "event", "customer_id"),
            broken=f"{contacted} AND {_HAS_SIGNUP} AND customer_id NOT IN (SELECT s.customer_id "
            f"FROM staged s WHERE s.event = 'signup' AND s.{column} IS NOT NULL)",
            found=f"consent missing: a contact by {channel} to a customer without {column}",
            allowed=f"{column} (0 or 1) on the customer's signup row",
            action=missing,
        ),
        RowRule(
            columns=(column, "channel", "event", "customer_id"),
            broken=f"{contacted} AND customer_id IN (SELECT s.customer_id FROM staged s "
            f"WHERE s.event = 'signup' AND NOT s.{column})",
            found=f"a contact by {channel} without consent",
            allowed=f"contacts by {channel} to customers whose {column} is 1",
            action="correct the consent records; where the contact did happen, report it instead "
            "of learning from it",
        ),
    )


def _rule(columns: str, broken: str, found: str, allowed: str, action: str) -> RowRule:
    return RowRule(
        columns=tuple(columns.split()), broken=broken, found=found, allowed=allowed, action=action
    )


_RULES = (
    _rule(
        "event", f"event NOT IN ({_sql(_KINDS)})", "an unknown event", ", ".join(_KINDS),
        "rename the event, or leave its rows out",
    ),
    _rule(
        "channel", f"channel NOT IN ({_sql(CHANNELS)})", "an unknown channel", ", ".join(CHANNELS),
        "rename the channel to the one it is nearest to",
    ),
    _rule(
        "channel event", f"event IN ({_sql(('contact', *RESPONSES))}) AND channel IS NULL",
        "a contact or a response without its channel", "a channel in each of these rows",
        "log the channel that was used",
    ),
    _rule(
        "propensity event", "propensity = 0", "a propensity of 0 on a decision that was taken",
        "numbers above 0, up to 1 (probability of the decision in this row)",
        "log the probability with which this very decision was taken; leave the column out where "
        "it is not known: it is then estimated and labelled so",
    ),
    _rule(
        "customer_id event", f"NOT {_HAS_SIGNUP}", "events of customers without a signup row",
        "one signup row per customer, with its consent",
        "join the customers table (reader `tables`), or leave those customers out",
    ),
    _rule(
        "customer_id event", "event = 'signup' AND customer_id IN (SELECT s.customer_id FROM staged"
        " s WHERE s.event = 'signup' GROUP BY s.customer_id HAVING count(*) > 1)",
        "more than one signup of a customer", "one signup row per customer",
        "keep the first; give a customer who came back a new customer_id",
    ),
    _rule(
        "timestamp customer_id event", f"timestamp < ({_SIGNED_UP})",
        "events before the customer's sign-up", "events at or after the signup row's time",
        "correct the sign-up time or the join of the two tables",
    ),
    _rule(
        "timestamp customer_id event channel",
        f"event = 'contact' AND (timestamp > ({_LEFT_ALL}) OR timestamp > ({_LEFT_CHANNEL}))",
        "a contact after the customer unsubscribed from it", "no contact after an unsubscribe",
        "correct the times; where the contact did happen, report it instead of learning from it",
    ),
    _rule(
        "customer_id event channel",
        f"event IN ({_sql(RESPONSES)}) AND channel IN ({_sql(CHANNELS)}) "
        f"AND customer_id NOT IN ({_CONTACTED} AND c.channel = staged.channel)",
        "a response of a customer who was never contacted by that channel",
        "deliver, open and click rows after a contact by the same channel",
        "join the contacts, or leave the responses out",
    ),
    _rule(
        "value event", "event = 'purchase' AND value IS NULL", "a purchase without its value",
        "the margin of every purchase", "fill it in, or leave the purchase out",
    ),
    *(rule for channel in CHANNELS for rule in _consent_rules(channel)),
)  # fmt: skip

EVENTS = LogSchema(
    name="customer event log",
    columns=(
        Column(name="timestamp", kind="timestamp", unit="UTC"),
        Column(name="event_id", kind="id", unit="one per row", required=False, key=True),
        Column(name="customer_id", kind="id", unit="customer"),
        Column(name="event", kind="category", unit="kind of event"),
        Column(name="channel", kind="category", unit="channel", may_be_empty=True),
        Column(name="offer", kind="category", unit="offer", required=False, may_be_empty=True),
        # The margin of a purchase, before contact costs and offers.
        Column(name="value", kind="number", unit=_MONEY, low=0.0, may_be_empty=True, one_unit=True),
        # On a contact what sending it cost, on a purchase what the redeemed offer cost.
        Column(name="cost", kind="number", unit=_MONEY, required=False, low=0.0, may_be_empty=True),
        Column(
            name="propensity",
            kind="number",
            unit="probability of the decision in this row",
            required=False,
            low=0.0,
            high=1.0,
            may_be_empty=True,
        ),
        *(
            Column(
                name=f"consent_{channel}",
                kind="bool",
                unit="0 or 1, on the signup row",
                required=False,
                may_be_empty=True,
            )
            for channel in CHANNELS
        ),
        # The team's own scores at a decision: the state that it was based on.
        *(
            Column(name=name, kind="number", unit=unit, required=False, low=0.0, may_be_empty=True)
            for name, unit in (
                ("frequency_score", "class 0, 1, 2, 3 of purchase frequency, on decision rows"),
                *(
                    (f"fatigue_{channel}", "class 0 to 4 of recent contacts, on decision rows")
                    for channel in CHANNELS
                ),
            )
        ),
    ),
    rules=_RULES,
    readers=READERS,
    unit="customer_id",
)
"""Context columns are whatever else the user maps. Where a team keeps no scores, decayed counts of
purchases and contacts stand for them."""
