"""The log's own policy: how likely each decision was, as logged or as estimated from the log."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.sequencing.panel import FATIGUES, FREQUENCIES, RECENCIES, Panel

Floats = NDArray[np.float64]

PRIOR_ROWS = 20.0
"""How many rows of the coarser estimate each finer one starts with."""

FOLDS = 5
THIN_ROWS = 30
"""A state and action with fewer rows in the log is unsupported (MODELLING 5.2)."""


def estimated_policy(panel: Panel, menu_channel: NDArray[np.int64], weight: Floats) -> Floats:
    """P(action | recency, frequency, fatigue, consent), `[R, F, G, S, A]`.

    Shares of each action, from coarse to fine (consent; fatigue; frequency; recency), each shrunk
    to the coarser one with `PRIOR_ROWS` rows. Actions without consent have none.
    """
    actions = len(menu_channel)
    patterns = 1 << panel.consent.shape[1]
    mask = _allowed(patterns, menu_channel)
    known = panel.action >= 0
    shape = (patterns, FATIGUES, FREQUENCIES, RECENCIES, actions)
    index = np.ravel_multi_index(
        tuple(
            column[known]
            for column in (
                panel.pattern, panel.stock, panel.frequency, panel.recency, panel.action
            )
        ),
        shape,
    )  # fmt: skip
    counts = np.bincount(index, weight[known], minlength=int(np.prod(shape))).reshape(shape)
    policy = mask / mask.sum(axis=1, keepdims=True)  # [S, A]
    for axes in ((1, 2, 3), (2, 3), (3,), ()):
        rows = counts.sum(axis=axes, keepdims=False)
        parent = policy if rows.ndim == policy.ndim else policy[..., None, :]
        policy = (rows + PRIOR_ROWS * parent) / (rows.sum(-1, keepdims=True) + PRIOR_ROWS)
    policy = np.where(mask[:, None, None, None, :], policy, 0.0)
    policy = policy / policy.sum(axis=-1, keepdims=True)
    return np.ascontiguousarray(policy.transpose(3, 2, 1, 0, 4))


def chance_of_taken(policy: Floats, panel: Panel) -> Floats:
    """The policy's chance of every row's own action, `[n]`; NaN where the action is not known."""
    rows = policy[
        panel.recency, panel.frequency, panel.stock, panel.pattern, np.maximum(panel.action, 0)
    ]
    return np.where(panel.action >= 0, rows, np.nan)


def cross_fitted(panel: Panel, menu_channel: NDArray[np.int64], rng: Generator) -> Floats:
    """Estimated propensities, every customer's by a policy that was fitted without them, `[n]`."""
    fold = rng.integers(0, FOLDS, panel.customer.max() + 1)[panel.customer]
    chance = np.empty(panel.rows)
    for number in range(FOLDS):
        inside = fold == number
        policy = estimated_policy(panel, menu_channel, (~inside).astype(np.float64))
        chance[inside] = chance_of_taken(policy, panel.where(inside))
    return chance


def stabilised_weights(panel: Panel, menu_channel: NDArray[np.int64], propensity: Floats) -> Floats:
    """w = P(a | consent, fatigue) / propensity, `[n]`: 1 on average in every such state.

    They weigh out whatever else decided a contact. Conditioning the numerator on what the purchase
    head also knows keeps them near 1. Source: Robins, Hernan and Brumback, Epidemiology 2000.
    """
    coarse = panel._replace(
        recency=np.zeros_like(panel.recency), frequency=np.zeros_like(panel.frequency)
    )
    policy = estimated_policy(coarse, menu_channel, np.ones(panel.rows))
    numerator = chance_of_taken(policy, coarse)
    return np.where(panel.action >= 0, numerator / propensity, 0.0)


class Support(NamedTuple):
    """What the log could say of a policy that tries every allowed action equally often."""

    effective_rows: float
    unsupported: float  # share of its decisions in a (state, action) with few rows
    effective_positives: float  # purchases, weighted as that policy would have made them


def support_of_trying_all(
    panel: Panel, menu_channel: NDArray[np.int64], propensity: Floats
) -> Support:
    """Effective rows (sum w)^2 / sum w^2, unsupported mass and effective positives.

    w = (1 / allowed actions) / propensity. States are recency x frequency x fatigue x consent.
    """
    known = (panel.action >= 0) & (propensity > 0)
    patterns = 1 << panel.consent.shape[1]
    mask = _allowed(patterns, menu_channel)
    even = mask / mask.sum(axis=1, keepdims=True)
    weight = even[panel.pattern[known], panel.action[known]] / propensity[known]
    sizes = (RECENCIES, FREQUENCIES, FATIGUES, patterns)
    state = np.ravel_multi_index(
        (panel.recency[known], panel.frequency[known], panel.stock[known], panel.pattern[known]),
        sizes,
    )
    actions = len(menu_channel)
    counts = np.bincount(
        state * actions + panel.action[known], minlength=int(np.prod(sizes)) * actions
    ).reshape(-1, actions)
    visited = counts.sum(axis=1) / known.sum()
    tried = np.tile(even, (int(np.prod(sizes[:3])), 1))
    thin = (tried * (counts < THIN_ROWS)).sum(axis=1)
    normalised = weight / weight.mean()
    return Support(
        effective_rows=float(weight.sum() ** 2 / (weight**2).sum()),
        unsupported=float(visited @ thin),
        # As many as that policy would have seen, discounted as its rows are.
        effective_positives=float(
            (normalised[panel.purchase[known]]).sum() ** 2
            / max((normalised[panel.purchase[known]] ** 2).sum(), 1e-12)
        ),
    )


def _allowed(patterns: int, menu_channel: NDArray[np.int64]) -> NDArray[np.bool_]:
    pattern = np.arange(patterns)[:, None]
    return np.asarray((menu_channel < 0) | ((pattern >> np.maximum(menu_channel, 0)) & 1 == 1))
