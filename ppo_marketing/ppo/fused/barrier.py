"""A meeting point for threads inside compiled code: a minibatch is too short for the system's."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ppo_marketing.ppo.fused.compiled import Ints, njit

ARRIVED, MEETING, BROKEN = 0, 8, 16  # a cache line apart
SPINS = 4_000
"""Looks at the number of the meeting, some ten microseconds, before the core is offered to others:
beside a busy neighbour a thread that only spins keeps away the very thread it waits for."""

_sched_yield = types.ExternalFunction("sched_yield", types.int32())


def new_barrier() -> Ints:
    """Return a barrier: who has arrived, how often all have met, and whether it is broken."""
    return np.zeros(24, np.int64)


def break_barrier(barrier: Ints) -> None:
    """Let everyone through who waits or will: one of the threads is not coming."""
    barrier[BROKEN] = 1


@intrinsic
def _fetch_add(typing: Any, address: Any, amount: Any) -> Any:
    """Add to an int64 in memory as one act and return what it was."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", pointer, arguments[1], "seq_cst")

    return types.int64(types.uintp, types.int64), generate


@intrinsic
def _load(typing: Any, address: Any) -> Any:
    """Read an int64, and with it all that was written before it was."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(types.uintp), generate


@njit
def meet(barrier: Ints, threads: int) -> bool:
    """Wait until `threads` have come here; return False where the barrier is broken.

    What any of them wrote before is seen by all of them after.
    """
    if threads == 1:
        return True
    first = barrier.ctypes.data
    arrived, meeting, broken = first + 8 * ARRIVED, first + 8 * MEETING, first + 8 * BROKEN
    now = _load(meeting)
    if _fetch_add(arrived, 1) == threads - 1:
        _fetch_add(arrived, -threads)
        _fetch_add(meeting, 1)
        return bool(_load(broken) == 0)
    spins = 0
    while _load(meeting) == now:
        if _load(broken) != 0:
            return False
        spins += 1
        if spins > SPINS:
            _sched_yield()
    return True
