"""Dealing by hash: the same everywhere, even, and independent of other experiments."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

from ppo_marketing.errors import UserError
from ppo_marketing.experiment.assignment import assigned, hashed, thresholds

EVEN = {"champion": 0.5, "challenger": 0.5}
IDS = [f"customer-{i}" for i in range(40_000)]


def test_the_bits_are_those_of_the_page() -> None:
    # printf 'spring:customer-1' | sha256sum begins with b7af7c8d40b8711d; shifted by 11 bits.
    assert hashed("spring", ["customer-1"])[0] == 0xB7AF7C8D40B8711D >> 11 == 6462858777335566
    for unit in ("customer-1", "0042", "Zoë", ""):
        digits = hashlib.sha256(f"spring:{unit}".encode()).hexdigest()[:16]
        assert hashed("spring", [unit])[0] == int(digits, 16) >> 11


def test_a_unit_keeps_its_arm_whoever_else_is_there() -> None:
    dealt = assigned("spring", IDS[:500], EVEN)
    again = assigned("spring", IDS[499::-1], EVEN)[::-1]
    np.testing.assert_array_equal(dealt, again)
    assert assigned("spring", [IDS[7]], EVEN)[0] == dealt[7]


def test_numbers_are_even_over_their_whole_range() -> None:
    k = hashed("spring", IDS)
    assert k.min() >= 0
    assert k.max() < 2**53
    counts = np.bincount(k >> 47, minlength=64)
    assert chisquare(counts).pvalue > 0.001
    lowest = np.bincount(k & 63, minlength=64)  # the last bits too
    assert chisquare(lowest).pvalue > 0.001


@pytest.mark.parametrize("other", ["autumn", "spring2", "Spring", "sprin"])
def test_another_salt_deals_independently(other: str) -> None:
    three = {"a": 0.2, "b": 0.3, "c": 0.5}
    first, second = assigned("spring", IDS, three), assigned(other, IDS, three)
    table = [[((first == x) & (second == y)).sum() for y in three] for x in three]
    assert chi2_contingency(np.array(table)).pvalue > 0.001
    assert (first != second).mean() == pytest.approx(1 - (0.04 + 0.09 + 0.25), abs=0.015)


def test_arms_have_the_shares_that_were_asked() -> None:
    dealt = assigned("holdout", IDS, {"champion": 0.9, "challenger": 0.1})
    counts = [(dealt == name).sum() for name in ("champion", "challenger")]
    assert chisquare(counts, [36_000, 4_000]).pvalue > 0.001


def test_a_growing_challenger_keeps_whom_it_has() -> None:
    small = assigned("ramp", IDS, {"champion": 0.9, "challenger": 0.1})
    large = assigned("ramp", IDS, {"champion": 0.6, "challenger": 0.4})
    assert (large[small == "challenger"] == "challenger").all()


def test_thresholds_part_the_range_exactly() -> None:
    assert thresholds(EVEN).tolist() == [2**52]
    assert thresholds({"a": 0.25, "b": 0.5, "c": 0.25}).tolist() == [2**51, 3 * 2**51]
    tenths = thresholds({str(i): 0.1 for i in range(10)})
    assert np.diff(tenths).tolist() == pytest.approx([2**53 / 10] * 8, abs=2)


@pytest.mark.parametrize(
    "shares", [{"a": 1.0}, {"a": 0.5, "b": 0.6}, {"a": 1.0, "b": 0.0}, {"a": 1.5, "b": -0.5}]
)
def test_shares_that_are_no_parts_of_a_whole_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(UserError, match="two arms or more"):
        assigned("spring", ["x"], shares)


@pytest.mark.parametrize("salt", ["", "a:b"])
def test_a_salt_that_could_be_misread_is_refused(salt: str) -> None:
    with pytest.raises(UserError, match="no colon"):
        hashed(salt, ["x"])
