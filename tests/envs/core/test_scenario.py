"""What-if knobs beyond what a calibrated market can be asked about are refused, all at once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from envs.core.scenario import knob, knobs_of, refuse_extremes


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


@dataclass(frozen=True)
class _Described:
    taste: float = knob("Taste", "how far people differ", low=0.0)
    cap: float = knob("Cap", "the most", high=1.0)
    plain: float = 1.0


def test_a_factor_that_may_vanish_may_be_zero_but_not_negative() -> None:
    refuse_extremes(_Described(taste=0.0))
    with pytest.raises(ValueError, match=r"taste is -1: .*\[0, 10\]; cap is 2: .*\[0\.1, 1\]"):
        refuse_extremes(_Described(taste=-1, cap=2))


def test_a_factor_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="cap is nan"):
        refuse_extremes(_Described(cap=float("nan")))


def test_knobs_say_what_a_form_needs_and_undescribed_ones_are_plain_factors() -> None:
    knobs = knobs_of(_Described)
    assert (knobs["taste"].label, knobs["taste"].low, knobs["taste"].high) == ("Taste", 0.0, 10.0)
    assert (knobs["plain"].label, knobs["plain"].low, knobs["plain"].high) == ("Plain", 0.1, 10.0)
    assert _Described() == _Described(taste=1.0, cap=1.0, plain=1.0)
