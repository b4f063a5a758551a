from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ppo_marketing.ppo.fused import compiled


@compiled.njit
def _tanh_of(x: Any, out: Any) -> None:
    for i in range(len(x)):
        out[i] = compiled.tanh(x[i])


def test_tanh_is_within_three_units_of_the_last_place() -> None:
    x = np.concatenate([np.linspace(-12, 12, 100_001), [1e-30, -1e-9]]).astype(np.float32)
    x = x[x != 0]
    out = np.empty_like(x)
    _tanh_of(x, out)
    np.testing.assert_allclose(out, np.tanh(x.astype(np.float64)), rtol=3e-7)
    assert np.abs(out).max() <= 1.0


def test_tanh_keeps_what_is_not_a_number() -> None:
    """It must reach the test for divergence."""
    out = np.zeros(1, np.float32)
    _tanh_of(np.array([np.nan], np.float32), out)
    assert np.isnan(out[0])


def _double(x: float) -> float:
    return 2.0 * x


def test_what_was_compiled_from_other_sources_is_compiled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hits(function: Callable[[float], float]) -> int:
        dispatcher: Any = compiled.njit(function)
        assert dispatcher(2.0) == 4.0
        return sum(dispatcher.stats.cache_hits.values())

    hits(_double)
    assert hits(_double) == 1
    monkeypatch.setattr(compiled, "SOURCES", "of another version")
    assert hits(_double) == 0


def test_importing_compiles_nothing() -> None:
    script = (
        "from numba.core import event\n"
        "with event.install_recorder('numba:compile') as seen:\n"
        "    import ppo_marketing.ppo.update\n"
        "print(len(seen.buffer))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "0"
