"""Every environment exists with choices and with a Box, and both forms play the same world."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs.core.forms import (
    DiscreteActions,
    Form,
    ScoredActions,
    form_of,
    in_form,
)
from envs.core.vector import RegretVectorEnv, WorldVectorEnv
from envs.core.world import HindsightWorld, World

IDS = [(id_, module.split(".")[1]) for id_, (module, _) in sorted(envs.environments().items())]


@pytest.fixture(scope="module", params=IDS, ids=lambda param: f"{param[1]}-{param[0]}")
def env_id(request: pytest.FixtureRequest) -> str:
    return str(request.param[0])


@pytest.fixture(scope="module")
def own(env_id: str) -> World[Any]:
    made: Any = gymnasium.make(env_id, days=3).unwrapped
    return cast("World[Any]", made.world)


@pytest.fixture(scope="module")
def other(own: World[Any]) -> Any:
    """The world in the form that it does not have by itself."""
    return in_form(own, other_form(own))


def other_form(world: World[Any]) -> Form:
    return "continuous" if form_of(world.action_space) == "discrete" else "discrete"


@pytest.mark.parametrize("form", ["discrete", "continuous"])
def test_every_form_passes_both_checkers_without_a_warning(env_id: str, form: Form) -> None:
    from stable_baselines3.common.env_checker import check_env as check_env_of_sb3

    env = gymnasium.make(env_id, days=3, actions=form).unwrapped
    assert form_of(env.action_space) == form
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)
        check_env_of_sb3(env)


def test_the_vector_environment_takes_the_form_too(env_id: str) -> None:
    for form in ("discrete", "continuous"):
        env = gymnasium.make_vec(env_id, num_envs=3, days=2, actions=form)
        assert form_of(env.unwrapped.single_action_space) == form
        env.reset(seed=0)
        env.step(env.action_space.sample())


def test_a_form_plays_exactly_what_its_translated_actions_play(own: Any, other: Any) -> None:
    translated, plain = WorldVectorEnv(other, 5), WorldVectorEnv(own, 5)
    one, _ = translated.reset(seed=4)
    two, _ = plain.reset(seed=4)
    translated.action_space.seed(1)
    ended = np.zeros(5, bool)
    while not ended.any():  # compiled and plain restarts draw differently
        np.testing.assert_array_equal(one, two)
        actions = translated.action_space.sample()
        meant = other.translated(plain._state, actions)
        one, reward, terminated, truncated, _ = translated.step(actions)
        ended = terminated | truncated
        two, expected, *_ = plain.step(meant)
        np.testing.assert_allclose(reward, expected, rtol=1e-6, atol=1e-9)


def test_scores_never_choose_what_is_forbidden_and_a_grid_holds_the_middle(
    own: Any, other: Any, rng: np.random.Generator
) -> None:
    if isinstance(other, DiscreteActions):
        middle = (own.action_space.low + own.action_space.high) / 2
        assert np.abs(other.grid - middle).max(axis=1).min() < 1e-6
        np.testing.assert_allclose(
            other.grid[[0, -1]], [own.action_space.low, own.action_space.high]
        )
        return
    state = own.initial(64, rng)
    for _ in range(min(own.horizon, 20)):
        scores = rng.uniform(-1, 1, (64, *other.action_space.shape)).astype(np.float32)
        choice = other.translated(state, scores)
        mask = own.action_mask(state)
        if mask is not None:
            assert mask[np.arange(64), choice].all()
        state = own.step(state, own.control(state, choice), rng).state


def test_a_form_knows_hindsight_exactly_where_its_world_does(own: Any, other: Any) -> None:
    knows = isinstance(own, HindsightWorld)
    assert isinstance(other, HindsightWorld) == knows
    if not knows:
        return
    start = own.initial(4, np.random.default_rng(0))
    ours, theirs = own.with_hindsight(), other.with_hindsight()
    np.testing.assert_array_equal(theirs.potential(start), ours.potential(start))
    env = RegretVectorEnv(other, 3)
    env.reset(seed=0)
    _, reward, *_ = env.step(env.action_space.sample())
    assert (reward < 1e-3).all(), "hindsight is not beaten"


def test_what_has_no_such_form_is_refused_with_the_reason(own: Any) -> None:
    with pytest.raises(ValueError, match="choose one of own, discrete, continuous"):
        in_form(own, cast("Form", "fuzzy"))
    if form_of(own.action_space) == "discrete":
        with pytest.raises(ValueError, match="has no grid"):
            DiscreteActions(own)
        return
    with pytest.raises(ValueError, match="no choices to score"):
        ScoredActions(own)
    for points in (1, 10_001):
        with pytest.raises(ValueError, match="at least 2 points"):
            DiscreteActions(own, points=points)


def test_a_box_without_bounds_has_no_grid_and_the_refusal_says_what_to_give() -> None:
    endless: Any = SimpleNamespace(action_space=gymnasium.spaces.Box(-np.inf, 1.0, (2,)))
    with pytest.raises(ValueError, match="give the world a Box whose low and high are finite"):
        DiscreteActions(endless)
