"""Who gets what: a unit's arm is a pure function of the experiment's salt and the unit's id.

| step | bits |
|---|---|
| digest | SHA-256 of the UTF-8 bytes of `salt:unit_id` |
| number | its first 8 bytes, big-endian, shifted right by 11: a whole number k below 2⁵³ |
| arm | the first whose threshold exceeds k; thresholds are the shares summed up, times 2⁵³ |

A salt holds no colon, so that no two pairs give the same text. Any system can repeat this; with
shares that are sums of powers of two no rounding is left. Another salt deals anew, so that two
experiments with salts of their own are independent of each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.errors import UserError

BITS = 53
"""What a float holds exactly, so that systems without 64-bit integers can repeat it."""


def hashed(salt: str, unit_ids: Iterable[str]) -> NDArray[np.int64]:
    """k of every unit, `[n]`, uniform on 0, ..., 2⁵³ - 1.

    Raises:
        UserError: the salt is empty or holds a colon.
    """
    if not salt or ":" in salt:
        raise UserError(f"the salt {salt!r} cannot be used: give the experiment's name, no colon")
    start = hashlib.sha256(f"{salt}:".encode())
    numbers = []
    for unit in unit_ids:
        digest = start.copy()
        digest.update(unit.encode())
        numbers.append(int.from_bytes(digest.digest()[:8], "big") >> (64 - BITS))
    return np.array(numbers, np.int64)


def assigned(salt: str, unit_ids: Iterable[str], shares: Mapping[str, float]) -> NDArray[np.str_]:
    """The arm of every unit, `[n]`; `shares` are the arms' parts in order, summing to 1.

    Raises:
        UserError: as `hashed`, or the shares are no parts of a whole.
    """
    arms = np.array(list(shares))
    return np.asarray(arms[np.searchsorted(thresholds(shares), hashed(salt, unit_ids), "right")])


def thresholds(shares: Mapping[str, float]) -> NDArray[np.int64]:
    """Where each arm but the last ends, in units of k.

    Raises:
        UserError: fewer than two arms, or shares that are not positive or do not sum to 1.
    """
    sums = list(accumulate(shares.values()))
    if len(shares) < 2 or min(shares.values()) <= 0 or abs(sums[-1] - 1.0) > 1e-9:
        raise UserError(
            f"the shares {dict(shares)} cannot be dealt: two arms or more, each above 0, that sum "
            "to 1"
        )
    return np.array([round(total * 2**BITS) for total in sums[:-1]], np.int64)
