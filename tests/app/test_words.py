"""Numbers as people write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from app import words
from ppo_marketing.evaluation import Estimate


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1234567.8, "1,234,568"),
        (1000, "1,000"),
        (123.456, "123.5"),
        (12.345, "12.35"),
        (0.0012345, "0.00123"),
        (0, "0"),
        (-0.0, "0"),
        (-5.25, "−5.25"),
        (float("nan"), "–"),
        (float("inf"), "–"),
        (None, "–"),
    ],
)
def test_a_number_has_the_digits_that_tell(value: float | None, written: str) -> None:
    assert words.number(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (41.237, "41.24 EUR"),
        (12345.6, "12,346 EUR"),
        (0.0123, "0.0123 EUR"),
        (0.0, "0.00 EUR"),
        (-3.0, "−3.00 EUR"),
    ],
)
def test_money_has_cents_below_a_thousand(value: float, written: str) -> None:
    assert words.money(value, "EUR") == written


@pytest.mark.parametrize(
    ("locale", "written"),
    [("de_DE.UTF-8", "1.234,57 EUR"), ("fr", "1\u202f234,57 EUR"), ("xx", "1,234.57 EUR")],
)
def test_the_locale_says_how(monkeypatch: pytest.MonkeyPatch, locale: str, written: str) -> None:
    monkeypatch.setenv(words.LOCALE, locale)
    assert f"{words.number(1234.567, 2)} EUR" == written


def test_signs_and_shares() -> None:
    assert words.number(2.5, 1, signed=True) == "+2.5"
    assert words.share(0.1234) == "12.3 %"
    assert words.share(-0.001, signed=True) == "−0.1 %"


def test_an_interval_names_its_unit_once() -> None:
    estimate = Estimate(8.4, 8.17, 8.68, 60, "EUR")
    assert words.interval(estimate, "currency", "EUR") == "95 %: 8.17 to 8.68 EUR"


def test_moments_are_in_utc() -> None:
    moment = datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    assert words.time(moment) == "28 Feb 2026, 22:30 UTC"
    assert words.day(date(2026, 3, 1)) == "01 Mar 2026"
    assert words.day(datetime(2026, 3, 1, tzinfo=UTC)) == "01 Mar 2026"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(20, "20 seconds"), (600, "10 minutes"), (7200, "2 hours"), (3 * 86400, "3 days")],
)
def test_lengths_of_time(seconds: float, written: str) -> None:
    assert words.duration(seconds) == written
