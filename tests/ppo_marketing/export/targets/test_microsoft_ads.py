"""Microsoft Advertising bulk files to the byte: version, byte order mark, devices."""

from __future__ import annotations

from typing import Any

import pytest

from ppo_marketing.errors import Refused
from ppo_marketing.export.targets import MicrosoftAds, microsoft_ads

KEYWORDS = MicrosoftAds(rows="keywords", currency="USD")
DEVICES = MicrosoftAds(rows="devices")
HEADER = (
    b'\xef\xbb\xbf"Type","Status","Id","Parent Id","Campaign","Ad Group","Client Id","Keyword",'
    b'"Match Type","Bid","Target","Bid Adjustment","Name"\r\n'
    b'"Format Version",,,,,,,,,,,,"6.0"\r\n'
)


def keyword(**changes: Any) -> dict[str, Any]:
    return {"id": "11", "parent_id": "7", "keyword": "shoes", "match_type": "exact", "bid": "1.00",
            "multiplier": 1.257, **changes}  # fmt: skip


def devices(parent: str = "9", *targets: str, **changes: Any) -> list[dict[str, Any]]:
    names = targets or ("Computers", "Smartphones", "Tablets")
    return [{"parent_id": parent, "target": t, "multiplier": 1.1, **changes} for t in names]


def content(target: MicrosoftAds, given: list[dict[str, Any]]) -> bytes:
    (file,) = target.files([ready.row for _, ready in target.draft(given).ready]).values()
    return file


def test_keyword_bids_come_after_the_format_version() -> None:
    assert content(KEYWORDS, [keyword(campaign="C")]) == (
        HEADER + b'"Keyword",,11,7,"C",,,"shoes","Exact",1.25,,,\r\n'
    )


def test_the_three_devices_of_a_campaign_are_written_together() -> None:
    assert content(DEVICES, devices()) == HEADER + b"".join(
        b'"Campaign DeviceOS Criterion",,,9,,,,,,,"' + name + b'",10,\r\n'
        for name in (b"Computers", b"Smartphones", b"Tablets")
    )


@pytest.mark.parametrize(
    "given",
    [
        devices("1", "Computers", "Tablets"),
        devices("1", "Computers", "Tablets", "Tablets"),
        [*devices("1", "Computers", "Smartphones"), *devices("1", "Tablets", multiplier=11)],
    ],
)
def test_a_campaign_with_fewer_than_three_devices_gets_none(given: list[dict[str, Any]]) -> None:
    draft = DEVICES.draft([*given, *devices("2")])
    assert {ready.row["Parent Id"] for _, ready in draft.ready} == {2}
    assert len(draft.refused) == len(given)
    assert "all three, or none" in draft.refused[-1].reason


def test_no_file_has_some_of_a_campaigns_devices_only() -> None:
    rows = [ready.row for _, ready in DEVICES.draft(devices()).ready]
    with pytest.raises(Refused, match="all three, or none"):
        DEVICES.files(rows[:2])


@pytest.mark.parametrize(
    ("rows", "multiplier", "good"),
    [("devices", 0, True), ("devices", 10, True), ("devices", 10.02, False),
     ("locations", 0.1, True), ("locations", 0, False), ("ages", 0.09, False),
     ("genders", 1, True)],
)  # fmt: skip
def test_every_criterion_has_its_range(rows: Any, multiplier: float, good: bool) -> None:
    target = MicrosoftAds(rows=rows)
    given = devices() if rows == "devices" else [{"parent_id": "9", "target": "x"}]
    draft = target.draft([{**row, "multiplier": multiplier} for row in given])
    assert bool(draft.ready) == good


@pytest.mark.parametrize("number", ["-1", "0", "x", "1.5", "", "١"])
def test_only_entities_that_exist_are_changed(number: str) -> None:
    assert "id" in KEYWORDS.draft([keyword(id=number)]).refused[0].reason


def test_files_beyond_the_published_size_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microsoft_ads, "MOST_ROWS", 3)
    content(KEYWORDS, [keyword()])
    with pytest.raises(Refused, match="rows"):
        content(KEYWORDS, [keyword(), keyword(id="12")])
    monkeypatch.setattr(microsoft_ads, "MOST_ROWS", 100)
    monkeypatch.setattr(microsoft_ads, "MOST_BYTES", len(HEADER))
    with pytest.raises(Refused, match="bytes"):
        content(KEYWORDS, [keyword()])
