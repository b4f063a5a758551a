"""Whether a response model may be believed: policy values on rows that it has not seen.

A model is judged by how well it foretells what policies earn (MODELLING 4.1, 4.2), not by AUC: one
that ranks clicks well can be far off on the value of the policy that it suggests. Every check is
at once for any model; a wrong one (doubled rates, shuffled items) must fail.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from envs.core.fidelity import (
    SIGNIFICANCE,
    Check,
    Curve,
    FidelityReport,
    count_ratio_bounds,
)
from envs.personalization.evidence import (
    LEAST_POSITIVES,
    MOST_UNSUPPORTED,
    Evidence,
    q_at_position,
)
from envs.personalization.model import Floats, RewardModel, logit_of, sigmoid
from envs.personalization.visits import Visits

VALUE_TOLERANCE = 0.10
"""A policy's value may be off by this share, plus sampling error (MODELLING 5.2's optimism gap)."""

SLOPE_TOLERANCE = 0.2
_GROUPS = 10


def judge_model(
    model: RewardModel, held_out: Visits, evidence: Evidence, shift: Floats | None = None
) -> FidelityReport:
    """Every check of a model on rows that it was not fitted to.

    `shift [M]` is what boredom takes off each row's logit, where the log has sessions.
    """
    q = _shown_probability(model, held_out, shift)
    groups, curve = _group_checks(q, held_out)
    return FidelityReport(
        checks=(
            _count_check("rewards overall", q, held_out, VALUE_TOLERANCE, SIGNIFICANCE),
            *groups,
            _slope_check(q, held_out),
            *_value_checks(evidence),
            *_support_checks(evidence),
        ),
        curves=(curve,),
    )


def _shown_probability(model: RewardModel, visits: Visits, shift: Floats | None) -> Floats:
    """Mean over the members of q of the item shown, `[M]`."""
    nobody, member = np.zeros(visits.size, np.int64), np.zeros(visits.size, np.int64)
    first = np.mean(
        [
            sigmoid(logit_of(model, member + k, visits.x, visits.item, nobody))
            for k in range(model.members)
        ],
        axis=0,
    )
    return q_at_position(model, visits, first[:, None], shift)[:, 0]


def _count_check(name: str, q: Floats, visits: Visits, tolerance: float, level: float) -> Check:
    expected = float((visits.weight * q).sum())
    low, high = count_ratio_bounds(expected, tolerance, level)
    return Check(
        name=name,
        value=float((visits.weight * visits.reward).sum()) / expected,
        low=low,
        high=high,
        n=int(visits.weight.sum()),
        unit="impressions",
        meaning="Observed over predicted rewards of the held-out impressions.",
    )


def _group_checks(q: Floats, visits: Visits) -> tuple[list[Check], Curve]:
    """Rewards by group of equal predicted reward totals."""
    order = np.argsort(q, kind="stable")
    share = np.cumsum((visits.weight * q)[order])
    group = np.minimum((share / share[-1] * _GROUPS).astype(int), _GROUPS - 1)
    checks, points = [], []
    for number in range(_GROUPS):
        rows = order[group == number]
        if not rows.size:
            continue
        part = visits.rows(rows)
        checks.append(
            _count_check(
                f"rewards in prediction group {number + 1}", q[rows], part, 2 * VALUE_TOLERANCE,
                SIGNIFICANCE / _GROUPS,
            )
        )  # fmt: skip
        points.append(
            (
                float(np.average(q[rows], weights=part.weight)),
                float(np.average(part.reward, weights=part.weight)),
                float(part.weight.sum()),
            )
        )
    simulated, observed, impressions = zip(*points, strict=True)
    return checks, Curve(
        name="reward calibration", x_label="predicted reward rate",
        y_label="observed reward rate", x=simulated, observed=observed, simulated=simulated,
        kind="calibration", n=impressions,
    )  # fmt: skip


def _slope_check(q: Floats, visits: Visits) -> Check:
    """The calibration slope over single impressions; counts enter as so many of them."""
    weighted = np.repeat(q, 2), np.tile([1.0, 0.0], visits.size)
    counts = np.column_stack(
        [visits.weight * visits.reward, visits.weight * (1 - visits.reward)]
    ).ravel()
    slope, error = weighted_slope(*weighted, counts)
    allowed = SLOPE_TOLERANCE + float(norm.ppf(1 - SIGNIFICANCE / 2)) * error
    return Check(
        name="calibration slope",
        value=slope,
        low=1 - allowed,
        high=1 + allowed,
        n=int(visits.weight.sum()),
        unit="impressions",
        meaning="Slope of the observed log odds on the predicted ones; below 1 the model "
        "exaggerates differences.",
    )


def weighted_slope(q: Floats, event: Floats, count: Floats) -> tuple[float, float]:
    """`calibration_slope` of rows that stand for `count` impressions each.

    One value of q says nothing of a slope: 1 with an infinite error.

    Maximum likelihood by Newton's method. Source: Cox 1958.
    """
    kept = count > 0
    q, event, count = q[kept], event[kept], count[kept]
    if np.ptp(q) < 1e-12:
        return 1.0, np.inf
    bounded = np.clip(q, 1e-9, 1 - 1e-9)
    design = np.column_stack([np.ones_like(q), np.log(bounded / (1 - bounded))])

    def loss(weights: Floats) -> float:
        logit = design @ weights
        return float((count * (np.logaddexp(0, logit) - event * logit)).sum())

    weights = np.array([0.0, 1.0])
    for _ in range(100):
        fitted = sigmoid(design @ weights)
        information = (design * (count * fitted * (1 - fitted))[:, None]).T @ design
        change = np.linalg.lstsq(information, design.T @ (count * (event - fitted)), rcond=None)[0]
        # Far from the maximum a whole step may overshoot it.
        while loss(weights + change) > loss(weights) and np.abs(change).max() > 1e-10:
            change = change / 2
        weights = weights + change
        if np.abs(change).max() < 1e-8:
            break
    return float(weights[1]), float(np.sqrt(np.linalg.pinv(information)[1, 1]))


def _value_checks(evidence: Evidence) -> list[Check]:
    """The model's value of each policy against the doubly robust one, which corrects the model."""
    quantile = float(norm.ppf(1 - SIGNIFICANCE / (2 * len(evidence.values))))
    checks = []
    for name, value in evidence.values.items():
        allowed = VALUE_TOLERANCE + quantile * value.sd / value.model
        checks.append(
            Check(
                name=f"value of the policy: {name}",
                value=value.doubly_robust / value.model,
                low=1 - allowed,
                high=1 + allowed,
                n=int(value.effective_n),
                unit="effective impressions",
                meaning="The doubly robust value of this policy on the held-out rows over the "
                "model's own.",
            )
        )
    return checks


def _support_checks(evidence: Evidence) -> list[Check]:
    return [
        Check(
            name="effective positives",
            value=evidence.positives,
            low=float(LEAST_POSITIVES),
            high=np.inf,
            n=int(evidence.greedy.impressions),
            unit="impressions",
            meaning="Held-out rewards that fell on what the model would have shown.",
        ),
        Check(
            name="unsupported mass",
            value=evidence.unsupported,
            low=0.0,
            high=MOST_UNSUPPORTED,
            n=int(evidence.greedy.impressions),
            unit="impressions",
            meaning="Share of the model's own choices on items that such visitors were shown "
            "fewer than 30 times.",
        ),
    ]
