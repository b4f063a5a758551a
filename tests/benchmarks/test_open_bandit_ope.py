"""What the Open Bandit logs say of each other, and what they refuse to say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.open_bandit_ope import Log, judged, markdown, mean_policy, read


def test_the_mean_policy_is_the_share_of_every_item_at_its_position() -> None:
    item, position = np.array([0, 1, 1, 2]), np.array([0, 0, 0, 1])
    log = Log(item, position, np.zeros(4), np.full(4, 0.5), np.zeros(4, np.int64))
    assert mean_policy(log, 3) == pytest.approx(np.array([[1 / 3, 2 / 3, 0.0], [0.0, 0.0, 1.0]]))


def test_random_speaks_of_thompson_sampling_and_not_the_other_way_round(shared_data: Path) -> None:
    folder = shared_data / "open_bandit_small"
    if not folder.is_dir():
        pytest.skip(f"open_bandit_small is not in the folder of real logs ({shared_data})")
    random, thompson = (read(folder / name / "all" / "all.csv.gz") for name in ("random", "bts"))
    there = judged(random, mean_policy(thompson, 80))
    assert there.can_say
    for name in ("IPS", "SNIPS", "DR", "SNDR"):
        shown = there.row(name).bootstrap
        assert shown is not None
        assert shown.low < thompson.click.mean() < shown.high
    assert any("too few to promote" in warning for warning in there.warnings)
    back = judged(thompson, np.full((3, 80), 1 / 80))
    assert (back.diagnostics.unsupported or 0.0) > 0.5
    assert not back.can_say
    assert all(row.bootstrap is None and row.normal is None for row in back.estimates)
    page = markdown({"bts -> random, all": (back, float(random.click.mean()))})
    assert "refused: the log cannot say" in page
    assert "† " in page
