"""The later part's impressions as the engine's evidence reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.core.logged import LoggedDecisions
from envs.personalization.evidence import CELL_BITS, context_cells, q_at_position
from envs.personalization.model import (
    Floats,
    Ints,
    Items,
    RewardModel,
    logit_of,
    mean_probability,
    sigmoid,
)
from envs.personalization.session_fit import pages_of
from envs.personalization.session_world import SessionWorld
from envs.personalization.shift import logged_shift
from envs.personalization.visits import Visits
from envs.personalization.world import PersonalizationWorld, VisitState

MOST_ITEM_GROUPS = 50
"""Catalogues up to this size are compared item by item, larger ones by how likely a reward is."""

_CHANCE_GROUPS = 10
_MOST_BOREDOM_CELLS = 128  # what a log of some ten thousand sessions can fill


class LaterRows(NamedTuple):
    """The rows of the later part with their propensities and where these come from."""

    visits: Visits
    propensity: Floats  # [M]
    propensities: Literal["logged", "estimated"]


def logged_decisions(
    rows: LaterRows,
    earlier: Visits,
    model: RewardModel,
    items: Items,
    terms: Mapping[str, float],
    world: PersonalizationWorld | SessionWorld,
) -> LoggedDecisions:
    """The later rows as `world`'s policies would have seen them.

    `earlier`, `model` and `terms` are what the training simulator was fitted to and is. Items that
    stood beside a row on its page count as not shown yet. A log that says nothing of sessions has
    decisions that stand alone.
    """
    sessions = isinstance(world, SessionWorld)
    order = np.lexsort((rows.visits.time, rows.visits.session)) if sessions else slice(None)
    visits, propensity = (
        rows.visits.rows(np.arange(rows.visits.size)[order]),
        rows.propensity[order],
    )
    levels = world.settings.boredom_levels
    shift = logged_shift(visits, items.category, model, terms, levels)
    foretold = np.stack([
        sigmoid(_logit(model, k, visits) + (0.0 if shift is None else shift))
        for k in range(model.members)
    ])  # fmt: skip
    in_context = context_cells(earlier.x)
    observation = _observed(world, visits, _boredom(visits, items.category, levels, sessions))
    cell_of = _cell_reader(world, in_context, earlier.x.shape[1])
    seen_cell = in_context(earlier.x)
    if sessions:
        seen_cell = _with_boredom(
            seen_cell, _boredom(earlier, items.category, levels, sessions), levels
        )
    alone = -1 - np.arange(visits.size)
    sequence = np.where(visits.session < 0, alone, visits.session) if sessions else alone
    step = _places(sequence)
    worth = world.settings.event_value

    def expected(index: NDArray[Any]) -> Floats:
        part = visits.rows(index)
        q = q_at_position(
            model, part, mean_probability(model, part.x), None if shift is None else shift[index]
        )
        return q * worth

    cells = (1 << CELL_BITS) * (_boredom_cells(items.categories, levels) if sessions else 1)
    seen = np.bincount(
        seen_cell * model.items + earlier.item, earlier.weight, minlength=cells * model.items
    ).reshape(cells, model.items)
    group, groups = _groups(visits, items, foretold.mean(axis=0))
    return LoggedDecisions(
        observation=observation,
        mask=visits.eligible,
        action=visits.item.astype(np.int64),
        propensity=propensity,
        propensities=rows.propensities,
        reward=visits.reward * worth,
        event=visits.reward,
        weight=visits.weight,
        unit=visits.unit.astype(np.int64),
        sequence=sequence.astype(np.int64),
        step=step,
        terminal=True,
        cell=cell_of(observation),
        cell_of=cell_of,
        seen=seen.astype(np.float64),
        group=group,
        groups=groups,
        foretold=foretold,
        expected=None if step.any() else expected,
        actions=items.ids,
        discount=1.0,
    )


def _logit(model: RewardModel, k: int, visits: Visits) -> Floats:
    position = np.minimum(visits.position, model.positions - 1)
    return logit_of(model, np.full(visits.size, k), visits.x, visits.item, position)


def _observed(
    world: PersonalizationWorld | SessionWorld, visits: Visits, boredom: NDArray[np.int64]
) -> NDArray[np.float32]:
    """What a policy sees at every row, `[M, obs]`: the world's own way of looking."""
    contexts = world.contexts._replace(x=visits.x, eligible=visits.eligible)
    n = visits.size
    visit = np.arange(n, dtype=np.int32)
    slot = np.minimum(visits.position, world.settings.slots - 1).astype(np.int32)
    if not isinstance(world, SessionWorld):
        looking = replace(world, contexts=contexts)
        return looking.observe(VisitState(visit, slot, world.nothing_shown(n), np.zeros(n)))
    playing = replace(world, contexts=contexts)
    first = _places(visits.session) == 0
    nobody = playing.initial(n, np.random.default_rng(0))
    return playing.observe(
        nobody._replace(
            visit=visit,
            slot=slot,
            boredom=boredom.astype(np.int32),
            clicked=np.roll(visits.reward > 0, 1) & ~first,
        )
    )


def _cell_reader(
    world: PersonalizationWorld | SessionWorld,
    in_context: Callable[[NDArray[np.float32]], NDArray[np.int64]],
    size: int,
) -> Callable[[NDArray[np.float32]], NDArray[np.int64]]:
    """What reads a context's cell, and boredom where there are sessions, from observations."""
    if not isinstance(world, SessionWorld):
        return lambda observation: in_context(observation[:, :size])
    levels, categories = world.terms.boredom_levels, world.items.categories

    def cell_of(observation: NDArray[np.float32]) -> NDArray[np.int64]:
        shares = observation[:, size + 1 : size + 1 + categories]
        boredom = np.rint(shares * levels).astype(np.int64)
        return _with_boredom(in_context(observation[:, :size]), boredom, levels)

    return cell_of


def _boredom(visits: Visits, category: Ints, levels: int, sessions: bool) -> NDArray[np.int64]:
    """Boredom with every category at each row, `[M, C]`; 0 where nothing is said of sessions."""
    if not sessions:
        return np.zeros((visits.size, 1), np.int64)
    pages = pages_of(visits, category, levels)
    return pages.before[pages.page].astype(np.int64)


def _boredom_cells(categories: int, levels: int) -> int:
    return min(int((levels + 1) ** categories), _MOST_BOREDOM_CELLS)


def _with_boredom(
    context: NDArray[np.int64], boredom: NDArray[np.int64], levels: int
) -> NDArray[np.int64]:
    """The cell of a context and of boredom: with every category, or of its sum where too many."""
    categories = boredom.shape[1]
    if _boredom_cells(categories, levels) == (levels + 1) ** categories:
        place = boredom @ ((levels + 1) ** np.arange(categories))
    else:
        place = np.minimum(boredom.sum(axis=1), _MOST_BOREDOM_CELLS - 1)
    return np.asarray(context + (1 << CELL_BITS) * place, np.int64)


def _places(sequence: NDArray[Any]) -> NDArray[np.int64]:
    """0, 1, 2 .. within every run of equal numbers."""
    first = np.flatnonzero(np.concatenate([[True], np.diff(sequence) != 0])[: len(sequence)])
    return np.arange(len(sequence)) - np.repeat(first, np.diff([*first, len(sequence)]))


def _groups(
    visits: Visits, items: Items, chance: Floats
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """What residuals are taken over: the item, or of a large catalogue the chance of a reward."""
    if len(items.ids) <= MOST_ITEM_GROUPS:
        return visits.item.astype(np.int64), items.ids
    edges = np.quantile(chance, np.arange(1, _CHANCE_GROUPS) / _CHANCE_GROUPS)
    names = tuple(
        f"items with a chance of a reward in tenth {n + 1}" for n in range(_CHANCE_GROUPS)
    )
    return np.searchsorted(edges, chance, side="right"), names
