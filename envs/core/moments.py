"""When simulated decisions fall: what limits on hours and days are priced on."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from envs.core.world import Array

MICROSECONDS_PER_DAY = 86_400_000_000
_HOURS = 24.0
_THURSDAY = 3
"""The weekday of 1970-01-01; 0 is Monday."""


class Moments(NamedTuple):
    """When decisions fall, each `[n]`; None where a world does not know.

    `weekday` 0 is Monday; `week` of the year is 0 to 51, the last with the rest; `hour` is 0 to
    below 24, by the log's own clock.
    """

    weekday: Array | None = None
    week: Array | None = None
    hour: Array | None = None


@runtime_checkable
class DatedWorld(Protocol):
    """A world that knows when its decisions fall."""

    def moments(self, state: Any) -> Moments:
        """When each copy's next decision falls."""


def moments_of(time: NDArray[np.int64]) -> Moments:
    """The moments of times in microseconds since 1970, `[n]`."""
    day, within = np.divmod(time, MICROSECONDS_PER_DAY)
    dates = day.astype("datetime64[D]")
    of_year = (dates - dates.astype("datetime64[Y]")).astype(np.int64)
    return Moments(
        weekday=(day + _THURSDAY) % 7,
        week=np.minimum(of_year // 7, 51),
        hour=within * (_HOURS / MICROSECONDS_PER_DAY),
    )
