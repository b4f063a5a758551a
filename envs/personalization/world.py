"""One visit as an episode: which item to show on which position (MODELLING 4.1).

A visitor x arrives and `slots` positions are filled one after the other, each item at most once;
with one slot an episode is a single decision. Whether an item is rewarded depends on x, the item
and its position, not on its neighbours. Rewards are expectations under the episode's member of the
response model; realised events are drawn only to confirm them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import gymnasium
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.world import Array, Outcome
from envs.personalization.best_slate import best_slate_value
from envs.personalization.model import (
    CELLS_AT_ONCE,
    CONTEXT_BOUND,
    Bools,
    Contexts,
    Floats,
    Ints,
    Items,
    LoggedRows,
    RewardModel,
    chunks,
    disagreement,
    logit_of,
    logits_of,
    mean_probability,
    sigmoid,
)
from envs.personalization.scenario import PersonalizationScenario, changed_model
from envs.personalization.settings import PersonalizationSettings

REFERENCE_ROWS = 2000  # contexts that the unit of reward is averaged over


class ItemSpace(gymnasium.spaces.Discrete):
    """The items by number, carrying what a policy may score them by: `item_features` [A, F]."""

    def __init__(self, item_features: NDArray[np.float32]) -> None:
        super().__init__(len(item_features))
        self.item_features = item_features


class VisitState(NamedTuple):
    """Where each copy's visit stands; `shown` has no columns where a visit has one slot."""

    visit: Ints  # [n] the context that is played
    slot: Ints  # [n] the position to fill next; `slots` when done
    shown: Bools  # [n, A] items already on the page


@dataclass(frozen=True)
class PersonalizationWorld:
    """Visits to be played: one episode a row of `contexts`, each with its member of the model.

    `history` are the logged rows that rules learn from; `reference` is the unit of reward.
    """

    model: RewardModel
    items: Items
    contexts: Contexts
    member: Ints  # [N]
    history: LoggedRows
    settings: PersonalizationSettings
    reference: float
    best: Floats | None = field(default=None, repr=False)  # [N] what each visit could earn

    @classmethod
    def drawn(
        cls,
        model: RewardModel,
        items: Items,
        contexts: Contexts,
        history: LoggedRows,
        settings: PersonalizationSettings,
        rng: Generator,
    ) -> PersonalizationWorld:
        """The world of these contexts, members drawn in equal shares.

        Raises:
            ValueError: some context has fewer eligible items than there are slots.
        """
        require_enough_items(model, contexts, settings.slots)
        member = rng.permutation(np.arange(contexts.size) % model.members).astype(np.int32)
        reference = reference_value(model, contexts)
        return cls(model, items, contexts, member, history, settings, reference)

    @property
    def horizon(self) -> int:
        """The slots of a page."""
        return self.settings.slots

    @property
    def episodes(self) -> int:
        """The number of visits."""
        return self.contexts.size

    @property
    def observation_space(self) -> gymnasium.spaces.Box:
        """The context, then the share of slots still to fill."""
        size = self.model.context_size + 1
        return gymnasium.spaces.Box(-CONTEXT_BOUND, CONTEXT_BOUND, (size,), np.float32)

    @property
    def action_space(self) -> ItemSpace:
        """The item to show next."""
        return ItemSpace(self.items.feature)

    def initial(self, n: int, rng: Generator) -> VisitState:
        """Start `n` visits, without repetition as far as the contexts last."""
        rounds = -(-n // self.contexts.size)
        visit = np.concatenate([rng.permutation(self.contexts.size) for _ in range(rounds)])[:n]
        return self._start(visit)

    def observe(self, state: VisitState) -> Array:
        """Context and slots left, `[n, D + 1]` float32."""
        slots = self.settings.slots
        x = np.clip(self.contexts.x[state.visit], -CONTEXT_BOUND, CONTEXT_BOUND)
        left = ((slots - state.slot) / slots).astype(np.float32)
        return np.concatenate([x, left[:, None]], axis=1)

    def action_mask(self, state: VisitState) -> Array | None:
        """Eligible items that are not on the page yet, `[n, A]`; None where all always are."""
        return allowed_items(self.contexts, state.visit, state.shown)

    def control(self, state: VisitState, action: Array) -> Array:
        """The item itself, `[n]`; in place of one that may not be shown, the best-liked that may.

        So that no action whatever shows an item to someone who is not eligible for it.
        """
        return permitted(self.model, self.action_mask(state), action)

    def step(self, state: VisitState, control: Array, rng: Generator) -> Outcome[VisitState]:
        """Show one item to every visitor whose page is not full.

        Raises:
            ValueError: a control shows an item that is not allowed.
        """
        running = state.slot < self.settings.slots
        item = np.asarray(control, np.int64)
        refuse_forbidden(self.action_mask(state), item, running)
        position = np.minimum(state.slot, self.model.positions - 1)
        x, member = self.contexts.x[state.visit], self.member[state.visit]
        chance = sigmoid(logit_of(self.model, member, x, item, position)) * running
        clicked = rng.random(len(item)) < chance
        shown = state.shown.copy()
        if shown.shape[1]:
            shown[running, item[running]] = True
        after = VisitState(state.visit, (state.slot + running).astype(np.int32), shown)
        doubt = disagreement(self.model, x, item, position, self.settings.pessimism)
        reward = chance - doubt * running
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
        columns = self.model.items if self.settings.slots > 1 else 0
        shown = np.zeros((len(visit), columns), np.bool_)
        return VisitState(visit.astype(np.int32), np.zeros(len(visit), np.int32), shown)

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
        return best_slate_value(logit, self.model.position[member][:, slots], state.slot)

    def under(self, scenario: PersonalizationScenario) -> PersonalizationWorld:
        """The same visitors with the scenario's response and taste."""
        changed = replace(self, model=changed_model(self.model, scenario))
        return changed if self.best is None else changed.with_hindsight()


def reference_value(model: RewardModel, contexts: Contexts) -> float:
    """The unit of reward: the mean over contexts of the largest eligible mean probability."""
    most = min(contexts.size, REFERENCE_ROWS, 1 + CELLS_AT_ONCE // model.items)
    rows = contexts.rows(np.arange(most))
    chance = mean_probability(model, rows.x)
    if rows.eligible is not None:
        chance = np.where(rows.eligible, chance, 0.0)
    return float(chance.max(axis=1).mean())


def require_enough_items(model: RewardModel, contexts: Contexts, slots: int) -> None:
    """Raise ValueError where a page cannot be filled."""
    available = (
        np.full(contexts.size, model.items)
        if contexts.eligible is None
        else contexts.eligible.sum(axis=1)
    )
    short = int((available < slots).sum())
    if short:
        raise ValueError(
            f"{short} of {contexts.size} contexts have fewer than {slots} eligible items (fewest: "
            f"{int(available.min())}); lower slots or widen the eligibility"
        )


def allowed_items(contexts: Contexts, visit: Array, shown: Bools) -> Bools | None:
    """Eligible and not yet shown, `[n, A]`; None where nothing is ever excluded.

    A full page allows everything again: there is nothing left to choose.
    """
    if contexts.eligible is None and shown.shape[1] == 0:
        return None
    allowed = np.ones(1, np.bool_) if contexts.eligible is None else contexts.eligible[visit]
    if shown.shape[1]:
        allowed = allowed & ~shown
    exhausted = ~allowed.any(axis=1)
    if exhausted.any():
        allowed = allowed.copy()
        allowed[exhausted] = True
    return np.asarray(allowed)


def permitted(model: RewardModel, mask: Bools | None, action: Array) -> Array:
    """`action [n]` where the mask allows it, elsewhere the allowed item with the largest bias."""
    item = np.asarray(action, np.int64).reshape(-1)
    if mask is None:
        return item
    forbidden = ~mask[np.arange(len(item)), item]
    if not forbidden.any():
        return item
    liked = np.where(mask[forbidden], model.bias.mean(axis=0), -np.inf)
    item = item.copy()
    item[forbidden] = liked.argmax(axis=1)
    return item


def refuse_forbidden(mask: Bools | None, item: Array, running: Bools) -> None:
    """Raise ValueError where an item is shown that the mask excludes."""
    if mask is None:
        return
    forbidden = running & ~mask[np.arange(len(item)), item]
    if forbidden.any():
        first = int(np.flatnonzero(forbidden)[0])
        raise ValueError(
            f"{int(forbidden.sum())} of {len(item)} controls show an item that is not allowed "
            f"(first: item {int(item[first])} in copy {first}); choose within action_mask"
        )
