"""Holdout: the same units in every process, as many as asked, independent between salts."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ppo_marketing.guardrails import held_out

UNITS = [f"customer-{number}" for number in range(20_000)]


def test_it_is_the_hash_of_salt_and_id() -> None:
    digest = hashlib.sha256(b"spring\x00customer-1").hexdigest()
    place = int(digest[:16], 16) / 2**64
    assert held_out(["customer-1"], np.nextafter(place, 1), "spring").tolist() == [True]
    assert held_out(["customer-1"], np.nextafter(place, 0), "spring").tolist() == [False]


def test_another_process_holds_out_the_same_units() -> None:
    program = (
        "from ppo_marketing.guardrails import held_out;"
        "print(held_out([f'customer-{n}' for n in range(500)], .2, 'spring').nonzero()[0].tolist())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert said == {f"{held_out(UNITS[:500], 0.2, 'spring').nonzero()[0].tolist()}\n"}


def test_the_share_is_as_asked_and_two_experiments_are_independent() -> None:
    one, other = held_out(UNITS, 0.1, "one"), held_out(UNITS, 0.1, "two")
    for rows in (one, other):
        assert stats.binomtest(int(rows.sum()), len(UNITS), 0.1).pvalue > 0.001
    assert stats.binomtest(int((one & other).sum()), len(UNITS), 0.01).pvalue > 0.001


def test_a_larger_share_keeps_everybody_held_out_who_was() -> None:
    few, more = held_out(UNITS, 0.05, "s"), held_out(UNITS, 0.2, "s")
    assert (more | ~few).all()
    assert not held_out(UNITS, 0.0, "s").any()
    assert held_out(UNITS, 1.0, "s").all()


@given(st.text(), st.floats(0, 1))
def test_any_text_is_an_id_and_no_id_is_never_held_out(unit: str, share: float) -> None:
    rows = held_out([unit, None], share, "s")
    assert rows.dtype == np.bool_
    assert not rows[1]
