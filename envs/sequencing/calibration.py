"""Calibrated customers: the tables of two parts, what was held out, and how far to trust them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.calibration_folder import read_calibration, write_calibration
from envs.core.fidelity import FidelityReport
from envs.core.logged import LoggedDecisions
from envs.sequencing.budgets import priced
from envs.sequencing.calibration_files import FORM, arrays_of, tables_from
from envs.sequencing.held_out import (
    HeldOut,
    arrays_of_rows,
    held_out_from,
    logged_decisions,
)
from envs.sequencing.identification import Grounds
from envs.sequencing.propensity import Support
from envs.sequencing.purchasing import BgNbd
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.tables import Menu, ResponseTables
from envs.sequencing.world import SequencingWorld

HISTORY_CUSTOMERS = 4000


@dataclass(frozen=True, kw_only=True)
class SequencingCalibration:
    """Response tables of the earlier and the later part, and the report that judges.

    `effects` says of every contact of the menu how what it does is known (identification.py);
    `propensities` whether the chances of decisions were logged or estimated. `logging_propensity`
    is the log's own policy, `[R, F, G, S, A]` (propensity.py). `responses` are the deliver, open
    and click heads (heads.py), `base` the BG/NBD rhythm, None where nobody bought twice.
    `decisions` are the later part's own rows, `seen [R, F, G, S, A]` counts those behind `earlier`.
    """

    menu: Menu
    earlier: ResponseTables
    later: ResponseTables
    fidelity: FidelityReport
    data_sha256: str
    notes: tuple[str, ...]
    judged_from: date
    logging_propensity: NDArray[np.float64]
    responses: NDArray[np.float64]
    effects: tuple[Grounds, ...]
    propensities: Literal["logged", "estimated"]
    verdict: str
    support: Support
    base: BgNbd | None
    decisions: HeldOut
    seen: NDArray[np.int64]

    def training_world(
        self, episodes: int, settings: SequencingSettings, rng: Generator
    ) -> SequencingWorld:
        """`episodes` customers simulated by the members of the earlier part, in turn."""
        return SequencingWorld.drawn(self.menu, self.earlier, episodes, self.priced(settings), rng)

    def judging_world(
        self, episodes: int, settings: SequencingSettings, rng: Generator
    ) -> SequencingWorld:
        """`episodes` customers simulated by the members of the later part, in turn."""
        return SequencingWorld.drawn(self.menu, self.later, episodes, self.priced(settings), rng)

    def priced(self, settings: SequencingSettings) -> SequencingSettings:
        """The settings with the prices of shared budgets, found on the earlier part's customers."""
        return priced(self.menu, self.earlier, settings)

    def history_world(self, settings: SequencingSettings) -> SequencingWorld:
        """Always the same customers of the earlier part: what rules are tuned on."""
        rng = np.random.default_rng(0)
        return self.training_world(HISTORY_CUSTOMERS, settings, rng)

    def heldout_world(self, settings: SequencingSettings) -> None:
        """None: what a customer would have done under other contacts was never logged."""

    def heldout_decisions(self, settings: SequencingSettings) -> LoggedDecisions:
        """The later part's customer-weeks as they were logged."""
        world = self.training_world(1, settings, np.random.default_rng(0))
        return logged_decisions(self.decisions, self.seen, self.earlier, world, self.propensities)

    def member_worlds(
        self, episodes: int, settings: SequencingSettings, rng: Generator
    ) -> tuple[SequencingWorld, ...]:
        """`episodes` customers of every member of the earlier part, one world a member."""
        priced_settings = self.priced(settings)
        return tuple(
            SequencingWorld.drawn(self.menu, self.earlier.member(k), episodes, priced_settings, rng)
            for k in range(self.earlier.members)
        )

    def save(self, folder: Path) -> None:
        """Write the tables and the record to `folder`, replacing it as a whole.

        Raises:
            CalibrationError: the folder holds something else than a calibration.
        """
        parts = {
            "earlier": arrays_of(self.earlier),
            "later": arrays_of(self.later),
            "log": {
                "logging_propensity": self.logging_propensity,
                "responses": self.responses,
                "seen": self.seen,
            },
            "decisions": arrays_of_rows(self.decisions),
        }
        record = {
            "menu": {"channels": self.menu.channels, "contacts": self.menu.contacts},
            "data_sha256": self.data_sha256,
            "notes": list(self.notes),
            "judged_from": self.judged_from.isoformat(),
            "effects": list(self.effects),
            "propensities": self.propensities,
            "verdict": self.verdict,
            "support": self.support._asdict(),
            "base": None if self.base is None else self.base._asdict(),
            "fidelity": self.fidelity.as_dict(),
        }
        write_calibration(folder, FORM, parts, record)

    @classmethod
    def load(cls, folder: Path) -> SequencingCalibration:
        """The calibration that `save` wrote.

        Raises:
            CalibrationError: a file is missing or not what was written.
        """
        parts, record = read_calibration(folder, FORM)
        menu, base = record["menu"], record["base"]
        return cls(
            menu=Menu(tuple(menu["channels"]), tuple((c, o) for c, o in menu["contacts"])),
            earlier=tables_from(parts["earlier"]),
            later=tables_from(parts["later"]),
            fidelity=FidelityReport.from_dict(record["fidelity"]),
            data_sha256=record["data_sha256"],
            notes=tuple(record["notes"]),
            judged_from=date.fromisoformat(record["judged_from"]),
            logging_propensity=parts["log"]["logging_propensity"],
            responses=parts["log"]["responses"],
            effects=tuple(record["effects"]),
            propensities=record["propensities"],
            verdict=record["verdict"],
            support=Support(**record["support"]),
            base=None if base is None else BgNbd(**base),
            decisions=held_out_from(parts["decisions"]),
            seen=parts["log"]["seen"],
        )
