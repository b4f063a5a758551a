"""The known formats of personalization logs, by the names that `--reader` takes."""

from __future__ import annotations

from collections.abc import Mapping

from envs.core.log_schema import Reader
from envs.personalization.bank_marketing import open_bank
from envs.personalization.open_bandit import open_bandit
from envs.personalization.randomised_table import open_table
from envs.personalization.upworthy import open_upworthy

READERS: Mapping[str, Reader] = {
    "open-bandit": Reader(
        summary="Open Bandit: timestamp, item_id, position, click, propensity_score and features, "
        "with item_context.csv beside it",
        open=open_bandit,
    ),
    "bank-marketing": Reader(
        summary="Bank Marketing: calls by channel and weekday, duration dropped, dated in file "
        "order",
        open=open_bank,
        defaults={"first_year": 2008},
    ),
    "upworthy": Reader(
        summary="Upworthy headline tests: the n matrix, with its y matrix beside it; each headline "
        "an item of its test's pool",
        open=open_upworthy,
        defaults={"tests": 100, "days": 6, "seed": 1},
    ),
    "table": Reader(
        summary="any randomised table; name arms, outcome and features with --columns "
        "(action_id, reward, and any other names for features)",
        open=open_table,
        defaults={"days": 6},
        takes_columns=True,
    ),
}
"""`days` is the number of pseudo-days that a file without times is dealt to."""
