"""A scenario that leaves what is known is told so, and no policy is fed what it cannot read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.core.words import ActionWords, StateVariable, Words
from ppo_marketing.what_if.familiar import Familiar, HeldPolicy, Watch


def variable(name: str, *columns: int, **more: object) -> StateVariable:
    return StateVariable(name=name, label=name, help="", columns=columns, **more)  # type: ignore[arg-type]


WORDS = Words(
    variables=(
        variable("pace", 0),
        variable("budget", 1),
        variable("kind", 2, 3, levels=("new", "regular")),
    ),
    action=ActionWords(label="", help=""),
)
# pace from 0 to 1, one budget, and nobody new
SEEN = np.array([[0.0, 7.0, 0.0, 1.0], [1.0, 7.0, 0.0, 1.0]], np.float32)
EVERYBODY = np.ones(2, np.bool_)


def watched(*rows: list[float], running: object = EVERYBODY) -> Watch:
    watch = Watch(Familiar(WORDS, SEEN))
    watch.look(np.array(rows, np.float32), running)
    return watch


def test_ground_that_is_known_gives_no_warning() -> None:
    told = watched([0.5, 7, 0, 1], [1.09, 7, 0, 1]).told()
    assert (told.decisions, told.outside, told.departures, told.warning) == (2, 0.0, (), "")


def test_what_lies_beyond_is_counted_variable_by_variable() -> None:
    told = watched([1.2, 7, 0, 1], [0.5, 7, 1, 0]).told()
    assert told.outside == 1.0
    assert {d.variable.name: d.share for d in told.departures} == {"pace": 0.5, "kind": 0.5}
    assert "pace (50% of decisions)" in told.warning


def test_episodes_that_have_ended_are_not_counted() -> None:
    told = watched([5, 7, 0, 1], [0.5, 7, 0, 1], running=np.array([False, True])).told()
    assert (told.decisions, told.outside) == (1, 0.0)


def test_few_decisions_outside_are_tolerated() -> None:
    rows = [[5.0, 7, 0, 1]] + [[0.5, 7, 0, 1]] * 24
    told = watched(*rows, running=np.ones(25, np.bool_)).told()
    assert told.outside == pytest.approx(0.04)
    assert told.warning == ""


def test_an_input_that_never_varied_is_shown_as_it_was_and_the_answer_says_so() -> None:
    shown: list[Any] = []

    class Spy:
        def act(self, observation: object, rng: object, mask: object = None, **_: object) -> object:
            shown.append(observation)
            return observation

        def log_prob(self, observation: object, action: object, mask: object = None) -> object:
            return observation

    familiar = Familiar(WORDS, SEEN)
    policy = HeldPolicy(Spy(), familiar)  # type: ignore[arg-type]
    given = np.array([[0.3, 9.0, 0.0, 1.0]], np.float32)
    policy.act(given, np.random.default_rng(0), deterministic=True)
    np.testing.assert_allclose(shown[0], [[0.3, 7.0, 0.0, 1.0]])
    told = watched([0.3, 9, 0, 1], [0.3, 9, 0, 1]).told()
    assert told.departures[0].held
    assert "budget never varied in training" in told.warning
