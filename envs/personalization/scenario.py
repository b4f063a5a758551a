"""The what-if knobs of personalization, and what each does to the visitors that come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.core.scenario import knob, refuse_extremes
from envs.personalization.model import Contexts, RewardModel, mean_probability
from envs.personalization.settings import SessionTerms


@dataclass(frozen=True, kw_only=True)
class PersonalizationScenario:
    """Factors on today's visitors; 1 leaves them as they are."""

    response: float = knob("Response", "the odds of a reward, whatever is shown")
    taste: float = knob(
        "Taste", "how far visitors differ in what they like; 0: not at all", low=0.0
    )
    mix: float = knob(
        "Traffic mix",
        "how much more often visitors come who respond twice as readily as the average",
        low=0.25,
        high=4.0,
    )
    boredom: float = knob(
        "Boredom", "the loss of interest in what was just shown; sessions only", low=0.0
    )
    leaving: float = knob("Leaving", "the chances that a visitor leaves; sessions only")

    def __post_init__(self) -> None:
        refuse_extremes(self)


def changed_model(model: RewardModel, scenario: PersonalizationScenario) -> RewardModel:
    """The same items for other visitors."""
    return model._replace(
        bias=model.bias + np.log(scenario.response), vector=model.vector * scenario.taste
    )


def changed_contexts(
    model: RewardModel, contexts: Contexts, scenario: PersonalizationScenario
) -> Contexts:
    """As many visitors of another mix: drawn in proportion to (q / mean q)^log2(mix).

    q is a visitor's mean response over all items. Evenly spaced quantiles draw, so that nothing is
    left to chance.
    """
    if scenario.mix == 1:
        return contexts
    q = mean_probability(model, contexts.x).mean(axis=1)
    weight = (q / q.mean()) ** np.log2(scenario.mix)
    places = (np.arange(contexts.size) + 0.5) / contexts.size
    reached = np.searchsorted(np.cumsum(weight) / weight.sum(), places)
    return contexts.rows(np.minimum(reached, contexts.size - 1))


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
