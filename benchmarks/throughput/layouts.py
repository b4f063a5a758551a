"""Steps a second at equal work: same environment, networks, rollout, minibatches and epochs.

Actor and critic of 64 x 64 tanh. No regrets, no statistics of observations: nothing that only some
would do. Repeats are taken in turn, and ratios are medians of the ratios within a repeat, so that a
machine that slows down slows all. Compiling and the first update are not counted.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.cells import Cells
from benchmarks.throughput.bars import Bar, at_least
from benchmarks.throughput.learners import (
    DEFAULT_COPIES,
    Clock,
    Learner,
    one_core,
    ours,
    theirs_looping,
    theirs_native,
    torch_threads,
)
from benchmarks.throughput.limits import flops_per_step, product_rate
from benchmarks.throughput.market import SHIPPED, Layout, laid_out, make_world
from envs.core.env import WorldEnv
from envs.core.vector import WorldVectorEnv
from ppo_marketing.ppo.config import PPOConfig

SMALL = Layout("64 copies x 32 steps, minibatch 256", 64, 32, 256, 4)
LARGE = Layout("1,024 copies x 128 steps, 4 minibatches", 1024, 128, 32_768, 4)
LOOPED = Layout("8 copies x 256 steps, minibatch 256", DEFAULT_COPIES, 256, 256, 4)

OURS = "ours"
OURS_ONE = "ours, 1 core"
TORCH = "ours, torch engine"
NATIVE = "stable-baselines3, our environment"
NATIVE_TWO = "stable-baselines3, our environment, 2 torch threads"
SBX = "SBX, our environment"
JAX = "JAX, one jitted function"
DEFAULT = "stable-baselines3, its defaults, 8 copies"
EQUALISED = "stable-baselines3, 8 copies, equal work"
LIMIT = "matrix products alone, 2 threads"
LIMIT_ONE = "matrix products alone, 1 thread"

OVER_NATIVE = {SMALL: 8.0, LARGE: 5.0}
OVER_JAX = {SMALL: 1.4, LARGE: 2.0}
OF_THE_LIMIT = {LARGE: 0.5}

Measured = Callable[[int], float]
"""Takes a seed; returns steps a second."""

UPDATES: Mapping[Layout, Mapping[str, int]] = {
    # About three seconds each; ours tries out its threads in the first six updates.
    SMALL: {OURS: 256, OURS_ONE: 256, TORCH: 64, NATIVE: 32, NATIVE_TWO: 32, SBX: 64, JAX: 192},
    LARGE: {OURS: 40, OURS_ONE: 12, TORCH: 4, NATIVE: 4, NATIVE_TWO: 4, SBX: 5, JAX: 6},
}


def contenders(world: Any, layout: Layout) -> dict[str, Measured]:
    """Everyone who trains in this layout; each is compiled when first asked."""
    config = laid_out(layout)
    updates = {name: count * layout.rows for name, count in UPDATES[layout].items()}

    def make_env() -> WorldVectorEnv:
        return WorldVectorEnv(world, layout.copies)

    fused = ours(make_env, config)
    native = theirs_native(make_env, config)
    found: dict[str, Measured] = {
        OURS: partial(rate_of, fused, updates[OURS]),
        OURS_ONE: on_one_core(partial(rate_of, fused, updates[OURS_ONE])),
        TORCH: partial(rate_of, ours(make_env, replace(config, engine="torch")), updates[TORCH]),
        NATIVE: partial(rate_of, native, updates[NATIVE]),
        NATIVE_TWO: partial(rate_of, native, updates[NATIVE_TWO], threads=2),
        SBX: _sbx(make_env, config, updates[SBX]),
        JAX: _jitted(world, layout, config),
        LIMIT: partial(limit, config, world, 2),
        LIMIT_ONE: partial(limit, config, world, 1),
    }
    if layout is SMALL:
        equal = laid_out(LOOPED)
        found[EQUALISED] = partial(
            rate_of,
            theirs_looping(
                lambda: WorldEnv(world), n_steps=LOOPED.rollout_steps,
                batch_size=LOOPED.minibatch_size, n_epochs=LOOPED.epochs,
                learning_rate=equal.learning_rate, gamma=equal.gamma,
            ),
            12 * LOOPED.rows,
        )  # fmt: skip
        # Its own defaults gather 16,384 rows and pass ten times over minibatches of 64.
        default = theirs_looping(lambda: WorldEnv(world))
        found[DEFAULT] = partial(rate_of, default, 3 * DEFAULT_COPIES * 2048)
    return found


def rate_of(learner: Learner, steps: int, seed: int, *, threads: int = 1) -> float:
    """Steps a second of a training, with so many threads for torch."""
    clock = Clock()
    with torch_threads(threads):
        learner(steps, seed, clock.shown(lambda at, policy: True))
    return clock.rate


def on_one_core(measured: Measured) -> Measured:
    """The same, held to one core."""

    def held(seed: int) -> float:
        with one_core():
            return measured(seed)

    return held


def limit(config: PPOConfig, world: Any, threads: int, seed: int) -> float:
    """Steps a second if nothing but the matrix products of a step took time."""
    observations = world.observation_space.shape[0]
    products = product_rate(observations, config.hidden, 1, threads)
    return products / flops_per_step(observations, config.hidden, 1, config.epochs)


def _sbx(make_env: Callable[[], WorldVectorEnv], config: PPOConfig, steps: int) -> Measured:
    def measured(seed: int) -> float:
        import sbx

        return rate_of(theirs_native(make_env, config, sbx), steps, seed)

    return measured


def _jitted(world: Any, layout: Layout, config: PPOConfig) -> Measured:
    compiled: list[Measured] = []

    def measured(seed: int) -> float:
        from benchmarks.throughput import jax_loop

        if not compiled:
            compiled.append(jax_loop.rate(world, layout, config, UPDATES[layout][JAX]))
        return compiled[0](seed)

    return measured


def measure_layouts(cells: Cells, repeats: int, layouts: Sequence[Layout]) -> dict[str, Any]:
    """Everyone in turn, as often as there are repeats; a peer that is missing is an error."""
    world = make_world(SHIPPED.episodes)
    found: dict[str, Any] = {}
    bars: list[Bar] = []
    for layout in layouts:
        entrants = contenders(world, layout)
        compiling = ours(partial(WorldVectorEnv, world, layout.copies), laid_out(layout))
        rate_of(compiling, 3 * layout.rows, 0)
        rates: dict[str, list[float]] = {name: [] for name in entrants}
        for repeat in range(repeats):
            for name, measured in entrants.items():
                settings = {
                    "layout": vars(layout),
                    "updates": UPDATES[layout].get(name),
                    "repeat": repeat,
                }
                rate = cells.measured(
                    f"{layout.copies} {name} {repeat}", settings, partial(measured, repeat + 1)
                )
                rates[name].append(rate)
                print(f"{layout.name} | {name}: {rate:,.0f} steps/s", flush=True)
        found[layout.name] = summary(rates)
        bars += bars_of(layout, rates)
    return {"rows": found, "bars": bars}


def summary(rates: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Median steps a second, how many times faster we are, and every repeat."""
    return {
        name: {
            "steps_per_second": round(statistics.median(own)),
            "ours_over_it": round(ratio(rates[OURS], own), 3),
            "repeats": [round(rate) for rate in own],
        }
        for name, own in rates.items()
    }


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over repeats of the ratio within a repeat."""
    return statistics.median(a / b for a, b in zip(mine, theirs, strict=True))


def bars_of(layout: Layout, rates: Mapping[str, Sequence[float]]) -> list[Bar]:
    """Ours against the better of one and two threads of theirs, the jitted loop and the limit."""
    mine = rates[OURS]
    best = min((NATIVE, NATIVE_TWO), key=lambda name: ratio(mine, rates[name]))
    bars = [
        at_least(f"{layout.name}: ours / {best}", ratio(mine, rates[best]), OVER_NATIVE[layout]),
        at_least(f"{layout.name}: ours / {JAX}", ratio(mine, rates[JAX]), OVER_JAX[layout]),
    ]
    if layout in OF_THE_LIMIT:
        share = ratio(mine, rates[LIMIT])
        bars.append(at_least(f"{layout.name}: ours / {LIMIT}", share, OF_THE_LIMIT[layout]))
    return bars
