"""What boredom and the rest of its page take off the logit of a logged row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from envs.personalization.choice import competition
from envs.personalization.model import Floats, Ints, RewardModel, mean_logit
from envs.personalization.session_fit import pages_of
from envs.personalization.visits import Visits


def logged_shift(
    visits: Visits,
    category: Ints,
    model: RewardModel,
    terms: Mapping[str, float],
    boredom_levels: int,
) -> Floats | None:
    """`[M]` logits: -eta b, and what competes for one reward; None where neither plays a part.

    `category [A]` is that of every item, `terms` the session parameters that the log shows.
    """
    if not terms and visits.page is None:
        return None
    shift = np.zeros(visits.size)
    if terms:
        shift -= terms["boredom"] * pages_of(visits, category, boredom_levels).bored
    if visits.page is not None:
        logit = mean_logit(model, visits.x, visits.item, visits.position) + shift
        shift += competition(logit, visits.page)
    return shift
