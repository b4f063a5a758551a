"""Google Ads Editor files to the byte, and what Google would ignore or reject."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.export.target import Draft
from ppo_marketing.export.targets import GoogleAds


def keyword(**changes: Any) -> dict[str, Any]:
    return {
        "campaign": "Shoes, DE",
        "ad_group": "Running",
        "keyword": "+trail shoes",
        "match_type": "broad",
        "max_cpc": "0.67",
        "multiplier": 1.3,
        "bid_strategy": "Manual CPC",
        **changes,
    }


def device(**changes: Any) -> dict[str, Any]:
    return {
        "campaign": "A",
        "device": "Mobile",
        "multiplier": 1.2,
        "bid_strategy": "Manual CPC",
    } | changes


KEYWORDS = GoogleAds(rows="keywords", currency="EUR")
DEVICES = GoogleAds(rows="devices")


def file_of(target: GoogleAds, draft: Draft) -> bytes:
    (content,) = target.files([ready.row for _, ready in draft.ready]).values()
    return content


def refused(target: GoogleAds, row: dict[str, Any]) -> str:
    draft = target.draft([row])
    assert draft.ready == ()
    return draft.refused[0].reason


def test_keyword_bids_are_written_as_editor_reads_them() -> None:
    given = [
        keyword(),
        keyword(keyword='say "run"', match_type="Exact", max_cpc=33.51, multiplier="1"),
    ]
    assert file_of(KEYWORDS, KEYWORDS.draft(given)) == (
        b'"Campaign","Ad Group","Keyword","Criterion Type","Max CPC"\r\n'
        b'"Shoes, DE","Running","+trail shoes","Broad",0.87\r\n'  # 0.871, whole cents
        b'"Shoes, DE","Running","say ""run""","Exact",33.51\r\n'
    )


def test_devices_of_a_campaign_or_ad_group_stand_in_one_row() -> None:
    given = [
        device(),
        device(device="desktop", multiplier="0.9"),
        device(device="tablet", multiplier=0),
        device(campaign="B", ad_group="G", multiplier=10),
    ]
    assert file_of(DEVICES, DEVICES.draft(given)) == (
        b'"Campaign","Ad Group","Desktop Bid Modifier","Mobile Bid Modifier",'
        b'"Tablet Bid Modifier"\r\n'
        b'"A",,-10,20,-100\r\n'
        b'"B","G",,900,\r\n'
    )


def test_schedules_locations_and_audiences_have_a_column_of_their_own() -> None:
    target = GoogleAds(rows="schedules", columns={"multiplier": "bid_multiplier"})
    row = {"campaign": "A", "schedule": "(Monday[09:00-12:00])", "bid_multiplier": 0.5,
           "bid_strategy": "manual cpc"}  # fmt: skip
    assert file_of(target, target.draft([row])) == (
        b'"Campaign","Ad Group","Ad Schedule","Bid Modifier"\r\n'
        b'"A",,"(Monday[09:00-12:00])",-50\r\n'
    )
    assert GoogleAds(rows="locations").key[-1] == "Location"
    assert GoogleAds(rows="audiences").key[-1] == "Audience segment"


@pytest.mark.parametrize(
    ("multiplier", "good"), [(0.1, True), (0.09, False), (10, True), (10.02, False), (0, True)]
)
def test_adjustments_are_from_minus_90_to_900_and_a_device_may_be_opted_out(
    multiplier: float, good: bool
) -> None:
    assert bool(DEVICES.draft([device(multiplier=multiplier)]).ready) == good


def test_only_devices_can_be_opted_out() -> None:
    row = {"campaign": "A", "location": "Berlin", "multiplier": 0, "bid_strategy": "Manual CPC"}
    assert "-90 to 900" in refused(GoogleAds(rows="locations"), row)


@pytest.mark.parametrize("strategy", ["Target ROAS", "maximize conversions", "Maximize clicks"])
def test_bids_that_a_strategy_ignores_are_refused_or_told(strategy: str) -> None:
    assert "ignores it" in refused(KEYWORDS, keyword(bid_strategy=strategy))
    lenient = GoogleAds(rows="keywords", currency="EUR", on_smart_bidding="warn")
    draft = lenient.draft([keyword(bid_strategy=strategy)])
    assert len(draft.ready) == 1
    assert "ignores it (1 rows)" in draft.warnings[0]


def test_smart_bidding_still_opts_out_of_devices_and_target_cpa_moves_its_target() -> None:
    assert DEVICES.draft([device(bid_strategy="Target ROAS", multiplier=0)]).ready
    assert "ignores it" in refused(DEVICES, device(bid_strategy="Target ROAS"))
    draft = DEVICES.draft([device(bid_strategy="Target CPA")])
    assert len(draft.ready) == 1
    assert "moves the target" in draft.warnings[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bid_strategy": ""}, "no bid_strategy"),
        ({"bid_strategy": "Magic"}, "not known"),
        ({"match_type": "negative"}, "match_type"),
        ({"max_cpc": "1,20"}, "number as 1234.56"),
        ({"max_cpc": ""}, "no max_cpc"),
        ({"max_cpc": "1e12"}, "too large"),
        ({"multiplier": -1}, "0 or more"),
        ({"multiplier": "nan"}, "number"),
        ({"multiplier": 0.001}, "below the smallest"),
        ({"keyword": "a" * 81}, "80 characters"),
        ({"keyword": "a " * 11}, "10 words"),
    ],
)
def test_rows_that_google_would_reject_are_refused_with_the_reason(
    changes: dict[str, Any], said: str
) -> None:
    assert said in refused(KEYWORDS, keyword(**changes))


def test_a_row_without_a_decision_is_refused() -> None:
    row = keyword()
    del row["multiplier"]
    assert "no decision" in refused(KEYWORDS, row)


def test_the_change_of_a_bid_is_measured_from_what_it_is_now() -> None:
    ((_, ready),) = KEYWORDS.draft([keyword()]).ready
    assert ready.before["Max CPC"] == Decimal("0.67")
    assert ready.sizes["Max CPC"] == Decimal("0.87")
    ((_, ready),) = DEVICES.draft([device(adjustment="-20")]).ready
    assert (ready.before["factor"], ready.sizes["factor"]) == (Decimal("0.8"), Decimal("1.2"))


def test_money_has_a_currency() -> None:
    with pytest.raises(UserError, match="give `currency`"):
        GoogleAds(rows="keywords")
    with pytest.raises(UserError, match="XYZ"):
        GoogleAds(rows="keywords", currency="XYZ")
