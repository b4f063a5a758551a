"""Times for rows that have none, dealt so that every stretch of the file is in every day."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

START = np.datetime64("2024-01-01T00:00:00", "us")
"""A Monday; the log's notes say that the dates mean nothing."""

_DAY_MICROSECONDS = 86_400_000_000
_GOLDEN = (np.sqrt(5.0) - 1) / 2


def dealt_times(first: int, count: int, days: int) -> Any:
    """Timestamps of rows `first`.. as an Arrow array: START + days frac(row x golden ratio).

    Multiples of the golden ratio fill the unit interval evenly over any run of rows (Weyl 1916), so
    a file sorted by arm or by outcome is not split by it.
    """
    share = ((np.arange(first, first + count) + 0.5) * _GOLDEN) % 1.0
    offset = np.minimum(share * days * _DAY_MICROSECONDS, days * _DAY_MICROSECONDS - 1)
    return pa.array(START + offset.astype("timedelta64[us]"), pa.timestamp("us", "UTC"))
