"""A calibrated page: two response models, their rows, and how far to trust them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.calibration_folder import read_calibration, write_calibration
from envs.core.fidelity import FidelityReport
from envs.core.logged import LoggedDecisions
from envs.personalization.calibration_files import (
    FORM,
    encoder_arrays,
    encoder_of,
    part_arrays,
    part_of,
)
from envs.personalization.encoding import Encoder
from envs.personalization.held_out import LaterRows, logged_decisions
from envs.personalization.model import (
    Contexts,
    Floats,
    Items,
    LoggedRows,
    RewardModel,
    SoftmaxPolicy,
    item_features,
)
from envs.personalization.session_world import SessionWorld
from envs.personalization.settings import PersonalizationSettings, SessionTerms
from envs.personalization.visits import Catalogue, Visits
from envs.personalization.world import PersonalizationWorld

PageWorld = PersonalizationWorld | SessionWorld


class Part(NamedTuple):
    """One part of a log: its rows, their propensities, the model fitted to them.

    `terms` are the session parameters that the part shows, by name; empty without sessions.
    """

    visits: Visits
    propensity: Floats  # [M] logged, or estimated
    model: RewardModel
    terms: Mapping[str, float]

    def logged(self) -> LoggedRows:
        """What rules learn from."""
        return self.visits.logged(self.propensity)


@dataclass(frozen=True, kw_only=True)
class PersonalizationCalibration:
    """Response models of the earlier and the later part of a log, and the report that judges.

    `logging` is the policy that the log's own choices look like, estimated on the earlier part.
    """

    earlier: Part
    later: Part
    catalogue: Catalogue
    encoder: Encoder
    logging: SoftmaxPolicy
    fidelity: FidelityReport
    data_sha256: str
    judged_from: date
    notes: tuple[str, ...]
    propensities: Literal["logged", "estimated"]

    @property
    def items(self) -> Items:
        """The catalogue as policies know it: features come from the earlier model alone."""
        category = self.catalogue.category
        grouped = category if category.any() else None
        return Items(
            self.catalogue.ids,
            item_features(self.earlier.model, grouped),
            category,
            self.catalogue.clickbait,
        )

    def training_world(
        self, episodes: int, settings: PersonalizationSettings, rng: Generator
    ) -> PageWorld:
        """`episodes` visitors like those of the earlier part, each with its member."""
        return self._world(self.earlier, _drawn(self.earlier.visits, episodes, rng), settings, rng)

    def judging_world(
        self, episodes: int, settings: PersonalizationSettings, rng: Generator
    ) -> PageWorld:
        """`episodes` visitors like those of the later part, responding as that part did."""
        return self._world(self.later, _drawn(self.later.visits, episodes, rng), settings, rng)

    def history_world(self, settings: PersonalizationSettings) -> PageWorld:
        """The earlier part's own visitors; its logged rows are what rules learn from."""
        first = _firsts(self.earlier.visits)
        # The members are dealt evenly; which visitor gets which does not matter to a rule.
        return self._world(self.earlier, first, settings, np.random.default_rng(0))

    def heldout_world(self, settings: PersonalizationSettings) -> PageWorld | None:
        """None: a log shows the response to the item shown, not to the others."""
        return None

    def heldout_decisions(self, settings: PersonalizationSettings) -> LoggedDecisions:
        """The later part's impressions as they were logged."""
        world = self.training_world(1, settings, np.random.default_rng(0))
        rows = LaterRows(self.later.visits, self.later.propensity, self.propensities)
        return logged_decisions(
            rows, self.earlier.visits, self.earlier.model, self.items, self.earlier.terms, world
        )

    def member_worlds(
        self, episodes: int, settings: PersonalizationSettings, rng: Generator
    ) -> tuple[PageWorld, ...]:
        """`episodes` visitors responding as one member of the earlier part each, K worlds."""
        rows = _drawn(self.earlier.visits, episodes, rng)
        model = self.earlier.model
        members = [
            RewardModel(*(table[k : k + 1] for table in model)) for k in range(model.members)
        ]
        return tuple(
            self._world(self.earlier._replace(model=one), rows, settings, rng) for one in members
        )

    def _world(
        self,
        part: Part,
        rows: NDArray[np.int64],
        settings: PersonalizationSettings,
        rng: Generator,
    ) -> PageWorld:
        visits = part.visits.rows(rows)
        traffic = part.visits.traffic[rows]
        contexts = Contexts(visits.x, visits.eligible, traffic, visits.time)
        if part.visits.page is not None:
            settings = replace(settings, one_choice=True)
        drawn = (part.model, self.items, contexts, self.earlier.logged(), settings)
        if not settings.sessions and not part.terms:
            return PersonalizationWorld.drawn(*drawn, rng)
        known: dict[str, Any] = {**settings.session_terms._asdict(), **part.terms}
        terms = SessionTerms(**known)
        return SessionWorld.drawn(*drawn, rng, terms=terms)

    def save(self, folder: Path) -> None:
        """Write the parts and `calibration.json` to `folder`, replacing it as a whole.

        Raises:
            CalibrationError: the folder holds something else than a calibration.
        """
        record: dict[str, Any] = {
            "data_sha256": self.data_sha256,
            "judged_from": self.judged_from.isoformat(),
            "notes": list(self.notes),
            "items": list(self.catalogue.ids),
            "propensities": self.propensities,
            "encoder": self.encoder.as_dict(),
            "terms": {"earlier": dict(self.earlier.terms), "later": dict(self.later.terms)},
            "fidelity": self.fidelity.as_dict(),
        }
        shared: dict[str, NDArray[Any]] = {
            "item_feature": self.catalogue.feature,
            "item_category": self.catalogue.category,
            "item_clickbait": self.catalogue.clickbait,
            "logging_bias": self.logging.bias,
            "logging_vector": self.logging.vector,
            "logging_uniform": np.asarray(self.logging.uniform),
            **encoder_arrays(self.encoder),
        }
        parts: dict[str, dict[str, NDArray[Any]]] = {
            name: part_arrays(part.visits, part.propensity, part.model)
            for name, part in (("earlier", self.earlier), ("later", self.later))
        }
        write_calibration(folder, FORM, {"shared": shared, **parts}, record)

    @classmethod
    def load(cls, folder: Path) -> PersonalizationCalibration:
        """The calibration that `save` wrote.

        Raises:
            CalibrationError: the folder is not a calibration of this form.
            DamagedFile: a file is missing or not what was written.
        """
        parts, record = read_calibration(folder, FORM)
        shared = parts["shared"]
        earlier, later = (
            Part(*part_of(parts[name]), record["terms"][name]) for name in ("earlier", "later")
        )
        return cls(
            earlier=earlier,
            later=later,
            catalogue=Catalogue(
                tuple(record["items"]),
                shared["item_feature"],
                shared["item_category"],
                shared["item_clickbait"],
            ),
            encoder=encoder_of(record["encoder"], shared),
            logging=SoftmaxPolicy(
                shared["logging_bias"],
                shared["logging_vector"],
                float(shared["logging_uniform"]),
            ),
            fidelity=FidelityReport.from_dict(record["fidelity"]),
            data_sha256=record["data_sha256"],
            judged_from=date.fromisoformat(record["judged_from"]),
            notes=tuple(record["notes"]),
            propensities=record["propensities"],
        )


def _firsts(visits: Visits) -> NDArray[np.int64]:
    """The first row of every session, and every row without one."""
    if (visits.session < 0).all():
        return np.arange(visits.size)
    _, first = np.unique(visits.session, return_index=True)
    return np.sort(np.concatenate([first, np.flatnonzero(visits.session < 0)]))


def _drawn(visits: Visits, count: int, rng: Generator) -> NDArray[np.int64]:
    """`count` visitors drawn with replacement, as often as they came."""
    first = _firsts(visits)
    weight = visits.weight[first]
    return first[rng.choice(len(first), count, p=weight / weight.sum())]
