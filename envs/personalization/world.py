"""One visit as an episode: which item to show on which position (MODELLING 4.1).

A visitor x arrives and `slots` positions are filled one after the other, each item at most once;
with one slot an episode is a single decision. An item is rewarded on its own, or the items of a
page compete for one reward (`choice.py`). Rewards are expectations under the episode's member of
the response model; realised events are drawn only to confirm them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import gymnasium
import numpy as np
from numpy.random import Generator

from envs.core.moments import Moments, moments_of
from envs.core.world import Array, Outcome
from envs.personalization.best_slate import best_choice_value, best_slate_value
from envs.personalization.model import (
    CONTEXT_BOUND,
    Bools,
    Floats,
    Ints,
    chunks,
    logits_of,
)
from envs.personalization.page import Page, refuse_forbidden
from envs.personalization.scenario import (
    PersonalizationScenario,
    changed_contexts,
    changed_model,
)


class VisitState(NamedTuple):
    """Where each copy's visit stands; `shown` has no columns where a visit has one slot."""

    visit: Ints  # [n] the context that is played
    slot: Ints  # [n] the position to fill next; `slots` when done
    shown: Bools  # [n, A] items already on the page
    attraction: Floats  # [n] of the page so far, where its items compete


@dataclass(frozen=True)
class PersonalizationWorld(Page):
    """Visits to be played: one episode a row of `contexts`."""

    best: Floats | None = field(default=None, repr=False)  # [N] what each visit could earn

    @property
    def horizon(self) -> int:
        """The slots of a page."""
        return self.settings.slots

    @property
    def observation_space(self) -> gymnasium.spaces.Box:
        """The context, then the share of slots still to fill."""
        size = self.model.context_size + 1
        return gymnasium.spaces.Box(-CONTEXT_BOUND, CONTEXT_BOUND, (size,), np.float32)

    def initial(self, n: int, rng: Generator) -> VisitState:
        """Start `n` visits, without repetition as far as the contexts last."""
        return self._start(self.visitors(n, rng))

    def observe(self, state: VisitState) -> Array:
        """Context and slots left, `[n, D + 1]` float32."""
        x, left = self.context(state)
        return np.concatenate([x, left[:, None]], axis=1)

    def moments(self, state: VisitState) -> Moments:
        """When the visitors came, by the log's clock; nothing where no log was read."""
        time = self.contexts.time
        return Moments() if time is None else moments_of(time[state.visit])

    def step(self, state: VisitState, control: Array, rng: Generator) -> Outcome[VisitState]:
        """Show one item to every visitor whose page is not full.

        Raises:
            ValueError: a control shows an item that is not allowed.
        """
        running = state.slot < self.settings.slots
        item = np.asarray(control, np.int64)
        refuse_forbidden(self.action_mask(state), item, running)
        offer = self.offered(state, self.logit(state, item))
        chance = offer.chance * running
        clicked = rng.random(len(item)) < offer.click * running
        shown = state.shown.copy()
        if shown.shape[1]:
            shown[running, item[running]] = True
        attraction = np.where(running, offer.attraction, state.attraction)
        slot = (state.slot + running).astype(np.int32)
        after = VisitState(state.visit, slot, shown, attraction)
        reward = chance - self.doubt(state, item) * running
        return Outcome(
            state=after,
            reward=reward / self.reference,
            terminated=after.slot >= self.settings.slots,
            truncated=np.zeros(len(item), np.bool_),
            kpis={
                "visits": (running & (state.slot == 0)).astype(np.float64),
                "impressions": running.astype(np.float64),
                "value": chance * self.settings.event_value,
                "clicks": clicked.astype(np.float64),
            },
        )

    def with_hindsight(self) -> PersonalizationWorld:
        """The same world with what each visit could earn at best worked out."""
        everyone = np.arange(self.contexts.size)
        return replace(self, best=self._best_chance(self._start(everyone)))

    def potential(self, state: VisitState) -> Array:
        """The best still attainable, in units of the reward: `[n]`."""
        assert self.best is not None, "with_hindsight() comes first"
        if self.settings.slots == 1:
            return np.where(state.slot == 0, self.best[state.visit], 0.0) / self.reference
        return self._best_chance(state) / self.reference

    def ceiling(self, state: VisitState) -> Floats:
        """What the best items for the visitor's own member earn from `state` on: `[n]` currency."""
        return self._best_chance(state) * self.settings.event_value

    def _start(self, visit: Array) -> VisitState:
        n = len(visit)
        empty = np.zeros(n, np.int32), self.nothing_shown(n), np.zeros(n)
        return VisitState(visit.astype(np.int32), *empty)

    def _best_chance(self, state: VisitState) -> Floats:
        parts = chunks(len(state.visit), self.model.items)
        rows = [self._best_of(VisitState._make(column[part] for column in state)) for part in parts]
        return np.concatenate(rows)

    def _best_of(self, state: VisitState) -> Floats:
        x, member = self.contexts.x[state.visit], self.member[state.visit]
        logit = logits_of(self.model, member, x)
        mask = self.action_mask(state)
        if mask is not None:
            logit = np.where(mask, logit, -np.inf)
        slots = np.minimum(np.arange(self.settings.slots), self.model.positions - 1)
        effect = self.model.position[member][:, slots]
        if self.settings.one_choice:
            return best_choice_value(logit, effect, state.slot, state.attraction)
        return best_slate_value(logit, effect, state.slot)

    def under(self, scenario: PersonalizationScenario) -> PersonalizationWorld:
        """The same visitors with the scenario's response, taste, season and mix."""
        changed = replace(
            self,
            model=changed_model(self.model, scenario, self.season),
            contexts=changed_contexts(self.model, self.contexts, scenario),
        )
        return changed if self.best is None else changed.with_hindsight()
