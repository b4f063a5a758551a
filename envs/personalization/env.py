"""`marketing/Personalization-v0`: spaces, observation, reward, ends; its documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from envs.core.env import WorldEnv
from envs.core.settings import load_settings
from envs.core.vector import WorldVectorEnv
from envs.personalization.session_world import SessionWorld
from envs.personalization.settings import PersonalizationSettings
from envs.personalization.truth import sample_settings, true_world

VISITORS_PER_DAY = 100
"""Of an environment made by `days`: enough that few copies play the same visitor."""


class PersonalizationEnv(WorldEnv):
    """Which item to show to each visitor, so that the most of them respond.

    ## Description
    One episode is one visit. A visitor with context x arrives; the agent fills the page's `slots`
    positions one after the other, each item at most once. An item is rewarded with probability
    `q(x, a, position) = sigmoid(bias_a + x . v_a + e_position)`, whatever stands beside it; with
    `one_choice` the items of a page compete for one reward, `w_a / (1 + sum of w over the page)`,
    w = exp(bias + x . v + e). With one slot (the default) both are a contextual bandit.

    ## Action Space
    `Discrete(A)`: the item to show next. The space carries `item_features` [A, F], so that a policy
    may score items instead of naming them; up to 10,000 items. `info["action_mask"]` says which may
    be shown: eligible for this visitor and not on the page yet. It is absent where every item
    always may. An item that may not be shown is never shown: the best-liked allowed one stands in.

    ## Observation Space
    `Box(-10, 10, (D + 1,), float32)`: the encoded context (numbers standardised, categories
    one-hot, D of them), then the share of the page's slots still to fill.

    ## Rewards
    The *expected* reward q of the item under the episode's member of the model, not the realised
    click: the same mean at a hundredth of the variance. Where items compete it is what the item
    adds to the page's probability of a reward; the reward is drawn when the page is full. Its unit
    is the mean over visitors of the largest q, so that the best decision earns about 1. `pessimism`
    takes off that many deviations of the item's reward between the members; where items compete, of
    what it adds to the page as it stands.

    ## Starting State
    A visitor drawn from the world's contexts; the member of the model was drawn with the episode.

    ## Episode End
    A full page: a termination. There are no truncations.

    ## Calibrated from
    A log of what was shown to whom (`envs/personalization/log.py`), by `envs/personalization/
    fit.py`; or, with `preset`, drawn from the built-in generator (`envs/personalization/
    generator.py`).

    ## Not modelled
    Effects of items on a page on each other, but for competing for one reward (diversity, items
    that go well together); several rewards a page from items that compete; visitors who come again
    (see `marketing/PersonalizationSession-v0`); response that drifts; prices and stock.

    ## Version History
    * v0: first version.
    """

    @staticmethod
    def world_of(**options: Any) -> Any:
        """As `make_world` says."""
        return make_world(sessions=False, **options)


class PersonalizationVectorEnv(WorldVectorEnv):
    """`marketing/Personalization-v0` for many copies at once; see `PersonalizationEnv`."""

    world_of = staticmethod(PersonalizationEnv.world_of)


def make_world(
    *,
    sessions: bool,
    calibration: str | Path | None = None,
    preset: str | None = None,
    days: int = 64,
    world_seed: int = 0,
    **settings: Any,
) -> Any:
    """A world from a saved calibration, or from the generator's `preset` where none is given.

    `days` of `VISITORS_PER_DAY` visitors; `settings` are fields of `PersonalizationSettings`.

    Raises:
        ValueError: the preset or the calibration is of the other kind of environment.
    """
    rng = np.random.default_rng(world_seed)
    episodes = days * VISITORS_PER_DAY
    if calibration is not None:
        # Calibrating pulls in more than the generator's own world needs.
        from envs.personalization.fit import PersonalizationCalibration

        folder = Path(calibration)
        chosen = load_settings(
            folder, PersonalizationSettings, **{"sessions": sessions, **settings}
        )
        loaded = PersonalizationCalibration.load(folder)
        world: Any = loaded.training_world(episodes, chosen, rng)
    else:
        name = preset or ("sessions" if sessions else "default")
        world = true_world(
            name, episodes, PersonalizationSettings(**sample_settings(settings)), rng
        )
    if isinstance(world, SessionWorld) != sessions:
        kind = "sessions" if sessions else "single visits"
        source = f"preset {preset!r}" if preset else "this calibration"
        raise ValueError(
            f"this environment plays {kind} and {source} does not: use "
            "marketing/Personalization-v0 for single visits and "
            "marketing/PersonalizationSession-v0 for sessions"
        )
    return world
