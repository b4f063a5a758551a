"""The what-if knobs of personalization, and what each does to the visitors that come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.core.scenario import refuse_extremes
from envs.personalization.model import RewardModel
from envs.personalization.settings import SessionTerms


@dataclass(frozen=True, kw_only=True)
class PersonalizationScenario:
    """Factors on today's visitors; 1 leaves them as they are.

    `response` scales the odds of a reward, `taste` how far visitors differ in what they like,
    `boredom` the loss of interest in what was just shown, `leaving` the chances of leaving (at most
    1). The last two matter in sessions alone.
    """

    response: float = 1.0
    taste: float = 1.0
    boredom: float = 1.0
    leaving: float = 1.0

    def __post_init__(self) -> None:
        refuse_extremes(self, may_vanish=("taste", "boredom"))


def changed_model(model: RewardModel, scenario: PersonalizationScenario) -> RewardModel:
    """The same items for other visitors."""
    return model._replace(
        bias=model.bias + np.log(scenario.response), vector=model.vector * scenario.taste
    )


def changed_terms(terms: SessionTerms, scenario: PersonalizationScenario) -> SessionTerms:
    """The same sessions, more or less patient; chances stay chances at every level of boredom."""
    leave_none = min(1.0, terms.leave_none * scenario.leaving)
    most = (1.0 - leave_none) / terms.boredom_levels
    return terms._replace(
        boredom=terms.boredom * scenario.boredom,
        leave_click=min(1.0, terms.leave_click * scenario.leaving),
        leave_none=leave_none,
        leave_boredom=min(most, terms.leave_boredom * scenario.leaving),
    )
