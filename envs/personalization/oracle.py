"""The ceilings: the best item for every context, and value iteration over boredom in sessions.

Sessions of one slot a page and one day have a finite state per visitor, the boredom of every
category, (K + 1)^C of them. With p the click probability of the best item of a category,

    V(b) = max_c  p + [p (1 - l_click) + (1 - p) (1 - l_none - l_b b_c)] V(b'),

b' the boredom after showing c. Within a category the best item is the one most likely to be
clicked, since a click also keeps the visitor. Solved for all visitors at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.personalization.model import Floats, Ints, chunks, logits_of, sigmoid
from envs.personalization.session_world import SessionState, SessionWorld
from envs.personalization.settings import SessionTerms
from envs.personalization.world import PersonalizationWorld, VisitState

MOST_CELLS = 5_000_000
"""Kinds of visitor x states x categories that value iteration takes on: about a minute."""

CONVERGED = 1e-12


class Boredom(NamedTuple):
    """All states of boredom: their levels, and where showing each category leads."""

    level: Ints  # [S, C]
    after: Ints  # [S, C]


def boredom_states(categories: int, levels: int) -> Boredom:
    """Every combination of 0..levels; state 0 is nobody bored."""
    grid = np.indices((levels + 1,) * categories).reshape(categories, -1).T.astype(np.int32)
    weight = (levels + 1) ** np.arange(categories - 1, -1, -1)
    showing = np.eye(categories, dtype=np.int32)[None] * 2 - 1  # [1, C shown, C]
    moved = np.clip(grid[:, None, :] + showing, 0, levels)
    return Boredom(grid, (moved @ weight).astype(np.int32))


def click_and_stay(logit: Floats, states: Boredom, terms: SessionTerms) -> tuple[Floats, Floats]:
    """Of showing each category in each state: p(click) and p(stay), both `[n, S, C]`.

    `logit [n, C]` is the item's without boredom.
    """
    chance = sigmoid(logit[:, None, :] - terms.boredom * states.level[None])
    bored = 1 - terms.leave_none - terms.leave_boredom * states.level
    return chance, chance * (1 - terms.leave_click) + (1 - chance) * bored


def optimal_values(logit: Floats, terms: SessionTerms) -> tuple[Floats, NDArray[np.intp]]:
    """V* and the best category of every state: `[n, C]` -> `[n, S]` expected clicks, `[n, S]`.

    `logit [n, C]` is the best eligible item's of each category, -inf where there is none.
    """
    states = boredom_states(logit.shape[1], terms.boredom_levels)
    chance, stay = click_and_stay(logit, states, terms)
    # A category without an item must not be taken for one that is merely never clicked.
    offered = np.isfinite(logit)[:, None, :]
    value = np.zeros((len(logit), len(states.level)))
    for _ in range(100_000):
        worth = np.where(offered, chance + stay * value[:, states.after], -np.inf)
        improved = worth.max(axis=2)
        moved = float(np.abs(improved - value).max())
        value = improved
        if moved < CONVERGED:
            return value, worth.argmax(axis=2)
    raise ArithmeticError("value iteration does not settle: visitors hardly ever leave")


def policy_values(logit: Floats, category: Ints, policy: Floats, terms: SessionTerms) -> Floats:
    """V of a stationary policy from every state, by a linear solve: `[n, S]` expected clicks.

    `logit [n, A]` are the items' without boredom, `policy [n, S, A]` the probability of each.
    """
    states = boredom_states(int(category.max()) + 1, terms.boredom_levels)
    shown = states.level[:, category]  # [S, A] boredom with each item's category
    chance = sigmoid(logit[:, None, :] - terms.boredom * shown[None])
    bored = 1 - terms.leave_none - terms.leave_boredom * shown
    stay = chance * (1 - terms.leave_click) + (1 - chance) * bored
    gain = (policy * chance).sum(axis=2)
    size = len(states.level)
    values = np.empty((len(logit), size))
    for row in range(len(logit)):
        onward = np.zeros((size, size))
        for item, group in enumerate(category):
            np.add.at(
                onward,
                (np.arange(size), states.after[:, group]),
                policy[row, :, item] * stay[row, :, item],
            )
        values[row] = np.linalg.solve(np.eye(size) - onward, gain[row])
    return values


def value_of_choices(
    world: SessionWorld, choose: Callable[[SessionState], NDArray[np.integer]]
) -> Floats:
    """The exact value `[N]` of a deterministic policy for every visitor, expected clicks.

    The law of (boredom, last click) is carried forward for as long as visitors may stay, so that no
    episode is drawn: V = sum_t sum_s P(s_t = s) p(click | s, a(s)). For pages of one slot and one
    day, and policies that look at no more than the observation.
    """
    assert world.settings.slots == 1
    assert world.terms.days == 1
    states = boredom_states(world.items.categories, world.terms.boredom_levels)
    size, visitors = len(states.level), world.episodes
    grid = visitors * size * 2
    visit = np.repeat(np.arange(visitors, dtype=np.int32), size * 2)
    place = np.tile(np.repeat(np.arange(size), 2), visitors)
    state = world.initial(grid, np.random.default_rng(0))._replace(
        visit=visit,
        boredom=states.level[place],
        clicked=np.tile([False, True], visitors * size),
    )
    item = np.asarray(choose(state))
    category = world.items.category[item]
    chance = world.chances(state, item)
    bored = states.level[place, category]
    stay_clicked = chance * (1 - world.terms.leave_click)
    stay_not = (1 - chance) * (1 - world.terms.leave_none - world.terms.leave_boredom * bored)
    onward = (visit.astype(np.int64) * size + states.after[place, category]) * 2
    law = np.zeros(grid)
    law[np.arange(visitors) * size * 2] = 1.0
    value = np.zeros(visitors)
    for _ in range(world.terms.session_limit):
        value += (law * chance).reshape(visitors, -1).sum(axis=1)
        clicked = np.bincount(onward + 1, law * stay_clicked, grid).astype(np.float64)
        law = clicked + np.bincount(onward, law * stay_not, grid)
    return value


def ceiling(world: PersonalizationWorld | SessionWorld, state: VisitState | SessionState) -> Floats:
    """The most that is expected from the start of every copy's episode, `[n]` currency.

    One-step pages: the best slate for the visitor's member, exactly. Sessions: V* by value
    iteration; where pages have several slots, visitors return or there are too many categories, an
    upper bound instead (nobody ever bored, every position the best item, always satisfied).
    """
    if isinstance(world, PersonalizationWorld):
        assert isinstance(state, VisitState)
        return world.ceiling(state)
    assert isinstance(state, SessionState)
    needed, inverse = np.unique(state.visit, return_inverse=True)
    best = np.concatenate(
        [_best_by_category(world, needed[part]) for part in chunks(len(needed), world.model.items)]
    )
    # Visitors alike in what they like have one value, however many of them the world has.
    kinds, kind = np.unique(best, axis=0, return_inverse=True)
    if is_exact(world, len(kinds)):
        value = _exact(world, kinds)[kind.reshape(-1)]
    else:
        value = _bound(world, best, needed)
    return np.asarray(value[inverse] * world.settings.event_value)


def _best_by_category(world: SessionWorld, visit: NDArray[np.integer]) -> Floats:
    """The largest eligible logit of each category at the first position, `[n, C]`."""
    logit = logits_of(world.model, world.member[visit], world.contexts.x[visit])
    if world.contexts.eligible is not None:
        logit = np.where(world.contexts.eligible[visit], logit, -np.inf)
    return by_category(logit, world.items.category)


def is_exact(world: SessionWorld, kinds: int) -> bool:
    """Whether the `ceiling` of so many kinds of visitor is attained by some policy, or a bound."""
    categories = world.items.categories
    cells = kinds * categories * float(world.terms.boredom_levels + 1) ** categories
    return world.settings.slots == 1 and world.terms.days == 1 and cells <= MOST_CELLS


def by_category(logit: Floats, category: Ints) -> Floats:
    """The largest logit of each category: `[n, A]` -> `[n, C]`; -inf where it has no item."""
    columns = [
        logit[:, category == c].max(axis=1, initial=-np.inf) for c in range(int(category.max()) + 1)
    ]
    return np.column_stack(columns)


def _exact(world: SessionWorld, kinds: Floats) -> Floats:
    """V* of every kind of visitor, `[k, C]` -> `[k]`."""
    states = (world.terms.boredom_levels + 1) ** world.items.categories
    values = [
        optimal_values(kinds[part], world.terms)[0][:, 0]
        for part in chunks(len(kinds), states * kinds.shape[1])
    ]
    return np.concatenate(values)


def _bound(world: SessionWorld, best: Floats, visit: NDArray[np.integer]) -> Floats:
    """Nobody ever bored, every position as good as the best, everyone satisfied."""
    terms, slots = world.terms, world.settings.slots
    position = world.model.position[world.member[visit]].max(axis=1)
    chance = sigmoid(best.max(axis=1) + position)
    clicked = 1 - (1 - chance) ** slots
    stay = clicked * (1 - terms.leave_click) + (1 - clicked) * (1 - terms.leave_none)
    pages = np.where(stay < 1, 1 / np.maximum(1 - stay, 1e-12), np.inf)
    satisfied = terms.return_intercept + max(0.0, terms.return_satisfaction)
    returning = float(sigmoid(np.asarray(satisfied)))
    sessions = sum(returning**day for day in range(terms.days))
    shown = np.minimum(pages * slots * sessions, terms.session_limit)
    return np.asarray(chance * shown)
