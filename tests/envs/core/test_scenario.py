"""What-if knobs beyond what a calibrated market can be asked about are refused, all at once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from envs.core.scenario import refuse_extremes


@dataclass(frozen=True)
class _Knobs:
    price: float = 1.0
    traffic: float = 1.0


@pytest.mark.parametrize("value", [0.1, 1.0, 10.0])
def test_factors_within_a_tenfold_change_pass(value: float) -> None:
    refuse_extremes(_Knobs(price=value))


def test_every_factor_outside_is_named() -> None:
    with pytest.raises(ValueError, match=r"price is 0\.0: .*; traffic is 11: .*\[0\.1, 10\]"):
        refuse_extremes(_Knobs(price=0.0, traffic=11))


def test_a_factor_that_may_vanish_may_be_zero_but_not_negative() -> None:
    refuse_extremes(_Knobs(price=0.0), may_vanish=("price",))
    with pytest.raises(ValueError, match="price is -1"):
        refuse_extremes(_Knobs(price=-1), may_vanish=("price",))
