"""Asking for memory early changes nothing but time."""

from typing import Any

import numba
import numpy as np
import pytest

from envs.core.prefetch import CACHE_LINE, prefetch_around


@pytest.mark.parametrize("address", [0, 1, 2**47, 2**63 - 2 * CACHE_LINE])
def test_an_address_where_there_is_nothing_may_be_asked_for(address: int) -> None:
    assert prefetch_around(address, 3) is None


def test_what_is_asked_for_stays_as_it_was() -> None:
    numbers = np.arange(64.0)
    before = numbers.copy()
    for row in range(len(numbers)):
        prefetch_around(numbers.ctypes.data + 8 * row, 2)
    np.testing.assert_array_equal(numbers, before)


def test_the_compiler_keeps_the_request() -> None:
    """A hint has no result, so nothing else would show that it had been optimised away."""

    @numba.njit
    def ask(numbers: Any) -> None:
        prefetch_around(numbers.ctypes.data, 0)

    ask(np.zeros(8))
    (code,) = ask.inspect_llvm().values()
    assert "llvm.prefetch" in code
