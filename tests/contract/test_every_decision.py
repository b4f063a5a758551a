"""What every decision type must keep, run over all of them; a new folder inherits it."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import envs
from envs.core.decision import Decision
from envs.core.vector import RegretVectorEnv, WorldVectorEnv
from envs.core.world import HindsightWorld, World
from ppo_marketing.evaluation import play

NAMES = envs.decision_names()


@pytest.fixture(scope="module", params=NAMES)
def decision(request: pytest.FixtureRequest) -> Decision:
    return envs.load_decision(request.param)


@pytest.fixture(scope="module")
def world(decision: Decision) -> World[Any]:
    rng = np.random.default_rng(3)
    return decision.true_world(decision.presets[0], 6, decision.sample_settings(), rng)


@pytest.fixture(
    scope="module",
    params=[
        (id_, module.split(".")[1]) for id_, (module, _) in sorted(envs.environments().items())
    ],
    ids=lambda param: f"{param[1]}-{param[0]}",
)
def env_id(request: pytest.FixtureRequest) -> str:
    """Every registered environment: a decision may have several."""
    return str(request.param[0])


def masked_sample(env: gymnasium.Env[Any, Any], info: dict[str, Any]) -> Any:
    return env.action_space.sample(mask=info.get("action_mask"))


def test_the_card_names_a_registered_environment(decision: Decision) -> None:
    assert decision.env_id in envs.environments()


def test_the_environment_passes_gymnasiums_checker_without_a_warning(env_id: str) -> None:
    env = gymnasium.make(env_id, days=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=False)


def test_the_environment_passes_stable_baselines3s_checker(env_id: str) -> None:
    from stable_baselines3.common.env_checker import check_env as check_env_of_sb3

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env_of_sb3(gymnasium.make(env_id, days=3).unwrapped)


def test_the_environments_page_has_the_fixed_headings(env_id: str) -> None:
    page = type(gymnasium.make(env_id, days=3).unwrapped).__doc__ or ""
    for heading in (
        "Description",
        "Action Space",
        "Observation Space",
        "Rewards",
        "Starting State",
        "Episode End",
        "Calibrated from",
        "Not modelled",
        "Version History",
    ):
        assert f"## {heading}\n" in page, heading


def test_make_vec_gives_the_native_environment_with_same_step_autoreset(env_id: str) -> None:
    env = gymnasium.make_vec(env_id, num_envs=5, days=3)
    assert isinstance(env.unwrapped, WorldVectorEnv)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    observation, _ = env.reset(seed=1)
    assert env.observation_space.contains(observation)


def test_the_same_seed_gives_the_same_episodes_and_another_seed_others(
    world: World[Any],
) -> None:
    def trace(seed: int) -> list[Any]:
        env = WorldVectorEnv(world, 4)
        observation, info = env.reset(seed=seed)
        env.action_space.seed(0)
        seen = [observation.copy()]
        for _ in range(world.horizon + 3):
            observation, reward, *_ = env.step(_allowed_actions(env, info))
            seen += [observation.copy(), reward.copy()]
        return seen

    def same(one: list[Any], other: list[Any]) -> bool:
        return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))

    assert same(trace(1), trace(1))
    assert not same(trace(1), trace(2))


def _allowed_actions(env: WorldVectorEnv, info: dict[str, Any]) -> Any:
    mask = info.get("action_mask")
    if mask is None:
        return env.action_space.sample()
    return np.array([int(np.flatnonzero(row)[0]) for row in mask])


def test_final_observations_are_those_before_the_restart(world: World[Any]) -> None:
    env = WorldVectorEnv(world, 3)
    _, info = env.reset(seed=0)
    for _ in range(world.horizon):
        observation, _, terminated, truncated, info = env.step(_allowed_actions(env, info))
    ended = terminated | truncated
    assert ended.any(), "an episode lasts its horizon at most"
    np.testing.assert_array_equal(info["_final_obs"], ended)
    assert not np.array_equal(info["final_obs"][ended], observation[ended])


def test_an_environment_continues_exactly_from_its_saved_state(world: World[Any]) -> None:
    env, other = WorldVectorEnv(world, 4), WorldVectorEnv(world, 4)
    _, info = env.reset(seed=0)
    for _ in range(5):
        *_, info = env.step(_allowed_actions(env, info))
    other.reset(seed=9)
    other.load_state_dict(env.state_dict())
    for _ in range(world.horizon + 2):
        actions = _allowed_actions(env, info)
        one, two = env.step(actions), other.step(actions)
        info = one[4]
        for a, b in zip(one[:4], two[:4], strict=True):
            np.testing.assert_array_equal(a, b)


def test_steps_without_reuse_return_arrays_of_their_own(world: World[Any]) -> None:
    env = WorldVectorEnv(world, 2)
    _, info = env.reset(seed=0)
    first = env.step(_allowed_actions(env, info))
    kept = first[0].copy()
    env.step(_allowed_actions(env, first[4]))
    np.testing.assert_array_equal(first[0], kept)


def test_stepping_into_given_rows_is_stepping(world: World[Any]) -> None:
    kinds = [WorldVectorEnv] + [RegretVectorEnv] * isinstance(world, HindsightWorld)
    for kind in kinds:
        env, direct = kind(world, 3), kind(world, 3)
        _, info = env.reset(seed=0)
        direct.reset(seed=0)
        (size,) = world.observation_space.shape
        observation, final = np.empty((3, size), np.float32), np.empty((3, size), np.float32)
        reward, terminated, truncated = np.empty(3), np.empty(3, bool), np.empty(3, bool)
        ends = 0
        for _ in range(world.horizon + 3):
            actions = _allowed_actions(env, info)
            *stepped, info = env.step(actions)
            mask = direct.step_into(actions, observation, reward, terminated, truncated, final)
            written = (observation, reward, terminated, truncated)
            for one, other in zip(stepped, written, strict=True):
                np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(mask, info.get("action_mask"))
            if "final_obs" in info:
                over = info["_final_obs"]
                np.testing.assert_array_equal(final[over], info["final_obs"][over])
                ends += int(over.sum())
        assert ends > 0


def test_every_observation_is_finite_and_inside_its_space(world: World[Any]) -> None:
    env = WorldVectorEnv(world, 3)
    _, info = env.reset(seed=0)
    for _ in range(2 * world.horizon):
        observation, reward, _, _, info = env.step(_allowed_actions(env, info))
        assert env.observation_space.contains(observation)
        assert np.isfinite(reward).all()


def test_actions_outside_the_space_are_refused_before_they_reach_the_dynamics(
    env_id: str,
) -> None:
    one: Any = gymnasium.make(env_id, days=2).unwrapped
    many: Any = gymnasium.make_vec(env_id, num_envs=4, days=2).unwrapped
    one.reset(seed=0)
    many.reset(seed=0)
    good = many.action_space.sample()
    with pytest.raises(ValueError, match="shape"):
        many.step(good[:3])
    if isinstance(one.action_space, gymnasium.spaces.Discrete):
        for wrong in (-1, int(one.action_space.n), 10**9, 1.5):
            with pytest.raises(ValueError, match="whole numbers from 0"):
                one.step(wrong)
            with pytest.raises(ValueError, match="whole numbers from 0"):
                many.step(np.array([*good[:3], wrong]))


def test_rendering_gives_text_and_a_picture(env_id: str) -> None:
    env = gymnasium.make(env_id, days=2, render_mode="ansi")
    _, info = env.reset(seed=0)
    env.step(masked_sample(env, info))
    text = env.render()
    assert isinstance(text, str)
    assert text.startswith("step 1 of")
    picture_env = gymnasium.make(env_id, days=2, render_mode="rgb_array")
    _, info = picture_env.reset(seed=0)
    picture_env.step(masked_sample(picture_env, info))
    picture: Any = picture_env.render()
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.std() > 0


def test_an_unknown_render_mode_is_refused_with_the_ones_there_are(env_id: str) -> None:
    kind: Any = type(gymnasium.make(env_id, days=2).unwrapped)
    with pytest.raises(ValueError, match="choose one of"):
        kind(days=2, render_mode="hologram")


def test_no_actor_earns_more_than_the_ceiling(decision: Decision, world: World[Any]) -> None:
    if decision.ceiling_kind == "expected":
        pytest.skip("an expected ceiling may be exceeded by luck; the oracle's own tests judge it")
    rng = np.random.default_rng(0)
    ceiling = decision.ceiling(world, world.initial(6, np.random.default_rng([4, 0])))
    for rule in decision.rules():
        played = play(rule.tuned(world, rng), world, 6, 4, "rule")
        assert (played.kpis[decision.value_kpi] <= ceiling * (1 + 1e-4)).all(), rule.name


def test_doing_nothing_costs_and_earns_nothing(decision: Decision, world: World[Any]) -> None:
    idle = play(decision.do_nothing, world, 6, 0, "floor")
    tuned = [rule.tuned(world, np.random.default_rng(0)) for rule in decision.rules()]
    best = max(play(rule, world, 6, 0, "rule").kpis[decision.value_kpi].mean() for rule in tuned)
    assert idle.kpis[decision.value_kpi].mean() < best


def test_every_kpi_of_the_card_is_an_amount_of_every_step(
    decision: Decision, world: World[Any]
) -> None:
    kpis = play(decision.do_nothing, world, 2, 0, "floor").kpis
    declared = {kpi.name for kpi in decision.kpis}
    assert declared == set(kpis)
    assert {decision.value_kpi, decision.event_kpi} <= declared
    for ratio in decision.ratios:
        assert {ratio.numerator, ratio.denominator} <= declared
    assert all(kpi.definition for kpi in decision.kpis)


def test_a_scenario_that_changes_nothing_leaves_every_result(
    decision: Decision, world: World[Any]
) -> None:
    same = world.under(decision.scenario_type())
    rule = decision.rules()[-1]
    before, after = (play(rule, w, 4, 1, "rule").kpis for w in (world, same))
    for name, amount in before.items():
        np.testing.assert_allclose(after[name], amount, rtol=1e-5, err_msg=name)


def test_the_potential_of_the_start_is_the_ceiling(decision: Decision, world: World[Any]) -> None:
    if not isinstance(world, HindsightWorld):
        pytest.skip(f"{decision.name} offers no hindsight potential; nothing to shape with")
    start = world.initial(6, np.random.default_rng(0))
    hindsight: Any = world.with_hindsight()
    potential = hindsight.potential(start)
    ceiling = decision.ceiling(world, start)
    # Rewards have their own unit: the two are proportional.
    np.testing.assert_allclose(potential / potential[0], ceiling / ceiling[0], rtol=1e-4)


def test_regret_rewards_sum_to_the_value_less_the_ceiling(
    decision: Decision, world: World[Any]
) -> None:
    if not isinstance(world, HindsightWorld):
        pytest.skip(f"{decision.name} offers no hindsight potential; nothing to shape with")
    plain, shaped = WorldVectorEnv(world, 6), RegretVectorEnv(world, 6)
    for env in (plain, shaped):
        env.reset(seed=0)
    hindsight = shaped.world
    assert isinstance(hindsight, HindsightWorld)
    before = hindsight.potential(shaped._state)
    earned, regret = np.zeros(6), np.zeros(6)
    alive = np.ones(6, bool)
    for _ in range(world.horizon):
        actions = plain.action_space.sample()
        _, reward, terminated, truncated, _ = plain.step(actions)
        _, shaped_reward, *_ = shaped.step(actions)
        earned += reward * alive
        regret += shaped_reward * alive
        alive &= ~(terminated | truncated)
    np.testing.assert_allclose(regret, earned - before, atol=1e-9)
    assert (regret < 1e-3).all(), "hindsight is not beaten"


def test_the_generated_sample_is_a_valid_log(decision: Decision, tmp_path: Any) -> None:
    import pyarrow.parquet as pq

    from envs.core.log import read_log

    for preset in decision.presets:
        table = decision.generate(preset, 3, np.random.default_rng(0))
        path = tmp_path / f"{preset}.parquet"
        pq.write_table(table, path)
        log = read_log(path, decision.schema, cache=tmp_path / "cache")
        assert log.rows == table.num_rows
