"""Braze's user attributes and catalogs, held to what its documentation says."""

from __future__ import annotations

from typing import Any

import pytest

from ppo_marketing.errors import Refused, UserError
from ppo_marketing.export.targets import BrazeCatalog, BrazeUsers, braze

USERS = BrazeUsers(
    identifier="external_id",
    columns={"external_id": "customer", "next_contact": "decision", "phone": "tel", "vip": "vip",
             "email_subscribe": "state", "country": "land"},
    person="mail",
)  # fmt: skip
CUSTOMER = {
    "customer": "c-1", "decision": "email+coupon", "tel": "+491701234567", "vip": True,
    "state": "opted_in", "land": "DE", "mail": "ann@x.de",
}  # fmt: skip


def test_attributes_are_written_identifier_first() -> None:
    draft = USERS.draft([CUSTOMER, {**CUSTOMER, "customer": "c-2", "tel": "", "vip": None}])
    assert USERS.files([ready.row for _, ready in draft.ready]) == {
        "braze-user-attributes.csv": (
            b'"external_id","next_contact","phone","vip","email_subscribe","country"\r\n'
            b'"c-1","email+coupon","+491701234567",true,"opted_in","DE"\r\n'
            b'"c-2","email+coupon",,,"opted_in","DE"\r\n'
        )
    }
    assert draft.ready[0][1].person == "ann@x.de"


def test_rows_are_about_people_and_by_default_the_identifier_names_them() -> None:
    target = BrazeUsers(identifier="external_id", columns={"external_id": "customer"})
    assert target.personal
    assert target.draft([CUSTOMER]).ready[0][1].person == "c-1"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"customer": " "}, "no external_id"),
        ({"tel": "0170 1234567"}, "phone must be"),
        ({"land": "Germany"}, "country must be"),
        ({"land": "de"}, "country must be"),
        ({"state": "yes"}, "email_subscribe must be"),
        ({"decision": "<b>now</b>"}, "HTML"),
        ({"decision": ["a"]}, "is a list"),
    ],
)
def test_values_in_other_forms_than_brazes_are_refused(changes: dict[str, Any], said: str) -> None:
    draft = USERS.draft([{**CUSTOMER, **changes}])
    assert said in draft.refused[0].reason
    if str(value := next(iter(changes.values()))) != "de":  # people's data stay out of reports
        assert not str(value).strip() or str(value) not in draft.refused[0].reason


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"external_id": "a", "Email": "b"}, "Braze's own attribute is email"),
        ({"external_id": "a", "braze_id": "b"}, "identifies by external_id alone"),
        ({"external_id": "a", "user_alias_name": "b"}, "identifies by external_id alone"),
        ({"x": "a"}, "external_id: it must be mapped"),
    ],
)
def test_headers_that_braze_would_misunderstand_are_refused(
    columns: dict[str, str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        BrazeUsers(identifier="external_id", columns=columns)


def test_an_alias_needs_its_label() -> None:
    with pytest.raises(UserError, match="user_alias_label"):
        BrazeUsers(identifier="user_alias", columns={"user_alias_name": "a"})


def test_a_catalog_is_the_table_with_ids_that_messages_can_spell() -> None:
    target = BrazeCatalog()
    draft = target.draft([{"decision_id": "weeks=1|bin=0.5", "weeks": 1, "decision": "none"}])
    assert target.files([ready.row for _, ready in draft.ready]) == {
        "braze-catalog.csv": b'"id","weeks","decision"\r\n"weeks-1-bin-0-5",1,"none"\r\n'
    }


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"key": "a b", "text": "x"}, "id must be"),
        ({"key": "a", "text": "x" * 5001}, "5,000 characters"),
        ({"key": "a", "text": ""}, "no text"),
        ({"key": "a", "text": "<i>x"}, "HTML"),
    ],
)
def test_items_that_a_catalog_does_not_take_are_refused(row: dict[str, Any], said: str) -> None:
    target = BrazeCatalog(columns={"id": "key", "text": "text"})
    assert said in target.draft([row]).refused[0].reason


def test_headers_and_sizes_of_a_catalog_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="not allowed: a b"):
        BrazeCatalog(columns={"id": "a", "a b": "c"})
    with pytest.raises(UserError, match="1000 columns"):
        BrazeCatalog(columns={f"c{n}": "a" for n in range(1001)})
    monkeypatch.setattr(braze, "MOST_CATALOG_BYTES", 10)
    with pytest.raises(Refused, match="10 are the most"):
        BrazeCatalog().files([{"id": "a", "text": "b"}])
