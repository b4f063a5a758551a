"""Boredom, leaving and return as a log of sessions shows them (MODELLING 4.1).

Rows of a session with the same time are one page. Boredom b of a category rises by one with every
page that shows it (at most K) and falls by one with every other page; then

    logit P(click) = logit q - eta b,     P(leave | no click) = l_none + l_b (mean b of the page).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.personalization.choice import chances
from envs.personalization.model import Bools, Floats, Ints
from envs.personalization.visits import Visits

NO_SESSIONS = (
    "the log has no sessions (session_id): boredom, leaving and return are scenario parameters of "
    "the settings, not fitted; they matter only where sessions are played"
)
_MOST_RETURN_DAYS = 30
_LEAST_RETURNING = 0.01


class Pages(NamedTuple):
    """The pages of a log's sessions, in order; rows `[M]`, pages `[G]`."""

    page: NDArray[np.int64]  # [M] of each row
    bored: Ints  # [M] boredom with the row's category before its page
    before: Ints  # [G, C] boredom with every category before each page
    clicked: Bools  # [G]
    boredom: Floats  # [G] mean over the page
    last: Bools  # [G] the session ends with it


def pages_of(visits: Visits, category: Ints, levels: int) -> Pages:
    """Replay every session; rows without a session are pages of their own and never bored."""
    count = visits.size
    session = np.where(visits.session < 0, -1 - np.arange(count), visits.session)
    order = np.lexsort((visits.time, session))
    s, t = session[order], visits.time[order]
    new_session = np.concatenate([[True], s[1:] != s[:-1]])
    new_page = new_session | np.concatenate([[True], t[1:] != t[:-1]])
    page_sorted = np.cumsum(new_page) - 1
    page = np.empty(count, np.int64)
    page[order] = page_sorted
    of_session = (np.cumsum(new_session) - 1)[new_page]  # [G]
    starts = np.flatnonzero(new_session[new_page])
    step = np.arange(len(of_session)) - starts[of_session]
    shown = np.zeros((len(of_session), int(category.max()) + 1), np.bool_)
    row_category = category[visits.item]
    shown[page, row_category] = True
    before = _boredom_before(shown, of_session, step, levels)
    bored = before[page, row_category].astype(np.int32)
    per_page = np.bincount(page)
    clicked = np.bincount(page, weights=visits.reward > 0) > 0
    last = np.concatenate([of_session[1:] != of_session[:-1], [True]])
    return Pages(page, bored, before, clicked, np.bincount(page, weights=bored) / per_page, last)


def _boredom_before(
    shown: Bools, session: NDArray[np.int64], step: NDArray[np.int64], levels: int
) -> Ints:
    """Boredom with every category before each page, `[G, C]`; all sessions one step at a time."""
    before = np.zeros(shown.shape, np.int32)
    level = np.zeros((int(session.max()) + 1, shown.shape[1]), np.int32)
    order = np.argsort(step, kind="stable")
    for pages in np.split(order, np.flatnonzero(np.diff(step[order])) + 1):
        who = session[pages]
        before[pages] = level[who]
        level[who] = np.clip(level[who] + np.where(shown[pages], 1, -1), 0, levels)
    return before


def boredom_effect(
    logit: Floats,
    bored: Ints,
    reward: Floats,
    weight: Floats,
    page: NDArray[np.int64] | None = None,
) -> float:
    """eta of logit P = logit - eta b, by Newton's method; 0 where nobody is ever bored.

    The curvature is its diagonal, sum w q (1 - q) b^2: where the items of a page compete that is
    too much, which makes the steps shorter and leaves the root where it is.
    Negative estimates (liking what was just shown) are cut off at 0: the world has no such effect.
    """
    if not bored.any():
        return 0.0
    eta = 0.0
    for _ in range(30):
        q = chances(logit - eta * bored, page)
        slope = (weight * (q - reward) * bored).sum()
        curvature = (weight * q * (1 - q) * bored**2).sum()
        change = slope / max(curvature, 1e-12)
        eta += change
        if abs(change) < 1e-8:
            break
    return float(np.clip(eta, 0.0, 5.0))


def session_terms(visits: Visits, pages: Pages, boredom: float) -> dict[str, float]:
    """The session parameters that the log shows, by their names in `PersonalizationSettings`."""
    clicked, stayed_cold = pages.clicked, ~pages.clicked
    terms: dict[str, float] = {"boredom": boredom}
    if clicked.any():
        terms["leave_click"] = float(pages.last[clicked].mean())
    level = pages.boredom[stayed_cold]
    last = pages.last[stayed_cold].astype(np.float64)
    slope = 0.0
    if level.std() > 0:
        slope = max(0.0, float(np.cov(level, last)[0, 1] / level.var(ddof=1)))
    base = float(np.clip(last.mean() - slope * level.mean(), 0.0, 1.0))
    terms["leave_none"], terms["leave_boredom"] = base, slope
    return {**terms, **_return_terms(visits)}


def _return_terms(visits: Visits) -> dict[str, float]:
    """How often a session is followed by another of the same unit on a later day."""
    known = visits.session >= 0
    _, first = np.unique(visits.session[known], return_index=True)
    unit, day = visits.unit[known][first], visits.day[known][first]
    visit_days = np.unique(np.column_stack([unit, day]), axis=0)
    days_each = np.unique(visit_days[:, 0], return_counts=True)[1]
    returned = float((days_each - 1).sum() / len(visit_days))
    if returned < _LEAST_RETURNING:
        return {"days": 1}
    return {
        "days": int(min(days_each.max(), _MOST_RETURN_DAYS)),
        "return_intercept": float(np.log(returned / (1 - returned))),
        "return_satisfaction": 0.0,
    }


def session_notes(terms: Mapping[str, float]) -> list[str]:
    """Which session parameters were fitted and which the settings say."""
    if not terms:
        return [NO_SESSIONS]
    fitted = ", ".join(f"{name} {value:.3g}" for name, value in terms.items())
    return [
        f"session parameters fitted to the log, in place of the settings': {fitted}",
        "how boredom is counted (boredom_levels) and the effect of satisfaction on return are "
        "scenario parameters of the settings, not fitted",
    ]
