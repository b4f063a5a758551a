"""A generic table of bid multipliers, held to each platform's range (`multipliers.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ppo_marketing.errors import UserError, meant
from ppo_marketing.export.cells import Mode, csv_bytes
from ppo_marketing.export.money import exact, percent
from ppo_marketing.export.target import Draft, Ready, Row, Unfit, drafted, factor, text

SHIPPED = Path(__file__).with_name("multipliers.yaml")


@dataclass(frozen=True, kw_only=True)
class Multipliers:
    """Rows of entity, dimension, value and multiplier for one `platform`.

    `columns` maps entity, dimension, value, multiplier to the columns of the rows. `outside` says
    what becomes of an adjustment beyond the platform's range: refused, or its nearest edge, told.
    `ranges` is a file like the one that ships, for platforms that it does not have.

    Raises:
        UserError: the platform is not in the file, or the file is not of that form.
    """

    platform: str
    columns: Mapping[str, str] = field(default_factory=dict)
    outside: str = "refuse"
    ranges: Path = SHIPPED

    name = "multipliers"
    key = ("platform", "entity", "dimension", "value")
    mode: Mode = "machine"
    personal = False

    def __post_init__(self) -> None:
        if self.outside not in ("refuse", "nearest"):
            raise UserError(f"outside is {self.outside!r}: choose refuse or nearest")
        _ = self._limits

    @cached_property
    def _limits(self) -> Mapping[str, Mapping[str, Any]]:
        try:
            known = yaml.safe_load(self.ranges.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(f"the ranges {self.ranges} cannot be read: {error}") from error
        if self.platform not in known:
            raise UserError(f"platform is {self.platform!r}; {meant(self.platform, known)}")
        for dimension, limits in known[self.platform].items():
            wrong = {"low", "high", "step"} ^ (set(limits) - {"also"})
            if wrong:
                raise UserError(
                    f"{self.ranges}: {self.platform}.{dimension} needs low, high and step (and may "
                    f"have also); wrong: {', '.join(sorted(wrong))}"
                )
        limits_of: Mapping[str, Mapping[str, Any]] = known[self.platform]
        return limits_of

    def draft(self, given: Sequence[Row]) -> Draft:
        """Each multiplier as an adjustment in percent."""
        return drafted(given, self._ready)

    def files(self, rows: Sequence[Row]) -> dict[str, bytes]:
        """One CSV, UTF-8."""
        columns = (*self.key, "adjustment_percent", "multiplier")
        return {f"multipliers-{self.platform}.csv": csv_bytes(columns, rows, mode=self.mode)}

    def _ready(self, row: Row) -> Ready:
        dimension = text(row, self.columns, "dimension")
        limits = self._limits.get(dimension, self._limits.get("any"))
        if limits is None:
            raise Unfit(f"{self.platform} has no such dimension: {', '.join(self._limits)}")
        low, high, step = (exact(limits[name], name) for name in ("low", "high", "step"))
        change = percent(factor(row, self.columns), step)
        warnings: tuple[str, ...] = ()
        if not low <= change <= high and change not in [Decimal(v) for v in limits.get("also", [])]:
            said = f"{dimension} adjustments of {self.platform} are {low} to {high} percent"
            if self.outside == "refuse":
                raise Unfit(said)
            change, warnings = min(max(change, low), high), (f"{said}: moved to the edge",)
        multiplier = 1 + change / 100
        made = {
            "platform": self.platform,
            "entity": text(row, self.columns, "entity"),
            "dimension": dimension,
            "value": text(row, self.columns, "value"),
            "adjustment_percent": change,
            "multiplier": multiplier,
        }
        return Ready(made, {"multiplier": multiplier}, warnings=warnings)
