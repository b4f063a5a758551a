"""Who is held out: a share of units by a salted hash, the same in every process, every day."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_STEPS = 2**64


def place_of(unit: str, salt: str) -> int:
    """The unit's place among 2^64, uniform over units: SHA-256 of salt, a zero byte and the id."""
    text = f"{salt}\0{unit}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def held_out(units: Sequence[str | None], share: float, salt: str) -> NDArray[np.bool_]:
    """Whether each unit is held out, `[n]`: place / 2^64 < share; one without an id is not.

    Raising the share keeps everybody held out who was.
    """
    numerator, denominator = share.as_integer_ratio() if isinstance(share, float) else (share, 1)
    limit = numerator * _STEPS
    return np.array(
        [unit is not None and place_of(unit, salt) * denominator < limit for unit in units],
        np.bool_,
    )
