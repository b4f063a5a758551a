"""The GSM 03.38 alphabet: what a text message is counted in."""

from __future__ import annotations

import string

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà"
    + string.digits
    + string.ascii_letters
)
"""The default alphabet without its escape: 127 characters of one septet each."""
EXTENSION = frozenset("\f^{}\\[~]|€")
"""Each is the escape and a second septet, so it counts twice."""


def septets(text: str) -> int:
    """Return how many GSM characters a text counts, of the 160 of one message.

    Source: 3GPP TS 23.038 (formerly GSM 03.38), sections 6.2.1 and 6.2.1.1.

    Raises:
        ValueError: a character is not in the alphabet; ask `foreign` first.
    """
    if foreign(text):
        raise ValueError(f"not in GSM 03.38: {''.join(foreign(text))}")
    return sum(2 if letter in EXTENSION else 1 for letter in text)


def foreign(text: str) -> tuple[str, ...]:
    """Return the characters that GSM 03.38 does not have, each once, in order."""
    return tuple(dict.fromkeys(c for c in text if c not in BASIC and c not in EXTENSION))
