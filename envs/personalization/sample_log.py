"""The built-in visit log: what the generator's visitors were shown, and what they clicked."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.random import Generator
from numpy.typing import NDArray

from envs.personalization.choice import chances
from envs.personalization.generator import SESSIONS_PER_DAY, VISITS_PER_DAY, Truth
from envs.personalization.model import Ints, LoggedRows, drawn_items, logit_of, sigmoid
from envs.personalization.session_world import SessionWorld
from envs.personalization.settings import PersonalizationSettings

FIRST_DAY = np.datetime64("2024-01-01T00:00:00", "us")  # a Monday
_DAY_MICROSECONDS = 86_400_000_000
_PAGE_MICROSECONDS = 20_000_000  # from one item of a session to the next


def generate_log(truth: Truth, days: int, rng: Generator) -> pa.Table:
    """`days` days as a team would have kept them, in the order of time."""
    if truth.preset.sessions:
        return _session_log(truth, days, rng)
    if truth.preset.slots > 1:
        return _slate_log(truth, days, rng)
    each, traffic = np.full(days, VISITS_PER_DAY), None
    if truth.preset.traffic_sd:
        of_day = truth.traffic(days, rng)
        each = np.rint(VISITS_PER_DAY * of_day).astype(np.int64)
        traffic = of_day.repeat(each)
    count = int(each.sum())
    contexts = truth.contexts(count, rng, traffic)
    propensities = truth.logging.probabilities(contexts.x, None)
    item = drawn_items(propensities, rng)
    nobody = np.zeros(count, np.int64)
    chance = sigmoid(logit_of(truth.model, nobody, contexts.x, item, nobody))
    context = {f"x{d}": pa.array(contexts.x[:, d]) for d in range(contexts.x.shape[1])}
    return pa.table(
        {
            "timestamp": _times(_arrivals(each, rng)),
            "unit_id": _numbered("visitor", np.arange(count)),
            "action_id": _names(truth, item),
            "propensity": propensities[np.arange(count), item],
            "reward": (rng.random(count) < chance).astype(np.int8),
            **context,
        }
    )


def _slate_log(truth: Truth, days: int, rng: Generator) -> pa.Table:
    """Pages of `slots` items dealt at random; at most one item of a page is chosen."""
    slots, items = truth.preset.slots, truth.model.items
    each = VISITS_PER_DAY // slots
    count = days * each
    contexts = truth.contexts(count, rng)
    shown = rng.permuted(np.tile(np.arange(items, dtype=np.int32), (count, 1)), axis=1)[:, :slots]
    page, position = np.divmod(np.arange(count * slots), slots)
    nobody = np.zeros(count * slots, np.int64)
    logit = logit_of(truth.model, nobody, contexts.x[page], shown.ravel(), position)
    chance = chances(logit, page).reshape(count, slots)
    # The draw lands on one item's stretch of [0, 1), or beyond them all on none.
    draw, edge = rng.random((count, 1)), chance.cumsum(axis=1)
    chosen = (draw < edge) & (draw >= edge - chance)
    context = {f"x{d}": pa.array(contexts.x[page, d]) for d in range(contexts.x.shape[1])}
    return pa.table(
        {
            "timestamp": _times(_arrivals(np.full(days, each), rng)[page]),
            "unit_id": _numbered("visitor", page),
            "action_id": _names(truth, shown.ravel()),
            "position": position + 1,
            "propensity": np.full(count * slots, 1 / items),
            "reward": chosen.ravel().astype(np.int8),
            **context,
        }
    )


def _session_log(truth: Truth, days: int, rng: Generator) -> pa.Table:
    """Sessions under the logging policy, played in the session world itself."""
    count, preset = days * SESSIONS_PER_DAY, truth.preset
    contexts = truth.contexts(count, rng)
    settings = PersonalizationSettings(
        sessions=True, boredom=preset.boredom, leave_boredom=preset.leave_boredom
    )
    no_items, no_numbers = np.zeros(0, np.int32), np.zeros(0)
    nothing = LoggedRows(
        contexts.x[:0], no_items, no_items, no_numbers, no_numbers, no_numbers, None
    )
    world = SessionWorld.drawn(
        truth.model, truth.items, contexts, nothing, settings, rng, terms=settings.session_terms
    )
    state = world.initial(count, rng)
    start = _arrivals(np.full(days, SESSIONS_PER_DAY), rng)
    pages = []
    for step in range(world.horizon):
        here = np.flatnonzero(~state.gone)
        if not here.size:
            break
        propensities = truth.logging.probabilities(contexts.x[state.visit], None)
        item = drawn_items(propensities, rng)
        state = world.step(state, item, rng).state
        chosen = propensities[here, item[here]]
        time = start[state.visit[here]] + step * _PAGE_MICROSECONDS
        pages.append((time, state.visit[here], item[here], chosen, state.clicked[here]))
    time, visit, item, propensity, clicked = map(np.concatenate, zip(*pages, strict=True))
    order = np.argsort(time, kind="stable")
    return pa.table(
        {
            "timestamp": _times(time[order]),
            "unit_id": _numbered("visitor", visit[order]),
            "session_id": _numbered("session", visit[order]),
            "action_id": _names(truth, item[order]),
            "propensity": propensity[order],
            "reward": clicked[order].astype(np.int8),
            "item_category": _numbered("category", truth.items.category[item[order]]),
            "segment": _numbered("segment", contexts.x[visit[order]].argmax(axis=1)),
        }
    )


def _arrivals(each: NDArray[np.int64], rng: Generator) -> NDArray[np.int64]:
    """Microseconds since the first day of `each [days]` arrivals a day, ascending."""
    offset = rng.integers(0, _DAY_MICROSECONDS, int(each.sum()))
    day = np.arange(len(each)).repeat(each)
    return np.asarray(np.sort(offset + day * _DAY_MICROSECONDS))


def _times(microseconds: NDArray[np.int64]) -> pa.Array:
    return pa.array(FIRST_DAY + microseconds.astype("timedelta64[us]"), pa.timestamp("us", "UTC"))


def _names(truth: Truth, item: Ints) -> pa.Array:
    return pa.array(np.array(truth.items.ids, dtype=object)[item], pa.string())


def _numbered(noun: str, number: NDArray[np.integer]) -> pa.Array:
    levels, index = np.unique(number, return_inverse=True)
    names = np.array([f"{noun} {value + 1}" for value in levels], dtype=object)
    return pa.array(names[index], pa.string())
