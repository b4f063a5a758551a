"""Propensities that cannot all be probabilities of the policy that chose."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.personalization.columns import codes, column_or, texts_or_empty
from envs.personalization.model import Floats, Ints

_ALIKE = 10.0  # propensities of one item within this factor hide no rare rows of great weight,
_TELLING_ROWS = 50  # if so many were seen


def incoherent_propensities(columns: dict[str, NDArray[Any]]) -> list[str]:
    """What contradicts that `propensity` is P(item | context) of one policy.

    Of one decision (unit, time, position) they must agree by item and sum to at most 1 over items.
    Over the log, sum_i 1(a_i = a) w_i / p_i must be near the rows in which a was eligible, N_a: it
    has that mean whatever the policy, and the variance sum 1(a_i = a) w_i (1 - p_i) / p_i^2. A sum
    that is too small proves nothing where propensities differ much: the rows of the smallest ones,
    which would complete it, are the ones that are hardly ever seen.
    """
    if "propensity" not in columns:
        return []
    p, weight = columns["propensity"], column_or(columns, "impressions", 1.0)
    item = codes(columns["action_id"])
    problems = []
    if differing := _contradicting_decisions(columns, item, p):
        problems.append(
            f"propensities of one context do not agree: {differing:,} decisions (same unit, time "
            "and position) have items whose propensities differ from row to row or sum to more "
            "than 1; log P(item | context) of the policy that chose"
        )
    pool = codes(texts_or_empty(columns, "pool_id"))
    pool_weight = np.bincount(pool, weights=weight)
    shows = np.zeros((pool.max() + 1, item.max() + 1), np.bool_)
    shows[pool, item] = True
    expected = pool_weight @ shows
    weighed = np.bincount(item, weights=weight / p)
    # A row that stands for many impressions is as many draws.
    variance = np.bincount(item, weights=weight * (1 - p) / p**2)
    least, most = np.ones(len(expected)), np.zeros(len(expected))
    np.minimum.at(least, item, p)
    np.maximum.at(most, item, p)
    excess = weighed - expected
    telling = (most <= _ALIKE * least) & (np.bincount(item, weights=weight) >= _TELLING_ROWS)
    off = np.where(telling, np.abs(excess), excess)
    wrong = np.flatnonzero((off > 6 * np.sqrt(variance)) & (off > 0.1 * expected))
    if wrong.size:
        a = wrong[np.argmax(off[wrong] / expected[wrong])]
        name = columns["action_id"][item == a][0]
        problems.append(
            f"propensities do not fit how often items were shown: {wrong.size} items, such as "
            f"{name!r}, whose inverse propensities sum to {weighed[a]:,.0f} where "
            f"{expected[a]:,.0f} rows could have shown it; log the probability of the item shown, "
            "given the context (with pool_id where not every item was eligible), or leave the "
            "column out"
        )
    return problems


def _contradicting_decisions(columns: dict[str, NDArray[Any]], item: Ints, p: Floats) -> int:
    """How many decisions have propensities that contradict each other."""
    where = np.column_stack(
        [
            codes(columns["unit_id"]),
            codes(columns["timestamp"]),
            column_or(columns, "position", 1.0).astype(np.int64),
        ]
    )
    order = np.lexsort((item, where[:, 2], where[:, 1], where[:, 0]))
    where, item, p = where[order], item[order], p[order]
    same = (where[1:] == where[:-1]).all(axis=1)
    if not same.any():
        return 0
    decision = np.concatenate([[0], np.cumsum(~same)])
    again = np.concatenate([[False], same & (item[1:] == item[:-1])])
    differs = again & (np.abs(p - np.concatenate([[0.0], p[:-1]])) > 1e-6 * p)
    total = np.bincount(decision, weights=np.where(again, 0.0, p))
    bad = (total > 1 + 1e-6) | (np.bincount(decision, weights=differs) > 0)
    return int(bad.sum())
