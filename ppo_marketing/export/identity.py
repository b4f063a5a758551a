"""People's identifiers: e-mail addresses and numbers as platforms expect them, hashed when asked.

A hash is no anonymity: it is made only where a platform requires it, and only of what it matches by
(e-mail, phone), never of country or post code.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

HashRules = Literal["google_customer_match", "cm360", "tiktok"]
"""How an address is put in order before it is hashed: all trim and lower it; CM360 also drops the
dots of Gmail's names, TikTok what follows a plus."""

_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\".]{2,}")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_GMAIL = ("gmail.com", "googlemail.com")


def is_email(address: str) -> bool:
    """Whether it has the form of one address."""
    return len(address) <= 254 and _EMAIL.fullmatch(address) is not None


def is_e164(phone: str) -> bool:
    """Whether a number is written as +491701234567: country code, digits only, at most 15."""
    return _E164.fullmatch(phone) is not None


def ordered_email(address: str, rules: HashRules) -> str:
    """The address as a platform hashes it."""
    name, _, domain = address.strip().lower().rpartition("@")
    if rules == "cm360" and domain in _GMAIL:
        name = name.replace(".", "")
    if rules == "tiktok":
        name = name.partition("+")[0]
    return f"{name}@{domain}"


def hashed(identifier: str) -> str:
    """SHA-256 in lower-case hexadecimal digits."""
    return hashlib.sha256(identifier.encode()).hexdigest()
