"""The generator's own worlds: fresh visitors, the true response, and a log to learn from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import Generator

from envs.personalization.columns import codes
from envs.personalization.generator import PRESETS, Truth, truth_of
from envs.personalization.model import LoggedRows, drawn_items, logit_of, sigmoid
from envs.personalization.session_world import SessionWorld
from envs.personalization.settings import PersonalizationSettings
from envs.personalization.world import PersonalizationWorld

HISTORY_ROWS = 100_000
"""What rules learn from in the generator's own world: ten days of the one-step sample."""


def sample_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The given settings over those of the built-in sample: a click is worth 1."""
    return {"currency": "clicks", "event_value": 1.0, **settings}


def true_world(
    preset: str, episodes: int, settings: PersonalizationSettings, rng: Generator
) -> PersonalizationWorld | SessionWorld:
    """`episodes` fresh visitors of the generator, with what one log of it teaches rules.

    Raises:
        ValueError: there is no such preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}: choose one of {sorted(PRESETS)}")
    return world_of(truth_of(PRESETS[preset]), episodes, settings, rng)


def world_of(
    truth: Truth,
    episodes: int,
    settings: PersonalizationSettings,
    rng: Generator,
    *,
    history_rows: int = HISTORY_ROWS,
) -> PersonalizationWorld | SessionWorld:
    """`true_world` of any truth; presets bring their own boredom, or the form of their pages."""
    history = logged_rows(truth, history_rows, rng)
    contexts = truth.contexts(episodes, rng)
    if truth.preset.slots > 1:
        settings = replace(settings, slots=truth.preset.slots, one_choice=True)
    if not truth.preset.sessions and not settings.sessions:
        return PersonalizationWorld.drawn(
            truth.model, truth.items, contexts, history, settings, rng
        )
    terms = settings.session_terms
    if truth.preset.sessions:
        terms = terms._replace(
            boredom=truth.preset.boredom, leave_boredom=truth.preset.leave_boredom
        )
    return SessionWorld.drawn(
        truth.model, truth.items, contexts, history, settings, rng, terms=terms
    )


def logged_rows(truth: Truth, count: int, rng: Generator) -> LoggedRows:
    """`count` single decisions of the logging policy with their true propensities."""
    contexts = truth.contexts(count, rng)
    chance = truth.logging.probabilities(contexts.x, contexts.eligible)
    item = drawn_items(chance, rng)
    rows = np.arange(count)
    nothing = np.zeros(count, np.int32)
    rate = sigmoid(logit_of(truth.model, nothing, contexts.x, item, nothing))
    return LoggedRows(
        x=contexts.x,
        item=item,
        position=nothing,
        propensity=chance[rows, item],
        reward=(rng.random(count) < rate).astype(np.float64),
        weight=np.ones(count),
        eligible=contexts.eligible,
        day=None if contexts.traffic is None else codes(contexts.traffic),
    )
