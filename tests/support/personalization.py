"""Small personalization worlds for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.personalization.model import Contexts, Items, LoggedRows, RewardModel, item_features
from envs.personalization.session_world import SessionWorld
from envs.personalization.settings import PersonalizationSettings
from envs.personalization.world import PersonalizationWorld


def random_model(
    rng: np.random.Generator, *, members: int = 2, items: int = 6, size: int = 3, positions: int = 3
) -> RewardModel:
    """Rates around a tenth; later positions see less."""
    effect = np.zeros((members, positions))
    effect[:, 1:] = -np.sort(rng.random((members, positions - 1)), axis=1)
    return RewardModel(
        bias=-2.0 + 0.5 * rng.standard_normal((members, items)),
        vector=0.4 * rng.standard_normal((members, items, size)),
        position=effect,
    )


def small_visits(
    *, seed: int = 0, visitors: int = 40, share_eligible: float | None = None, **settings: Any
) -> PersonalizationWorld:
    """Six items, three context features, two members; some items not eligible where asked."""
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    contexts = _contexts(rng, visitors, model.items, share_eligible, settings.get("slots", 1))
    return PersonalizationWorld.drawn(
        model, _items(model), contexts, no_rows(model), PersonalizationSettings(**settings), rng
    )


def small_sessions(
    *, seed: int = 0, visitors: int = 40, share_eligible: float | None = None, **settings: Any
) -> SessionWorld:
    """The same with three categories of two items."""
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    contexts = _contexts(rng, visitors, model.items, share_eligible, settings.get("slots", 1))
    chosen = PersonalizationSettings(**settings)
    return SessionWorld.drawn(
        model, _items(model), contexts, no_rows(model), chosen, rng, terms=chosen.session_terms
    )


def no_rows(model: RewardModel) -> LoggedRows:
    """A log without rows."""
    nothing = np.zeros(0, np.int32)
    empty = np.zeros(0)
    x = np.zeros((0, model.context_size), np.float32)
    return LoggedRows(x, nothing, nothing, empty, empty, empty, None)


def _items(model: RewardModel) -> Items:
    category = np.arange(model.items, dtype=np.int32) // 2
    names = tuple(f"item {a}" for a in range(model.items))
    clickbait = np.linspace(0.0, 1.0, model.items)
    return Items(names, item_features(model, category), category, clickbait)


def _contexts(
    rng: np.random.Generator, visitors: int, items: int, share: float | None, slots: int
) -> Contexts:
    x = rng.standard_normal((visitors, 3)).astype(np.float32)
    if share is None:
        return Contexts(x, None)
    eligible = rng.random((visitors, items)) < share
    eligible[:, :slots] = True
    return Contexts(x, eligible)
