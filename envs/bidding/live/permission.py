"""Whether a request may be bid on: children, tracking, GDPR, US privacy, GPP.

Signals are read where OpenRTB 2.6 has them, and in `ext`, where older exchanges put them. What
cannot be read permits nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envs.bidding.live.request import BidRequest

_PURPOSES_AT, _VENDORS_AT = 152, 213
"""Bits of a TCF 2 core string: 24 purposes with consent; the largest vendor id, then vendors."""


@dataclass(frozen=True, kw_only=True)
class Permission:
    """What is bid on; by default only what needs no further permission than is signalled.

    `gdpr_purposes` and `gdpr_vendor` must be consented to where GDPR applies; without a vendor id
    of one's own the purposes alone are asked. `gpp_sections` are the sections of GPP that are
    allowed to apply (-1: none applies).
    """

    coppa: bool = False
    lmt: bool = False
    gdpr: bool = True
    gdpr_purposes: tuple[int, ...] = (1, 2)
    gdpr_vendor: int | None = None
    us_opt_out: bool = False
    gpp_sections: tuple[int, ...] = (-1,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gdpr_purposes", tuple(self.gdpr_purposes))
        object.__setattr__(self, "gpp_sections", tuple(self.gpp_sections))
        if not all(1 <= one <= 24 for one in self.gdpr_purposes):
            raise ValueError("permission.gdpr_purposes must be numbers from 1 to 24")


def refused(request: BidRequest, allowed: Permission) -> str | None:
    """Why the request may not be bid on; None where it may."""
    regs, device = request.regs, request.device
    if _set(regs.get("coppa")) and not allowed.coppa:
        return "coppa"
    if (_set(device.get("lmt")) or _set(device.get("dnt"))) and not allowed.lmt:
        return "lmt"
    if _set(_either(regs, "gdpr")) and not _consents(request, allowed):
        return "gdpr"
    privacy = _either(regs, "us_privacy")
    if privacy is not None and not allowed.us_opt_out and not _may_sell(privacy):
        return "us_privacy"
    sections = regs.get("gpp_sid")
    if sections is not None and not _within(sections, allowed.gpp_sections):
        return "gpp"
    return None


def _consents(request: BidRequest, allowed: Permission) -> bool:
    if not allowed.gdpr:
        return False
    text = _either(request.user, "consent")
    return isinstance(text, str) and consented(text, allowed.gdpr_purposes, allowed.gdpr_vendor)


def consented(text: str, purposes: tuple[int, ...], vendor: int | None) -> bool:
    """Whether a TCF 2 string consents to all purposes, and to the vendor where one is given.

    Source: IAB Europe, Transparency and Consent String v2, core segment.
    """
    core = text.partition(".")[0][:4096]
    try:
        data = base64.b64decode(core + "=" * (-len(core) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    bits = "".join(f"{byte:08b}" for byte in data)
    if len(bits) <= _VENDORS_AT + 17 or int(bits[:6], 2) != 2:
        return False
    if not all(bits[_PURPOSES_AT + one - 1] == "1" for one in purposes):
        return False
    return vendor is None or _has(bits, vendor)


def _has(bits: str, vendor: int) -> bool:
    """Whether a core segment consents to a vendor, by its bit field or its ranges."""
    at = _VENDORS_AT + 17
    if not 1 <= vendor <= _number(bits, _VENDORS_AT, 16):
        return False
    if bits[at - 1] == "0":
        return bits[at + vendor - 1 : at + vendor] == "1"
    entries, at = _number(bits, at, 12), at + 12
    for _ in range(entries):
        is_range, first = bits[at : at + 1] == "1", _number(bits, at + 1, 16)
        if first <= vendor <= (_number(bits, at + 17, 16) if is_range else first):
            return True
        at += 33 if is_range else 17
    return False


def _number(bits: str, at: int, width: int) -> int:
    return int(bits[at : at + width] or "0", 2)


def _either(where: Mapping[str, Any], name: str) -> Any:
    """The signal, or the same in `ext`."""
    if where.get(name) is not None:
        return where[name]
    ext = where.get("ext")
    return ext.get(name) if isinstance(ext, dict) else None


def _set(signal: Any) -> bool:
    """Whether a flag is set; what cannot be read is."""
    return signal is not None and (isinstance(signal, bool) or signal != 0)


def _may_sell(privacy: Any) -> bool:
    """Whether a US privacy string, such as 1YNN, leaves the sale open."""
    if not isinstance(privacy, str) or len(privacy) != 4 or privacy[0] != "1":
        return False
    return privacy[2] in "Nn" or privacy[1:] == "---"


def _within(sections: Any, allowed: tuple[int, ...]) -> bool:
    return isinstance(sections, list) and all(
        isinstance(one, int) and one in allowed for one in sections
    )
