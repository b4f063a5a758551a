"""A session as an episode: pages of items until the visitor leaves, and may return (MODELLING 4.1).

    p(click)  = sigmoid(logit q(x, a, position) - eta b),   b = boredom with the item's category
    p(leave)  = l_click after a page with a click, else l_none + l_b x (mean b of the page)
    p(return) = sigmoid(c_0 + c_1 SAT), SAT = sigmoid(exposure), on each of the days that are left

After a page the boredom of its categories rises by one (at most K) and that of all others falls by
one. Where the items of a page compete for one click (`choice.py`), it is drawn when the page is
full. exposure <- memory exposure - 2 (clickbait - .5) with every item shown (RecSim's form). Clicks
and leaving use the boredom before the page. Rewards are expectations of the click; what happens
next is drawn, so that values are means over episodes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import gymnasium
import numpy as np
from numpy.random import Generator

from envs.core.moments import MICROSECONDS_PER_DAY, Moments, moments_of
from envs.core.world import Array, Outcome
from envs.personalization.model import CONTEXT_BOUND, Bools, Floats, Ints, sigmoid
from envs.personalization.page import Offer, Page, refuse_forbidden
from envs.personalization.scenario import (
    PersonalizationScenario,
    changed_contexts,
    changed_model,
    changed_terms,
)
from envs.personalization.settings import SessionTerms


class SessionState(NamedTuple):
    """Where each copy's visitor stands; `shown` has no columns where a page has one slot."""

    visit: Ints  # [n] the context that is played
    slot: Ints  # [n] the position to fill next
    shown: Bools  # [n, A] items on the current page
    attraction: Floats  # [n] of the page so far, where its items compete
    page_category: Bools  # [n, C] categories on the current page
    page_boredom: Floats  # [n] mean boredom over the page so far
    page_clicked: Bools  # [n]
    clicked: Bools  # [n] whether the last item was clicked
    boredom: Ints  # [n, C] 0..K
    exposure: Floats  # [n]
    day: Ints  # [n]
    steps: Ints  # [n]
    gone: Bools  # [n]


@dataclass(frozen=True, kw_only=True)
class SessionWorld(Page):
    """Sessions to be played: one visitor a row of `contexts`."""

    terms: SessionTerms

    @property
    def horizon(self) -> int:
        """The items that a visitor is shown at most, over all days; the cut is a truncation."""
        return self.terms.session_limit

    @property
    def observation_space(self) -> gymnasium.spaces.Box:
        """Context, slots left, boredom by category, last click, satisfaction, day, presence."""
        size = self.model.context_size + self.items.categories + 5
        return gymnasium.spaces.Box(-CONTEXT_BOUND, CONTEXT_BOUND, (size,), np.float32)

    def initial(self, n: int, rng: Generator) -> SessionState:
        """Start `n` visitors, without repetition as far as the contexts last; nobody is bored."""
        categories = self.items.categories
        return SessionState(
            visit=self.visitors(n, rng),
            slot=np.zeros(n, np.int32),
            shown=self.nothing_shown(n),
            attraction=np.zeros(n),
            page_category=np.zeros((n, categories), np.bool_),
            page_boredom=np.zeros(n),
            page_clicked=np.zeros(n, np.bool_),
            clicked=np.zeros(n, np.bool_),
            boredom=np.zeros((n, categories), np.int32),
            exposure=np.zeros(n),
            day=np.zeros(n, np.int32),
            steps=np.zeros(n, np.int32),
            gone=np.zeros(n, np.bool_),
        )

    def observe(self, state: SessionState) -> Array:
        """`[n, D + C + 5]` float32; shares of their ranges after the context."""
        x, left = self.context(state)
        satisfaction = sigmoid(state.exposure) * (self.terms.days > 1)
        columns: list[Array] = [
            x,
            left[:, None],
            state.boredom / self.terms.boredom_levels,
            state.clicked[:, None],
            satisfaction[:, None],
            (state.day / self.terms.days)[:, None],
            ~state.gone[:, None],
        ]
        return np.concatenate(columns, axis=1).astype(np.float32)

    def chances(self, state: SessionState, item: Array) -> Floats:
        """The expected clicks that `item [n]` adds in this state, `[n]`."""
        return self._offer(state, item).chance

    def _offer(self, state: SessionState, item: Array) -> Offer:
        return self.offered(state, self.logit(state, item) - self._worn(state, item))

    def _worn(self, state: SessionState, item: Array) -> Floats:
        """eta b: the logits that boredom takes off `item [n]`, `[n]`."""
        return np.asarray(self.terms.boredom * self._bored(state, item))

    def _bored(self, state: SessionState, item: Array) -> Ints:
        return state.boredom[np.arange(len(item)), self.items.category[item]]

    def step(self, state: SessionState, control: Array, rng: Generator) -> Outcome[SessionState]:
        """Show one item to every visitor who is still here.

        Raises:
            ValueError: a control shows an item that is not allowed.
        """
        running = ~state.gone
        item = np.asarray(control, np.int64)
        refuse_forbidden(self.action_mask(state), item, running)
        offer = self._offer(state, item)
        chance = offer.chance * running
        click_luck, leave_luck, return_luck = rng.random((3, len(item)))
        clicked = click_luck < offer.click * running
        doubt = self.doubt(state, item, self._worn(state, item)) * running
        shown = self._shown(state, item, clicked, running)
        shown = shown._replace(attraction=np.where(running, offer.attraction, state.attraction))
        after = self._turned(shown, running, leave_luck, return_luck)
        return Outcome(
            state=after,
            reward=(chance - doubt) / self.reference,
            terminated=after.gone,
            truncated=~after.gone & (after.steps >= self.terms.session_limit),
            kpis={
                "visits": (running & (state.steps == 0)).astype(np.float64),
                "impressions": running.astype(np.float64),
                "value": chance * self.settings.event_value,
                "clicks": clicked.astype(np.float64),
            },
        )

    def _shown(
        self, state: SessionState, item: Array, clicked: Bools, running: Bools
    ) -> SessionState:
        """The page with one more item on it."""
        rows = np.flatnonzero(running)
        category = self.items.category[item]
        shown, page_category = state.shown.copy(), state.page_category.copy()
        if shown.shape[1]:
            shown[rows, item[rows]] = True
        page_category[rows, category[rows]] = True
        share = self._bored(state, item) / self.settings.slots
        exposure = self.terms.satisfaction_memory * state.exposure - 2 * (
            self.items.clickbait[item] - 0.5
        )
        return state._replace(
            slot=state.slot + running.astype(np.int32),
            shown=shown,
            page_category=page_category,
            page_boredom=state.page_boredom + share * running,
            page_clicked=state.page_clicked | clicked,
            clicked=np.where(running, clicked, state.clicked),
            exposure=np.where(running, exposure, state.exposure),
            steps=state.steps + running.astype(np.int32),
        )

    def _turned(
        self, state: SessionState, running: Bools, leave_luck: Floats, return_luck: Floats
    ) -> SessionState:
        """After a full page: boredom moves, the visitor stays, leaves, or returns another day."""
        full = running & (state.slot >= self.settings.slots)
        leaving = np.where(
            state.page_clicked,
            self.terms.leave_click,
            self.terms.leave_none + self.terms.leave_boredom * state.page_boredom,
        )
        leaves = full & (leave_luck < leaving)
        returning = sigmoid(
            self.terms.return_intercept + self.terms.return_satisfaction * sigmoid(state.exposure)
        )
        returns = leaves & (state.day + 1 < self.terms.days) & (return_luck < returning)
        moved = np.clip(
            state.boredom + np.where(state.page_category, 1, -1), 0, self.terms.boredom_levels
        )
        boredom = np.where(full[:, None], moved, state.boredom)
        boredom[returns] = 0  # a day is enough to forget
        return state._replace(
            slot=np.where(full, 0, state.slot).astype(np.int32),
            shown=state.shown & ~full[:, None],
            page_category=state.page_category & ~full[:, None],
            page_boredom=np.where(full, 0.0, state.page_boredom),
            attraction=np.where(full, 0.0, state.attraction),
            page_clicked=state.page_clicked & ~full,
            boredom=boredom.astype(np.int32),
            day=(state.day + returns).astype(np.int32),
            gone=state.gone | (leaves & ~returns),
        )

    def moments(self, state: SessionState) -> Moments:
        """When the visitors came, and come again; nothing where no log was read."""
        time = self.contexts.time
        if time is None:
            return Moments()
        return moments_of(time[state.visit] + state.day.astype(np.int64) * MICROSECONDS_PER_DAY)

    def under(self, scenario: PersonalizationScenario) -> SessionWorld:
        """The same visitors with the scenario's response, taste, season, mix and patience."""
        return replace(
            self,
            model=changed_model(self.model, scenario, self.season),
            contexts=changed_contexts(self.model, self.contexts, scenario),
            terms=changed_terms(self.terms, scenario),
        )
