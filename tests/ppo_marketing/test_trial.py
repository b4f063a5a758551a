"""One training's curve and judge: alike for every algorithm."""

from __future__ import annotations

import json
from typing import Any, Self

import numpy as np
import pytest

from envs import load_decision
from ppo_marketing.rivals.learned import Learned
from ppo_marketing.trial import ChoosingActor, Curve, Trial, numbers_of


class Fixed:
    """Always the same choice; `copy` is told apart by its name."""

    def __init__(self, choice: int, name: str = "") -> None:
        self.choice, self.name = choice, name

    def act(self, observation: Any, rng: Any, mask: Any = None, **_: Any) -> Any:
        return np.full(len(observation), self.choice)

    def copy(self) -> Self:
        return type(self)(self.choice, f"copy of {self.name}")


def test_a_curve_is_measured_where_a_point_was_passed_and_keeps_the_best() -> None:
    scores = iter([0.1, 0.7, 0.4])
    seen: list[tuple[int, float]] = []
    curve = Curve(lambda actor: next(scores), "own", (10, 20, 30), lambda *at: seen.append(at))
    for steps in (0, 4, 8, 12, 16, 35, 38):
        curve(steps, Fixed(0, f"at {steps}"))
    assert curve.steps == [0, 12, 35]  # two points that were passed at once are one
    assert curve.scores == [0.1, 0.7, 0.4]
    assert isinstance(curve.best, Fixed)
    assert curve.best.name == "copy of at 12"
    assert seen == [(0, 0.1), (12, 0.7), (35, 0.4)]


def test_forbidden_choices_are_counted_and_never_made() -> None:
    decision = load_decision("sequencing")
    rng = np.random.default_rng(0)
    world: Any = decision.true_world(decision.presets[0], 50, decision.sample_settings(), rng)
    state = world.initial(50, rng)
    mask = world.action_mask(state)
    actor = ChoosingActor("a policy that knows no masks", Fixed(1), "own")
    control = actor.control(actor.arena(world, rng), state, rng)
    forbidden = ~mask[:, 1]
    assert actor.choices == 50
    assert actor.forbidden == forbidden.sum()
    idle = world.control(state, np.zeros(50, np.int64))
    np.testing.assert_array_equal(control[forbidden], idle[forbidden])


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_no_finite_number_is_kept_as_none_which_json_can_say(value: float) -> None:
    curve = Curve(lambda actor: 0.5, "own", (10,), lambda *at: None)
    curve(0, Fixed(0))
    learned = Learned(Fixed(0), 10, 1, value, value, 0.25, value)
    numbers = json.loads(json.dumps(numbers_of(learned, curve), allow_nan=False))
    assert numbers["largest_kl"] is numbers["mean_kl"] is numbers["entropy"] is None
    assert numbers["clip_fraction"] == 0.25


def test_files_are_named_by_label_and_seed() -> None:
    trial = Trial("ppo clip=0.05", "ppo", "own", 3, 100, (100,))
    assert trial.name == "ppo_clip_0.05-seed3"
