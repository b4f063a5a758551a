"""Comparisons read back: equal to what was written, gaps too; what is broken is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.jobs.kept_comparisons import (
    FILE,
    comparisons_folder,
    comparisons_of,
    kept_comparison,
)
from tests.support.comparisons import keep, ppo_and_a2c


def test_a_comparison_is_read_back_as_it_was_with_its_gaps(tmp_path: Path) -> None:
    written = ppo_and_a2c()
    read = kept_comparison(keep(tmp_path, "bidding", "first", written))
    assert read.to_dict() == written.to_dict()
    assert read.evidence == written.evidence
    curve = read.named("ppo").curve
    assert curve is not None
    assert [share == share for share in curve.value] == [False, False, True, True]


def test_those_of_a_decision_are_listed_the_newest_first_and_the_unfinished_are_not(
    tmp_path: Path,
) -> None:
    assert comparisons_of(tmp_path, "bidding") == ()
    for age, name in enumerate(("new", "old")):
        file = keep(tmp_path, "bidding", name, ppo_and_a2c()) / FILE
        os.utime(file, (1_000_000 - age, 1_000_000 - age))
    keep(tmp_path, "another", "elsewhere", ppo_and_a2c())
    (comparisons_folder(tmp_path) / "unfinished").mkdir()
    (comparisons_folder(tmp_path) / "damaged").mkdir()
    (comparisons_folder(tmp_path) / "damaged" / FILE).write_text("{")
    assert [one.name for one in comparisons_of(tmp_path, "bidding")] == ["new", "old"]


def test_another_result_has_another_hash(tmp_path: Path) -> None:
    keep(tmp_path, "bidding", "a", ppo_and_a2c(0.9))
    keep(tmp_path, "bidding", "b", ppo_and_a2c(0.8))
    one, other = comparisons_of(tmp_path, "bidding")
    assert one.sha256 != other.sha256


def test_what_is_no_comparison_is_refused_and_what_is_missing_too(tmp_path: Path) -> None:
    folder = keep(tmp_path, "bidding", "first", ppo_and_a2c())
    text = (folder / FILE).read_text()
    (folder / FILE).write_text(text.replace('"cpu_seconds"', '"cpu_hours"'))
    with pytest.raises(IntegrityError, match="compare again"):
        kept_comparison(folder)
    with pytest.raises(UserError):
        kept_comparison(tmp_path)
