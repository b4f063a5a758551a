"""CRM profiles: identifiers as each platform matches them, and hashed only when asked."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from ppo_marketing.errors import Refused, UserError
from ppo_marketing.export.identity import HashRules, is_e164, is_email, ordered_email
from ppo_marketing.export.targets import Crm, crm

ROW = {"mail": " Ann.Bee+news@Gmail.com ", "tel": "+491701234567", "decision": "email", "id": "c-1"}
PROFILE: dict[str, Any] = {
    "system": "klaviyo",
    "columns": {"Email": "mail", "Phone": "tel", "next_contact": "decision"},
    "primary_key": ("Email",),
    "identifiers": {"Email": "email", "Phone": "phone"},
    "person": "id",
}


def test_a_profile_is_written_by_the_column_map() -> None:
    target = Crm(**PROFILE)
    draft = target.draft([ROW])
    assert target.files([ready.row for _, ready in draft.ready]) == {
        "klaviyo-profiles.csv": (
            b'"Email","Phone","next_contact"\r\n'
            b'"Ann.Bee+news@Gmail.com","+491701234567","email"\r\n'
        )
    }
    assert draft.ready[0][1].person == "c-1"
    assert target.personal


@pytest.mark.parametrize(
    ("rules", "hashed"),
    [
        ("google_customer_match", "ann.bee+news@gmail.com"),
        ("cm360", "annbee+news@gmail.com"),
        ("tiktok", "ann.bee@gmail.com"),
    ],
)
def test_addresses_are_put_in_the_platforms_order_and_hashed(rules: HashRules, hashed: str) -> None:
    row = Crm(**PROFILE, hash_as=rules).draft([ROW]).ready[0][1].row
    assert row["Email"] == hashlib.sha256(hashed.encode()).hexdigest()
    assert row["Phone"] == hashlib.sha256(b"+491701234567").hexdigest()
    assert row["next_contact"] == "email"


def test_a_published_hash_comes_out() -> None:
    # SHA-256 of test@example.com, as printed in many a platform's documentation.
    row = (
        Crm(**PROFILE, hash_as="tiktok")
        .draft([{**ROW, "mail": "Test@Example.com"}])
        .ready[0][1]
        .row
    )
    assert row["Email"] == "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"


def test_dots_matter_outside_gmail() -> None:
    assert ordered_email("a.b@x.de", "cm360") == "a.b@x.de"
    assert ordered_email("a.b@googlemail.com", "cm360") == "ab@googlemail.com"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mail": "ann"}, "one e-mail address"),
        ({"mail": "a@x.de, b@x.de"}, "one e-mail address"),
        ({"tel": "0170"}, "number as"),
        ({"mail": "", "tel": ""}, "e-mail address or a phone number in every row"),
        ({"mail": ""}, "the primary key is empty"),
    ],
)
def test_profiles_that_would_not_match_are_refused(changes: dict[str, Any], said: str) -> None:
    assert said in Crm(**PROFILE).draft([{**ROW, **changes}]).refused[0].reason


def test_a_profile_that_contradicts_itself_is_refused_whole() -> None:
    with pytest.raises(UserError) as error:
        Crm(system="klaviyo", columns={"a": "b"}, primary_key=(), person="id")
    assert "primary_key" in str(error.value)
    assert "Klaviyo needs" in str(error.value)
    with pytest.raises(UserError, match="not among the columns"):
        Crm(system="salesforce", columns={"a": "b"}, primary_key=("c",), person="id")


def test_a_data_extension_is_keyed_and_needs_no_address() -> None:
    target = Crm(
        system="salesforce", columns={"SubscriberKey": "id", "Next": "decision"},
        primary_key=("SubscriberKey",), person="id",
    )  # fmt: skip
    assert target.key == ("SubscriberKey",)
    assert list(target.files([{"SubscriberKey": "1", "Next": "a"}])) == ["salesforce-profiles.csv"]


def test_klaviyos_size_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crm, "MOST_KLAVIYO_BYTES", 10)
    with pytest.raises(Refused, match="Klaviyo takes 10"):
        Crm(**PROFILE).files([ROW])


@pytest.mark.parametrize("phone", ["+491701234567", "+12025550123"])
def test_e164(phone: str) -> None:
    assert is_e164(phone)
    assert not any(
        map(is_e164, (phone[1:], phone.replace("+", "00"), phone + "000000", "+0" + phone))
    )


def test_one_address() -> None:
    assert is_email("a.b@x.co.uk")
    assert not any(map(is_email, ("a", "a@b", "a@b@c.de", "a b@c.de", "<a@b.de>", "a@b.de;c@d.de")))
