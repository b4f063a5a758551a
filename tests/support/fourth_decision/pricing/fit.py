"""Chances of buying by kind of customer and price, counted; five bootstrap members."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.calibration_folder import CalibrationError, read_calibration, write_calibration
from envs.core.fidelity import Check, FidelityReport, count_ratio_bounds
from envs.core.log import LogTable

from .world import PRICES, PricingSettings, PricingWorld, draw_world

FORM = 1
MEMBERS = 5


@dataclass(frozen=True, kw_only=True)
class PricingCalibration:
    """`earlier` and `later` are chances `[K, 2, prices]` of the two parts of the log."""

    earlier: NDArray[np.float64]
    later: NDArray[np.float64]
    fidelity: FidelityReport
    data_sha256: str
    judged_from: date
    notes: tuple[str, ...] = ()

    def training_world(
        self, episodes: int, settings: PricingSettings, rng: Generator
    ) -> PricingWorld:
        """Simulated days of the earlier part."""
        return draw_world(self.earlier, episodes, settings, rng)

    def judging_world(
        self, episodes: int, settings: PricingSettings, rng: Generator
    ) -> PricingWorld:
        """Simulated days of the later part."""
        return draw_world(self.later, episodes, settings, rng)

    def history_world(self, settings: PricingSettings) -> PricingWorld:
        """Days as they were in the earlier part."""
        return draw_world(self.earlier, 28, settings, np.random.default_rng(0))

    def heldout_world(self, settings: PricingSettings) -> None:
        """What other prices would have sold was not logged."""

    def heldout_decisions(self, settings: PricingSettings) -> None:
        """Nothing is known of how prices were chosen."""

    def member_worlds(
        self, episodes: int, settings: PricingSettings, rng: Generator
    ) -> tuple[PricingWorld, ...]:
        """Simulated days of each member."""
        members = range(len(self.earlier))
        return tuple(draw_world(self.earlier[k : k + 1], episodes, settings, rng) for k in members)

    def save(self, folder: Path) -> None:
        """Write everything to `folder`."""
        write_calibration(
            folder,
            FORM,
            {"chances": {"earlier": self.earlier, "later": self.later}},
            {
                "fidelity": self.fidelity.as_dict(),
                "data_sha256": self.data_sha256,
                "judged_from": self.judged_from.isoformat(),
            },
        )

    @classmethod
    def load(cls, folder: Path) -> PricingCalibration:
        """What `save` wrote."""
        parts, record = read_calibration(folder, FORM)
        return cls(
            earlier=parts["chances"]["earlier"],
            later=parts["chances"]["later"],
            fidelity=FidelityReport.from_dict(record["fidelity"]),
            data_sha256=record["data_sha256"],
            judged_from=date.fromisoformat(record["judged_from"]),
        )


def fit(log: LogTable, settings: PricingSettings, rng: Generator) -> PricingCalibration:
    """Count, and compare the later third's orders with what the earlier part foretells."""
    days = log.days()
    if len(days) < 3:
        raise CalibrationError(f"the log has {len(days)} days: at least 3 are needed")
    split = days[-(len(days) // 3)]
    columns = ["timestamp", "regular", "price", "bought"]
    batches = list(log.batches(columns))
    moment, regular, price, bought = (
        np.concatenate([batch[name] for batch in batches]) for name in columns
    )
    index = np.searchsorted(PRICES, price)
    if not np.isin(price, PRICES).all():
        raise CalibrationError(f"prices must be among {PRICES.tolist()}")
    before = moment < np.datetime64(split)
    cell = regular.astype(int) * len(PRICES) + index
    earlier, later = (
        _members(cell[rows], bought[rows].astype(bool), rng) for rows in (before, ~before)
    )
    expected = float(earlier.mean(axis=0).ravel()[cell[~before]].sum())
    low, high = count_ratio_bounds(expected, 0.05, 0.01)
    check = Check(
        name="orders",
        value=float(bought[~before].sum()) / expected,
        low=low,
        high=high,
        n=int((~before).sum()),
        unit="offers",
        meaning="Observed over predicted orders of the held-out days.",
    )
    return PricingCalibration(
        earlier=earlier,
        later=later,
        fidelity=FidelityReport(checks=(check,)),
        data_sha256=log.sha256,
        judged_from=split,
    )


def _members(
    cell: NDArray[np.int64], bought: NDArray[np.bool_], rng: Generator
) -> NDArray[np.float64]:
    members = []
    for _ in range(MEMBERS):
        rows = rng.integers(0, len(cell), len(cell))
        offers = np.bincount(cell[rows], minlength=2 * len(PRICES))
        orders = np.bincount(cell[rows], bought[rows], 2 * len(PRICES))
        members.append(((orders + 1) / (offers + 2)).reshape(2, len(PRICES)))
    return np.array(members)
