"""Numbers as people write them: money, counts, shares, intervals and dates in one locale."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.core.decision import Decision, Kpi
    from ppo_marketing.evaluation import Estimate

LOCALE = "PPO_MARKETING_LOCALE"
"""The environment variable that chooses how numbers are written."""


@dataclass(frozen=True)
class Locale:
    """How a language writes numbers and dates; `day` is a strftime form."""

    thousands: str
    point: str
    day: str


LOCALES: Mapping[str, Locale] = {
    "en": Locale(",", ".", "%d %b %Y"),
    "de": Locale(".", ",", "%d.%m.%Y"),
    "fr": Locale("\u202f", ",", "%d/%m/%Y"),
    "ch": Locale("’", ".", "%d.%m.%Y"),
}


def locale() -> Locale:
    """The locale of the settings; English where none is named, or an unknown one."""
    return LOCALES.get(os.environ.get(LOCALE, "en")[:2].lower(), LOCALES["en"])


def number(value: float | None, digits: int | None = None, *, signed: bool = False) -> str:
    """A number with at least three telling digits, or exactly `digits` after the point."""
    if value is None or not math.isfinite(value):
        return "–"
    if digits is None:
        digits = 0 if abs(value) >= 1000 or value == int(value) else _digits(value)
    text = f"{value:{'+' if signed else ''},.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    here = locale()
    marks: dict[str, str | int | None] = {",": here.thousands, ".": here.point, "-": "−"}
    return text.translate(str.maketrans(marks))


def _digits(value: float) -> int:
    if abs(value) >= 100:
        return 1
    return 2 if abs(value) >= 1 or value == 0 else min(6, 2 - math.floor(math.log10(abs(value))))


def money(value: float | None, currency: str, *, signed: bool = False) -> str:
    """An amount with its currency: cents below a thousand, three telling digits below one."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    digits = 0 if size >= 1000 else 2 if size >= 1 or size == 0 else _digits(value)
    return f"{number(value, digits, signed=signed)} {short(currency)}"


def short(currency: str) -> str:
    """A currency for a card; a log that names none has units."""
    return "units" if currency == "units of currency" else currency


def share(value: float | None, digits: int = 1, *, signed: bool = False) -> str:
    """A share in per cent."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{number(100 * value, digits, signed=signed)} %"


def amount(value: float | None, unit: str, currency: str, *, signed: bool = False) -> str:
    """A KPI in its own unit: money in the run's currency, everything else with its name."""
    if unit == "currency":
        return money(value, currency, signed=signed)
    return f"{number(value, signed=signed)} {unit}".rstrip()


def interval(estimate: Estimate, unit: str, currency: str) -> str:
    """Where an estimate lies with 95 % confidence."""
    low, high = (amount(end, unit, currency) for end in (estimate.low, estimate.high))
    return f"95 %: {low.split(' ')[0]} to {high}"


def day(moment: datetime | date) -> str:
    """A day, in UTC."""
    if isinstance(moment, datetime):
        moment = moment.astimezone(UTC)
    return moment.strftime(locale().day)


def time(moment: datetime) -> str:
    """A moment to the minute, in UTC."""
    return f"{day(moment)}, {moment.astimezone(UTC):%H:%M} UTC"


def duration(seconds: float) -> str:
    """A length of time in the largest unit that says it."""
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}s"
    return f"{max(seconds, 0):.0f} seconds"


def kpi_named(card: Decision, name: str) -> Kpi:
    """A KPI of the card: label, unit and definition."""
    return next(kpi for kpi in card.kpis if kpi.name == name)


def value_kpi(card: Decision) -> Kpi:
    """The KPI that policies are judged by."""
    return kpi_named(card, card.value_kpi)


def currency_of(settings: Any) -> str:
    """The currency of a run's settings."""
    named = settings.get("currency") if isinstance(settings, Mapping) else settings.currency
    return str(named)
