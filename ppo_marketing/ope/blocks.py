"""Matrices of rows and actions worked off in blocks of rows, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator

CELLS_AT_ONCE = 4_000_000
"""Rows x actions of a block: 32 MB a matrix of double precision."""


def blocks(n: int, actions: int) -> Iterator[slice]:
    """Slices of rows that together are [0, n), each small enough for a few matrices in memory."""
    step = max(1, CELLS_AT_ONCE // max(actions, 1))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))
