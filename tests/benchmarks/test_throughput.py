"""The clock, the limit, the summaries and the page of the throughput benchmark; the JAX port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.throughput import page, quality
from benchmarks.throughput.layouts import JAX, LARGE, LIMIT, NATIVE, NATIVE_TWO, OURS, bars_of
from benchmarks.throughput.layouts import summary as summary_of_rates
from benchmarks.throughput.learners import Clock, RegretEnv, in_their_terms
from benchmarks.throughput.limits import flops_of_pass, flops_per_step
from benchmarks.throughput.market import SHIPPED, shipped_config
from envs.bidding.env import make_world
from envs.core.vector import RegretVectorEnv


class Ticks:
    """A clock that is told how late it is."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_clock_stands_still_while_the_policy_is_looked_at() -> None:
    ticks = Ticks()
    clock = Clock(ticks)

    def look(steps: int, policy: Any) -> bool:
        ticks.now += 100.0
        return True

    shown = clock.shown(look)
    for steps, trained in ((0, 5.0), (10, 2.0), (20, 4.0), (30, 6.0)):
        ticks.now += trained  # what comes before the first look is not training
        shown(steps, None)  # type: ignore[arg-type]
    assert clock.marks == [(0, 0.0), (10, 2.0), (20, 6.0), (30, 12.0)]
    assert clock.rate == pytest.approx(20 / 10)


def test_a_rate_needs_two_updates() -> None:
    with pytest.raises(ValueError, match="two updates"):
        _ = Clock().rate


def test_flops_are_those_of_the_layers() -> None:
    # By hand: 10 -> 64 -> 64 -> 1, actor and critic, one pass in the rollout and four epochs.
    forward = 2 * (10 * 64 + 64 * 64 + 64)
    assert flops_of_pass((10, 64, 64, 1), backward=False) == forward
    assert flops_of_pass((10, 64, 64, 1), backward=True) == 3 * forward - 2 * 10 * 64
    assert flops_per_step(10, (64, 64), 1, epochs=4) == 239_360


def test_the_target_is_nine_tenths_of_what_the_pilot_gained() -> None:
    pilot = [[step, 0.0, share] for step, share in enumerate((0.5, 9.0, 0.8, 0.7, 0.7, 0.8))]
    assert quality.target_of(pilot) == pytest.approx(0.5 + 0.9 * 0.25)


def curves(seconds: float, steps: int, *shares: float) -> list[list[list[float]]]:
    return [[[0, 0.0, 0.1], [steps, seconds, share]] for share in shares]


def test_a_run_that_missed_the_target_counts_with_all_its_seconds() -> None:
    found = quality.summary_of_quality(
        {
            quality.OURS: curves(1.0, 100, 0.9, 0.9),
            quality.NATIVE: curves(9.0, 100, 0.9, 0.9),
            quality.DEFAULT: curves(20.0, 300, 0.9, 0.2),
        },
        target=0.8,
    )
    assert found["rows"][quality.DEFAULT]["reached"] == 1
    assert found["rows"][quality.DEFAULT]["median_seconds"] == 20.0
    met = {bar["what"]: bar["met"] for bar in found["bars"]}
    assert met[f"seconds to the target, {quality.NATIVE} / ours"]
    assert not met[f"seconds to the target, {quality.DEFAULT} / ours"]
    assert met[f"steps to the target, {quality.NATIVE} / ours"]


def test_a_miss_of_our_own_fails_the_benchmark() -> None:
    rows = {name: curves(1.0, 1, 0.9, 0.1) for name in (quality.NATIVE, quality.DEFAULT)}
    found = quality.summary_of_quality({quality.OURS: curves(1.0, 1, 0.9, 0.1), **rows}, 0.8)
    assert not found["bars"][0]["met"]


def test_engines_must_agree_within_the_margin_and_its_uncertainty() -> None:
    same = [0.99, 0.98, 0.985]
    assert quality.summary_of_engines(same, same)["bars"][0]["met"]
    noisy = quality.summary_of_engines(same, [0.98, 0.99, 0.985])
    assert abs(noisy["difference"]) < quality.SAME_RETURN
    assert not noisy["bars"][0]["met"]  # equal on average proves nothing with such a spread


def test_ratios_are_taken_within_a_repeat_and_against_their_better_threads() -> None:
    rates = {
        OURS: [100.0, 200.0, 300.0],
        NATIVE: [10.0, 20.0, 30.0],
        NATIVE_TWO: [25.0, 50.0, 75.0],
        JAX: [40.0, 80.0, 120.0],
        LIMIT: [150.0, 300.0, 450.0],
    }
    assert summary_of_rates(rates)[NATIVE]["ours_over_it"] == 10.0
    native, jitted, limit = bars_of(LARGE, rates)
    assert (native["value"], native["met"]) == (4.0, False)
    assert (jitted["value"], jitted["met"]) == (2.5, True)
    assert limit["value"] == pytest.approx(2 / 3)


def test_a_table_takes_the_place_between_its_markers_only() -> None:
    text = "before\n<!-- a -->\nold\n<!-- end of a -->\nafter\n"
    new = page.filled(text, "a", "new")
    assert new == "before\n<!-- a -->\nnew\n<!-- end of a -->\nafter\n"
    assert page.filled(new, "a", "new") == new
    with pytest.raises(ValueError, match="<!-- b -->"):
        page.filled(text, "b", "new")


def test_the_page_has_a_place_for_every_table() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    for name in page.TABLES:
        text = page.filled(text, name, "x")


def test_a_lower_bound_is_marked_as_one() -> None:
    part = {
        "target": 0.99,
        "rows": {
            "ours": {"median_seconds": 0.5, "median_steps": 4096.0, "reached": 5, "runs": 5},
            "theirs": {"median_seconds": 50.0, "median_steps": 4e5, "reached": 2, "runs": 5},
        },
    }
    table = page.quality_table(part)
    assert "| ours | 0.50 | 1.0 | 4,096 | 5 of 5 |" in table
    assert "| theirs | ≥ 50.00 | 100.0 | 400,000 | 2 of 5 |" in table


def test_tables_say_what_was_measured() -> None:
    rates = {OURS: [100.0], NATIVE: [10.0]}
    layouts = page.layouts_table({"rows": {"small": summary_of_rates(rates)}})
    assert "| ours | 100 | 1.00 |" in layouts
    assert f"| {NATIVE} | 10 | 10.00 |" in layouts
    stages = page.stages_table(
        {
            "cpu_seconds": {"environment": 1.0, "update": 3.0},
            "total": 4.0,
            "products": 2.0,
            "flops_per_step": 253_184,
            "flops_per_second": 95e9,
        }
    )
    assert "| update | 3.000 | 75% |" in stages
    assert "| matrix products alone | 2.000 | 50% |" in stages
    memory = page.memory_table({"rows": {"x": {"imported": 4, "with_market": 8, "peak": 1_009}}})
    assert "| x | 4 | 8 | 1,009 |" in memory
    engines = page.engines_table(quality.summary_of_engines([0.99, 0.98], [0.99, 0.98]))
    assert "| 2 | 98.000% | 98.000% |" in engines


def test_the_picture_is_drawn_from_the_file_alone(tmp_path: Path) -> None:
    names = (quality.OURS, quality.NATIVE, quality.DEFAULT)
    rows = {name: {"curves": curves(2.0, 10, 0.8, 0.9)} for name in names}
    small = summary_of_rates({OURS: [100.0], NATIVE: [10.0], JAX: [50.0]})
    large = summary_of_rates({OURS: [200.0], NATIVE: [20.0]})
    path = tmp_path / "images" / "throughput.png"
    page.draw({"target": 0.85, "rows": rows}, {"small": small, "large": large}, path)
    assert path.stat().st_size > 10_000


def test_their_arguments_are_our_settings() -> None:
    config = shipped_config()
    theirs = in_their_terms(config)
    assert theirs["n_steps"] == config.rollout_steps
    assert theirs["batch_size"] == config.minibatch_size
    assert theirs["learning_rate"](0.5) == pytest.approx(config.learning_rate / 2)
    assert theirs["gamma"] == config.gamma
    assert theirs["policy_kwargs"]["log_std_init"] == config.log_std_initial
    assert SHIPPED.copies * config.rollout_steps % config.minibatch_size == 0


def test_one_copy_is_paid_the_regrets_of_the_vector_environment(rng: np.random.Generator) -> None:
    world = make_world(days=1).with_hindsight()
    single, many = RegretEnv(world, scale=100.0), RegretVectorEnv(world, 1)
    single.reset(seed=0)
    many.reset(seed=0)
    for _ in range(world.horizon):
        action = rng.uniform(-1, 1, (1, 1)).astype(np.float32)
        _, reward, ended, *_ = single.step(action[0])
        _, rewards, many_ended, *_ = many.step(action)
        assert reward == pytest.approx(100.0 * rewards[0], rel=1e-5, abs=1e-5)
        assert ended == many_ended[0]
        if ended:
            break


def test_the_port_to_jax_bids_as_ours_does(rng: np.random.Generator) -> None:
    """Equal observations and rewards until the budget nears its end; see the module for that."""
    jax_loop = pytest.importorskip("benchmarks.throughput.jax_loop")
    world = make_world(days=4)
    market, probes = jax_loop.market_of(world), jax_loop.probes_of(world)
    state = world.initial(8, rng)
    ported = jax_loop.start(market, state.day)
    compared = 0
    for _ in range(world.horizon):
        action = rng.uniform(-1, 1, (8, 1)).astype(np.float32)
        outcome = world.step(state, world.control(state, action), rng)
        state = outcome.state
        ported, reward, ended = jax_loop.advance(market, ported, action[:, 0], probes)
        rich = state.budget_left > 0.05 * world.terms.budget[0]
        observation = np.asarray(jax_loop.observe(market, ported))
        np.testing.assert_allclose(observation[rich], world.observe(state)[rich], atol=1e-4)
        np.testing.assert_allclose(np.asarray(reward)[rich], outcome.reward[rich], atol=1e-5)
        np.testing.assert_array_equal(np.asarray(ended)[rich], outcome.terminated[rich])
        compared += int(rich.sum())
    assert compared > 8 * 24
