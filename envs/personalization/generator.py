"""The ground-truth visitors and items behind the built-in samples (MODELLING 6.3).

One-step (C1): d = 8, 20 items, x ~ N(0, I),

    q(x, a) = sigmoid(-5.6 + mu_a + .5 x . v_a),   mu_a ~ N(0, .35^2),  v_a ~ N(0, I / d)
    logging = .8 softmax_a(2 (mu_a + .3 x . v_a + noise_a)) + .2 uniform,  noise_a ~ N(0, .2^2)

drawn in the order mu, v, noise from one generator: with seed 1 this reproduces the published means
over items (.00423), of the best fixed item (.00581) and of the argmax (.00972).

Sessions (C2): 3 segments (one-hot x), 3 categories with two items each,

    p = sigmoid(-4.2 + aff[segment, category] + {.30, -.20} - eta b_category).

Slates: three of the C1 items on a page, dealt at random; at most one is chosen, by a conditional
logit of w = exp(-3 + mu_a + .5 x . v_a + {0, -.4, -.8}) against 1 for none.

Seasons: C1 on days of traffic LN(0, .3^2) x the usual, on which other people come: x_1 has the mean
log traffic, so that busy days bring more of those who like what x_1 stands for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from envs.personalization.model import (
    Contexts,
    Floats,
    Ints,
    Items,
    RewardModel,
    SoftmaxPolicy,
    item_features,
)

VISITS_PER_DAY = 10_000
"""Of the one-step sample: thirty days are the 300,000 rows of MODELLING 6.3."""

SESSIONS_PER_DAY = 1_000
"""Of the session sample: about seven items are shown in each."""

TASTE_SEED = 1
"""The built-in items are the ones of the published values."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What the built-in samples differ in; effects are logits, leaving a probability a step."""

    sessions: bool = False
    slots: int = 1
    items: int = 20
    context_size: int = 8
    intercept: float = -5.6
    item_sd: float = 0.35
    interaction: float = 0.5
    boredom: float = 0.5  # eta
    leave_boredom: float = 0.01  # l_b
    traffic_sd: float = 0.0  # of the log of a day's traffic


PRESETS: dict[str, Preset] = {
    "default": Preset(),
    "sessions": Preset(sessions=True),
    "no_boredom": Preset(sessions=True, boredom=0.0),
    "slates": Preset(slots=3, intercept=-3.0),
    "seasons": Preset(traffic_sd=0.3),
}

POSITION_EFFECT = np.array([0.0, -0.4, -0.8])  # of the slates' places, logits
AFFINITY = np.array([[0.9, 0.0, -0.6], [-0.3, 0.8, 0.0], [0.0, -0.5, 0.7]])  # [segment, category]
ITEM_EFFECT = np.array([0.30, -0.20])  # of the two items of a category
SESSION_INTERCEPT = -4.2
SEASON_DAYS = 60  # of the seasonal market, where nothing says how many


@dataclass(frozen=True)
class Truth:
    """The generator's own answer: the model (K = 1), its items, and the policy that logged."""

    model: RewardModel
    items: Items
    logging: SoftmaxPolicy
    preset: Preset

    def traffic(self, days: int, rng: Generator) -> Floats:
        """The traffic of `days` days, x the mean day's, `[days]`."""
        drawn = np.exp(self.preset.traffic_sd * rng.standard_normal(days))
        return np.asarray(drawn / drawn.mean())

    def contexts(self, count: int, rng: Generator, traffic: Floats | None = None) -> Contexts:
        """`count` visitors of days of `traffic [count]`; every item is eligible."""
        if self.preset.sessions:
            segment = rng.integers(0, len(AFFINITY), count)
            return Contexts(np.eye(len(AFFINITY), dtype=np.float32)[segment], None)
        x = rng.standard_normal((count, self.model.context_size))
        if not self.preset.traffic_sd:
            return Contexts(x.astype(np.float32), None)
        if traffic is None:
            days = self.traffic(SEASON_DAYS, rng)
            traffic = rng.choice(days, count, p=days / days.sum())
        x[:, 0] += np.log(traffic)
        return Contexts(x.astype(np.float32), None, traffic)


def truth_of(preset: Preset, seed: int = TASTE_SEED) -> Truth:
    """The items that `seed` draws; sessions have fixed ones."""
    if preset.sessions:
        return _sessions(preset)
    rng = np.random.default_rng(seed)
    mu = preset.item_sd * rng.standard_normal(preset.items)
    v = rng.standard_normal((preset.items, preset.context_size)) / np.sqrt(preset.context_size)
    noise = 0.2 * rng.standard_normal(preset.items)
    model = RewardModel(
        bias=(preset.intercept + mu)[None],
        vector=(preset.interaction * v)[None],
        position=POSITION_EFFECT[None, : preset.slots],
    )
    if preset.slots > 1:  # pages are dealt at random, so that every propensity is 1 / items
        dealt = SoftmaxPolicy(np.zeros(preset.items), np.zeros_like(v), uniform=1.0)
        return Truth(model, _items(model, np.zeros(preset.items, np.int32)), dealt, preset)
    logging = SoftmaxPolicy(bias=2 * (mu + noise), vector=2 * 0.3 * v, uniform=0.2)
    return Truth(model, _items(model, np.zeros(preset.items, np.int32)), logging, preset)


def _sessions(preset: Preset) -> Truth:
    segments, categories = AFFINITY.shape
    category = np.repeat(np.arange(categories, dtype=np.int32), len(ITEM_EFFECT))
    model = RewardModel(
        bias=(SESSION_INTERCEPT + np.tile(ITEM_EFFECT, categories))[None],
        vector=AFFINITY[:, category].T[None],
        position=np.zeros((1, 1)),
    )
    items = len(category)
    logging = SoftmaxPolicy(np.zeros(items), np.zeros((items, segments)), uniform=1.0)
    return Truth(model, _items(model, category), logging, preset)


def _items(model: RewardModel, category: Ints) -> Items:
    names = tuple(f"item_{a:02d}" for a in range(model.items))
    return Items(names, item_features(model, category), category, np.zeros(model.items))
