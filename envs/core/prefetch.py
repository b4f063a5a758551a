"""Asking for memory before compiled code reads it, where waiting for memory is most of the work."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

CACHE_LINE = 64  # bytes


@intrinsic
def _prefetch(typing: Any, address: Any) -> Any:
    """Ask for the cache line that holds `address`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        to_read, to_keep, data = number(0), number(3), number(1)
        builder.call(fetch, [builder.inttoptr(arguments[0], byte), to_read, to_keep, data])
        return context.get_dummy_value()

    return types.void(types.uintp), generate


@numba.njit(cache=True, error_model="numpy", _nrt=False)
def prefetch_around(address: int, lines: int) -> None:
    """Ask for the cache line that holds `address` and for so many `lines` on either side.

    It is a hint: nothing is read or waited for, and an address where there is nothing is allowed.

    Source: the LLVM language reference, `llvm.prefetch`.
    """
    for line in range(-lines, lines + 1):
        _prefetch(address + CACHE_LINE * line)
