"""Who may not be bid on is not bid on; what cannot be read permits nothing."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from envs.bidding.live.permission import Permission, consented, refused
from envs.bidding.live.request import read_request

ALLOWED = Permission()


def asked(**signals: Any) -> Any:
    body = {"id": "1", "imp": [{"id": "1", "banner": {}}], **signals}
    return read_request(body)


def tc_string(
    purposes: set[int],
    vendors: frozenset[int] = frozenset(),
    *,
    ranged: bool = False,
    version: int = 2,
) -> str:
    """A TCF 2 core segment, written from the specification's table of bits."""
    largest = max(vendors, default=0)
    bits = f"{version:06b}" + "0" * 146
    bits += "".join("1" if k in purposes else "0" for k in range(1, 25))
    bits += "0" * (213 - len(bits)) + f"{largest:016b}" + ("1" if ranged else "0")
    if ranged:
        bits += f"{len(vendors):012b}"
        bits += "".join("1" + f"{v:016b}{v:016b}" for v in sorted(vendors))
    else:
        bits += "".join("1" if k in vendors else "0" for k in range(1, largest + 1))
    bits += "0" * (-len(bits) % 8) + "0" * 24
    data = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        ({}, None),
        ({"regs": {"coppa": 0, "gdpr": 0}}, None),
        ({"regs": {"coppa": 1}}, "coppa"),
        ({"regs": {"coppa": "yes"}}, "coppa"),
        ({"device": {"lmt": 1}}, "lmt"),
        ({"device": {"dnt": 1}}, "lmt"),
        ({"regs": {"gdpr": 1}}, "gdpr"),
        ({"regs": {"ext": {"gdpr": 1}}}, "gdpr"),
        ({"regs": {"gdpr": 1}, "user": {"consent": "not one"}}, "gdpr"),
        ({"regs": {"gdpr": 1}, "user": {"consent": tc_string({1})}}, "gdpr"),
        ({"regs": {"gdpr": 1}, "user": {"consent": tc_string({1, 2})}}, None),
        ({"regs": {"gdpr": 1}, "user": {"ext": {"consent": tc_string({1, 2})}}}, None),
        ({"regs": {"us_privacy": "1YNN"}}, None),
        ({"regs": {"us_privacy": "1YYN"}}, "us_privacy"),
        ({"regs": {"us_privacy": "1---"}}, None),
        ({"regs": {"us_privacy": "?"}}, "us_privacy"),
        ({"regs": {"gpp_sid": [-1]}}, None),
        ({"regs": {"gpp_sid": [7]}}, "gpp"),
        ({"regs": {"gpp_sid": "7"}}, "gpp"),
    ],
)
def test_signals_are_kept(signals: dict[str, Any], reason: str | None) -> None:
    assert refused(asked(**signals), ALLOWED) == reason


def test_an_owner_may_permit_more_and_less() -> None:
    assert refused(asked(regs={"coppa": 1}), Permission(coppa=True)) is None
    assert refused(asked(device={"lmt": 1}), Permission(lmt=True)) is None
    assert refused(asked(regs={"us_privacy": "1YYN"}), Permission(us_opt_out=True)) is None
    assert refused(asked(regs={"gpp_sid": [7]}), Permission(gpp_sections=(-1, 7))) is None
    everything = asked(regs={"gdpr": 1}, user={"consent": tc_string(set(range(1, 25)))})
    assert refused(everything, Permission(gdpr=False)) == "gdpr"
    with pytest.raises(ValueError, match="from 1 to 24"):
        Permission(gdpr_purposes=(25,))


@pytest.mark.parametrize("ranged", [False, True])
def test_a_vendor_of_ones_own_is_asked_for_in_both_codings(ranged: bool) -> None:
    text = tc_string({1, 2}, frozenset({3, 755}), ranged=ranged)
    assert consented(text, (1, 2), 755)
    assert consented(text, (1, 2), 3)
    assert not consented(text, (1, 2), 4)
    assert not consented(text, (1, 2), 756)
    assert not consented(text, (1, 2, 3), 755)


@pytest.mark.parametrize(
    "text", ["", "A", "!!!!", "AAAA", tc_string({1, 2}, version=1), "C" * 9999]
)
def test_texts_that_are_no_consent_permit_nothing(text: str) -> None:
    assert not consented(text, (1, 2), None)
