"""What single visits and sessions have in common: visitors, items, masks and the unit of reward."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self

import gymnasium
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.scenario import Remark
from envs.core.season import Season
from envs.core.world import Array
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
    disagreement,
    logit_of,
    mean_probability,
    sigmoid,
)
from envs.personalization.scenario import PersonalizationScenario, season_of
from envs.personalization.settings import PersonalizationSettings

REFERENCE_ROWS = 2000  # contexts that the unit of reward is averaged over


class ItemSpace(gymnasium.spaces.Discrete):
    """The items by number, carrying what a policy may score them by: `item_features` [A, F]."""

    def __init__(self, item_features: NDArray[np.float32]) -> None:
        super().__init__(len(item_features))
        self.item_features = item_features


class PageState(Protocol):
    """What both kinds of state say of the page that is being filled."""

    @property
    def visit(self) -> Ints:
        """[n] the context that is played."""

    @property
    def slot(self) -> Ints:
        """[n] the position to fill next."""

    @property
    def shown(self) -> Bools:
        """[n, A] items already on the page; no columns where a page has one slot."""

    @property
    def attraction(self) -> Floats:
        """[n] sum of w = exp(logit) over the page so far, where its items compete; else 0."""


class Offer(NamedTuple):
    """One more item on every page: what it adds, all `[n]`.

    `chance` is the expected reward that it adds; `click` the probability that a reward is drawn
    now: where items compete, that of the whole page once it is full.
    """

    chance: Floats
    click: Floats
    attraction: Floats


@dataclass(frozen=True)
class Page:
    """Visitors and the items to choose from: a row of `contexts` each, with a member of the model.

    `history` are the logged rows that rules learn from; `reference` is the unit of reward.
    """

    model: RewardModel
    items: Items
    contexts: Contexts
    member: Ints  # [N]
    history: LoggedRows
    settings: PersonalizationSettings
    reference: float

    @classmethod
    def drawn(
        cls,
        model: RewardModel,
        items: Items,
        contexts: Contexts,
        history: LoggedRows,
        settings: PersonalizationSettings,
        rng: Generator,
        **more: Any,
    ) -> Self:
        """The world of these contexts, members drawn in equal shares; `more` fields of its kind.

        Raises:
            ValueError: some context has fewer eligible items than there are slots.
        """
        require_enough_items(model, contexts, settings.slots)
        member = rng.permutation(np.arange(contexts.size) % model.members).astype(np.int32)
        reference = reference_value(model, contexts)
        return cls(model, items, contexts, member, history, settings, reference, **more)

    @cached_property
    def season(self) -> Season:
        """What comes with the busy and the quiet days of the log that rules learn from."""
        return season_of(self.model, self.history)

    def remarks(self, scenario: PersonalizationScenario) -> tuple[Remark, ...]:
        """What the scenario's season brings with it."""
        return self.season.remarks(scenario.season)

    @property
    def episodes(self) -> int:
        """The number of visitors."""
        return self.contexts.size

    @property
    def action_space(self) -> ItemSpace:
        """The item to show next."""
        return ItemSpace(self.items.feature)

    def action_mask(self, state: PageState) -> Array | None:
        """Eligible items that are not on the page yet, `[n, A]`; None where all always are."""
        return allowed_items(self.contexts, state.visit, state.shown)

    def control(self, state: PageState, action: Array) -> Array:
        """The item itself, `[n]`; in place of one that may not be shown, the best-liked that may.

        So that no action whatever shows an item to someone who is not eligible for it.
        """
        return permitted(self.model, self.action_mask(state), action)

    def visitors(self, n: int, rng: Generator) -> Ints:
        """`n` of the visitors, `[n]`, without repetition as far as they last."""
        rounds = -(-n // self.contexts.size)
        visit = np.concatenate([rng.permutation(self.contexts.size) for _ in range(rounds)])[:n]
        return visit.astype(np.int32)

    def nothing_shown(self, n: int) -> Bools:
        """The items on `n` empty pages, `[n, A]`; no columns where a page has one slot."""
        return np.zeros((n, self.model.items if self.settings.slots > 1 else 0), np.bool_)

    def context(self, state: PageState) -> tuple[Array, Array]:
        """The visitors' contexts `[n, D]` within bounds, and the share of slots left `[n]`."""
        slots = self.settings.slots
        x = np.clip(self.contexts.x[state.visit], -CONTEXT_BOUND, CONTEXT_BOUND)
        return x, ((slots - state.slot) / slots).astype(np.float32)

    def logit(self, state: PageState, item: Array) -> Floats:
        """logit q of `item [n]` on the next position under each visitor's member, `[n]`."""
        x, member = self.contexts.x[state.visit], self.member[state.visit]
        return logit_of(self.model, member, x, item, self._position(state))

    def offered(self, state: PageState, logit: Floats) -> Offer:
        """One more item of `logit [n]` on every page (`choice.py`).

        Independent: chance = sigmoid(logit). Of one choice, with W = sum w over the page:
        chance = W' / (1 + W') - W / (1 + W), so that a page's sum to P(some item is chosen).
        """
        if not self.settings.one_choice:
            chance = sigmoid(logit)
            return Offer(chance, chance, state.attraction)
        after = state.attraction + np.exp(logit)
        page = after / (1 + after)
        full = state.slot + 1 >= self.settings.slots
        before = state.attraction / (1 + state.attraction)
        return Offer(page - before, np.where(full, page, 0.0), after)

    def doubt(self, state: PageState, item: Array, bored: Array | float = 0.0) -> Floats:
        """What pessimism takes off the reward of `item [n]`, `bored [n]` logits less: `[n]`.

        beta sd_k of what the item adds to the page as it stands, its W that of the visitor's own
        member: the members are asked about this decision, not about those before it.
        """
        x, beta = self.contexts.x[state.visit], self.settings.pessimism

        def added(logit: Floats) -> Floats:
            return self.offered(state, logit - bored).chance

        return disagreement(self.model, x, item, self._position(state), beta, added)

    def _position(self, state: PageState) -> Ints:
        """Pages longer than the fitted positions go on like the last one."""
        return np.minimum(state.slot, self.model.positions - 1).astype(np.int32)


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
