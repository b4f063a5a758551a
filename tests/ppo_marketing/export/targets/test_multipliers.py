"""Multipliers within each platform's range, refused or moved to its edge."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ppo_marketing.errors import UserError
from ppo_marketing.export.targets import Multipliers
from ppo_marketing.export.targets.multipliers import SHIPPED

ROW = {"entity": "Campaign 7", "dimension": "placement", "value": "top", "multiplier": 1.25}


def test_a_multiplier_is_written_as_percent_and_as_factor() -> None:
    target = Multipliers(platform="amazon_sponsored_products")
    draft = target.draft([ROW])
    assert target.files([ready.row for _, ready in draft.ready]) == {
        "multipliers-amazon_sponsored_products.csv": (
            b'"platform","entity","dimension","value","adjustment_percent","multiplier"\r\n'
            b'"amazon_sponsored_products","Campaign 7","placement","top",25,1.25\r\n'
        )
    }


def test_every_shipped_range_is_held_at_both_ends() -> None:
    for platform, dimensions in yaml.safe_load(SHIPPED.read_text()).items():
        target = Multipliers(platform=platform)
        for dimension, limits in dimensions.items():
            row = {**ROW, "dimension": dimension}
            for percent, good in (
                (limits["low"], True), (limits["high"], True), (limits["high"] + 1, False),
                (limits["low"] - 1, False), *((one, True) for one in limits.get("also", [])),
            ):  # fmt: skip
                if percent < -100:
                    continue
                draft = target.draft([{**row, "multiplier": 1 + percent / 100}])
                assert bool(draft.ready) == good, (platform, dimension, percent)


def test_what_is_outside_may_be_moved_to_the_edge_and_is_told() -> None:
    target = Multipliers(platform="amazon_sponsored_products", outside="nearest")
    draft = target.draft([{**ROW, "multiplier": 0.5}, {**ROW, "multiplier": 20}])
    assert [ready.row["adjustment_percent"] for _, ready in draft.ready] == [0, 900]
    assert "moved to the edge (2 rows)" in draft.warnings[0]


def test_unknown_platforms_dimensions_and_forms_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean google_ads"):
        Multipliers(platform="google_add")
    draft = Multipliers(platform="google_ads").draft([{**ROW, "dimension": "moon"}])
    assert "no such dimension" in draft.refused[0].reason
    with pytest.raises(UserError, match="choose refuse or nearest"):
        Multipliers(platform="google_ads", outside="clip")
    (tmp_path / "r.yaml").write_text("own: {device: {low: 0, step: 1}}\n")
    with pytest.raises(UserError, match=r"wrong: high"):
        Multipliers(platform="own", ranges=tmp_path / "r.yaml")
