"""Decisions of a log and a policy alone: what else an evaluation needs is estimated out of fold."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from ppo_marketing.ope.checks import Columns, refuse_bad
from ppo_marketing.ope.feedback import Decisions, from_matrices
from ppo_marketing.ope.outcome import predict_reward
from ppo_marketing.ope.propensity import FOLDS, Reliability, estimate_propensity


class FromLog(NamedTuple):
    """Decisions, and the calibration of their propensities where those were estimated."""

    decisions: Decisions
    calibration: Reliability | None


def decisions_from_log(
    *,
    context: Any,
    action: Any,
    reward: Any,
    target_probabilities: Any,
    rng: Generator,
    propensity: Any = None,
    unit: Any = None,
    weight: Any = None,
    cell: Any = None,
    category: Any = None,
    row_id: Any = None,
    folds: int = FOLDS,
) -> FromLog:
    """A log with `context [n, D]` and a policy `[n, A]`; the rest as in `feedback.from_matrices`.

    The reward model is cross-fitted by unit; so are propensities where none were logged, and the
    decisions then say that they are estimated.

    Raises:
        UserError: something is bad; the message lists every problem (`checks.refuse_bad`).
    """
    columns: Columns = {
        "reward": reward, "action": action, "unit": unit, "weight": weight, "cell": cell,
        "row_id": row_id, **({} if propensity is None else {"propensity": propensity}),
    }  # fmt: skip
    refuse_bad(columns, target_probabilities=target_probabilities, context=context)
    actions = np.asarray(target_probabilities).shape[1]
    estimated = None
    if propensity is None:
        estimated = estimate_propensity(context, action, actions, unit, rng, folds=folds)
    predicted = predict_reward(
        context, action, reward, actions, unit, rng, weight=weight, folds=folds
    )
    decisions = from_matrices(
        reward=reward,
        action=action,
        propensity=propensity if estimated is None else estimated.taken,
        target_probabilities=target_probabilities,
        predicted_reward=predicted,
        unit=unit,
        weight=weight,
        cell=cell,
        category=category,
        logging_probabilities=None if estimated is None else estimated.probabilities,
        row_id=row_id,
        propensity_source="logged" if estimated is None else "estimated",
    )
    return FromLog(decisions, None if estimated is None else estimated.calibration)
