"""What is dealt can be downloaded, and says the same as the file that the command writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.experiment.assignment import assigned
from ppo_marketing.experiment.files import assignment_csv, read_units, write_assignment


def test_the_download_holds_the_same_arms_as_the_file(tmp_path: Path) -> None:
    ids = [f"c{n:03d}" for n in range(50)]
    arms = assigned("spring", ids, {"champion": 0.5, "challenger": 0.5})
    write_assignment(tmp_path / "file.csv", ids, arms)
    (tmp_path / "download.csv").write_bytes(assignment_csv(ids, arms))
    for column in ("unit_id", "arm"):
        both = [
            Path(tmp_path / name).read_text().splitlines() for name in ("file.csv", "download.csv")
        ]
        assert both[0] == both[1]
        assert column in both[0][0]
    assert read_units(tmp_path / "download.csv") == tuple(ids)


def test_an_id_with_control_characters_is_refused() -> None:
    with pytest.raises(UserError, match="1 of the ids holds control"):
        assignment_csv(["a", "b\x00"], ["champion", "challenger"])
