"""PPO with rollout, epochs and minibatches in one jitted JAX function, as in PureJaxRL.

It bids on the same days by the same look-up (Days.threshold, Days.cumulative), with the same 16
observations. It does less than `envs/bidding` in two places, which favours it: a slot in which the
budget could run out is cut in proportion where ours walks its auctions one by one, and the
penalty of a CPA target, which these settings do not have, is left out. The learning rate is not
annealed.

Source: Lu et al. 2022, PureJaxRL, for the form; the losses are those of `PPOConfig`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from benchmarks.throughput.market import Layout
from envs.bidding.kernel import CLICK_PRIOR, EMA_WEIGHT, OBSERVATION_BOUND
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.losses import ADVANTAGE_EPSILON
from ppo_marketing.ppo.trust_region import Clip

Key = Any
Tree = Any


class Market(NamedTuple):
    """The days and terms of a world with one budget level, on the device."""

    offset: Any  # [D, T + 1]
    threshold: Any  # [M]
    cumulative: Any  # [M, 4] price, value, clicks, signal
    weekend: Any  # [D]
    plan_left: Any  # [T + 1]
    expected_before: Any
    sine: Any
    cosine: Any
    number: dict[str, float]


class State(NamedTuple):
    """One campaign-day per copy, `[n]` each; as `envs.bidding.state.BiddingState`."""

    day: Any
    slot: Any
    budget_left: Any
    promised: Any
    clicks: Any
    log_lambda: Any
    pace_average: Any
    seen: Any
    win_rate: Any
    win_average: Any
    price_ratio: Any
    signal_ratio: Any


def market_of(world: Any) -> Market:
    """The world's numbers in JAX."""
    days, terms = world.days, world.terms
    assert len(terms.budget) == 1
    assert not terms.first_price
    return Market(
        offset=jnp.asarray(days.offset, jnp.int32),
        threshold=jnp.asarray(days.threshold),
        cumulative=jnp.asarray(days.cumulative),
        weekend=jnp.asarray(days.weekday >= 5, jnp.float32),
        plan_left=jnp.asarray(terms.plan_left, jnp.float32),
        expected_before=jnp.asarray(terms.expected_before, jnp.float32),
        sine=jnp.asarray(terms.sine, jnp.float32),
        cosine=jnp.asarray(terms.cosine, jnp.float32),
        number={
            "budget": float(terms.budget[0]),
            "log_lambda_0": float(terms.log_lambda_0[0]),
            "log_tightness": float(terms.log_tightness[0]),
            "value_ref": float(terms.value_ref[0]),
            "price_ref": terms.price_ref,
            "signal_ref": terms.signal_ref,
            "click_value": terms.click_value,
            "gain": terms.gain,
            "reach": terms.reach,
            "least_balance": terms.least_balance,
            "weight": float(days.weight),
        },
    )


def probes_of(world: Any) -> int:
    """Halvings that a search in the longest slot takes."""
    return int(np.ceil(np.log2(np.diff(world.days.offset, axis=1).max() + 1)))


def start(market: Market, day: Any) -> State:
    """Every copy at the beginning of its `day [n]`."""
    zero = jnp.zeros(day.shape, jnp.float32)
    return State(
        day=day,
        slot=jnp.zeros(day.shape, jnp.int32),
        budget_left=zero + market.number["budget"],
        promised=zero,
        clicks=zero,
        log_lambda=zero + market.number["log_lambda_0"],
        pace_average=zero,
        seen=zero,
        win_rate=zero,
        win_average=zero,
        price_ratio=zero + 1.0,
        signal_ratio=zero + 1.0,
    )


def log_pace(market: Market, state: State) -> Any:
    """log(budget left / (B plan_left)), 0 at the end; `[n]`."""
    plan = market.number["budget"] * market.plan_left[state.slot]
    running = (plan > 0) & (state.budget_left > 0)
    return jnp.where(
        running, jnp.log(jnp.where(running, state.budget_left, 1) / jnp.where(running, plan, 1)), 0
    )


def observe(market: Market, state: State) -> Any:
    """`[n, 16]`, as `envs.bidding.kernel.look`."""
    number, slots = market.number, market.offset.shape[1] - 1
    columns = [
        1.0 - state.slot / slots,
        state.budget_left / number["budget"],
        log_pace(market, state),
        state.pace_average,
        jnp.log((state.seen + 1.0) / (market.expected_before[state.slot] + 1.0)),
        state.win_rate,
        state.win_average,
        state.price_ratio,
        state.signal_ratio,
        state.log_lambda - number["log_lambda_0"],
        market.sine[state.slot],
        market.cosine[state.slot],
        market.weekend[state.day],
        jnp.full(state.slot.shape, number["log_tightness"] / 2.0),
        jnp.zeros(state.slot.shape),
        (state.clicks + CLICK_PRIOR) / (state.promised / number["click_value"] + CLICK_PRIOR),
    ]
    return jnp.clip(jnp.stack(columns, axis=1), -OBSERVATION_BOUND, OBSERVATION_BOUND)


def advance(market: Market, state: State, action: Any, probes: int) -> tuple[State, Any, Any]:
    """One slot at `action [n]`: the state after it, the reward `[n]` and who ended `[n]`."""
    number, slots = market.number, market.offset.shape[1] - 1
    log_lambda = (
        number["log_lambda_0"]
        - number["gain"] * log_pace(market, state)
        - number["reach"] * jnp.clip(action, -1.0, 1.0)
    )
    alpha = jnp.exp(-log_lambda)
    first = market.offset[state.day, state.slot]
    last = market.offset[state.day, state.slot + 1]

    def halve(_: int, bounds: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = bounds
        middle = (low + high) // 2
        within = (low < high) & (market.threshold[middle] <= alpha)
        beyond = (low < high) & ~within
        return jnp.where(within, middle + 1, low), jnp.where(beyond, middle, high)

    end, _ = lax.fori_loop(0, probes, halve, (first, last), unroll=True)
    wins = (end - first).astype(jnp.float32)
    sums = jnp.where((wins > 0)[:, None], market.cumulative[end - 1], 0.0) * number["weight"]
    share = jnp.minimum(1.0, state.budget_left / jnp.maximum(sums[:, 0], 1e-9))
    wins, sums = wins * share, sums * share[:, None]
    spend, value, clicks, signal = sums.T
    rows = (last - first).astype(jnp.float32)

    planned = number["budget"] * (market.plan_left[state.slot] - market.plan_left[state.slot + 1])
    pace = jnp.log((spend + 1e-3 * planned + 1e-12) / (1.001 * planned + 1e-12))
    rate = jnp.where(rows > 0, wins / jnp.maximum(rows, 1), state.win_rate)
    average = state.win_average + EMA_WEIGHT * (rate - state.win_average)
    paid = jnp.maximum(wins, 1e-9) * number["weight"]
    after = State(
        day=state.day,
        slot=state.slot + 1,
        budget_left=jnp.maximum(0.0, state.budget_left - spend),
        promised=state.promised + signal,
        clicks=state.clicks + clicks,
        log_lambda=log_lambda,
        pace_average=state.pace_average + EMA_WEIGHT * (pace - state.pace_average),
        seen=state.seen + rows * number["weight"],
        win_rate=rate,
        win_average=jnp.where(rows > 0, average, state.win_average),
        price_ratio=jnp.where(wins > 0, spend / paid / number["price_ref"], state.price_ratio),
        signal_ratio=jnp.where(wins > 0, signal / paid / number["signal_ref"], state.signal_ratio),
    )
    ended = (after.slot >= slots) | (after.budget_left < number["least_balance"])
    return after, value / number["value_ref"], ended


class Step(NamedTuple):
    """What one step of every copy showed, `[T, n]` each after the scan."""

    observation: Any
    action: Any
    log_prob: Any
    value: Any
    reward: Any
    ended: Any


def trainer(
    world: Any, layout: Layout, config: PPOConfig
) -> tuple[Callable[[int], Any], Callable[[Any, int], tuple[Any, Any]]]:
    """Return `begin(seed) -> runner` and `train(runner, updates) -> runner, mean rewards`.

    Every end is a termination here, so that no final observation needs a value.
    """
    market, probes = market_of(world), probes_of(world)
    copies, days = layout.copies, world.days.count
    assert isinstance(config.trust_region, Clip)
    low, high = 1.0 - config.trust_region.low, 1.0 + config.trust_region.high
    minibatches = layout.rows // layout.minibatch_size
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm), optax.adam(config.learning_rate)
    )

    def begin(seed: int) -> Any:
        keys = jax.random.split(jax.random.PRNGKey(seed), 4)
        parameters = {
            "actor": perceptron(keys[0], (16, *config.hidden, 1), last_gain=0.01),
            "critic": perceptron(keys[1], (16, *config.hidden, 1), last_gain=1.0),
            "log_std": jnp.full(1, config.log_std_initial),
        }
        state = start(market, jax.random.randint(keys[2], (copies,), 0, days))
        return parameters, optimizer.init(parameters), state, keys[3]

    def rollout(market: Market, parameters: Tree, carry: tuple[State, Key]) -> Any:
        def step(carry: tuple[State, Key], _: None) -> tuple[tuple[State, Key], Step]:
            state, key = carry
            key, noise_key, day_key = jax.random.split(key, 3)
            observation = observe(market, state)
            mean = forward(parameters["actor"], observation)
            std = jnp.exp(parameters["log_std"])
            action = mean + std * jax.random.normal(noise_key, mean.shape)
            value = forward(parameters["critic"], observation)[:, 0]
            after, reward, ended = advance(market, state, action[:, 0], probes)
            fresh = start(market, jax.random.randint(day_key, (copies,), 0, days))
            state = jax.tree.map(lambda new, old: jnp.where(ended, new, old), fresh, after)
            log_prob = log_density(parameters, mean, action)
            paid = reward * float(config.reward_scale)
            return (state, key), Step(observation, action, log_prob, value, paid, ended)

        return lax.scan(step, carry, None, layout.rollout_steps)

    def advantages(steps: Step, last_value: Any) -> Any:
        def back(carry: tuple[Any, Any], step: Step) -> tuple[tuple[Any, Any], Any]:
            trace, following = carry
            going = 1.0 - step.ended
            error = step.reward + config.gamma * following * going - step.value
            trace = error + config.gamma * config.gae_lambda * going * trace
            return (trace, step.value), trace

        start_of = (jnp.zeros_like(last_value), last_value)
        return lax.scan(back, start_of, steps, reverse=True)[1]

    def loss(parameters: Tree, rows: tuple[Step, Any, Any]) -> Any:
        step, advantage, target = rows
        scaled = (advantage - advantage.mean()) / (advantage.std(ddof=1) + ADVANTAGE_EPSILON)
        mean = forward(parameters["actor"], step.observation)
        ratio = jnp.exp(log_density(parameters, mean, step.action) - step.log_prob)
        bounded = jnp.clip(ratio, low, high)
        value = forward(parameters["critic"], step.observation)[:, 0]
        return -jnp.minimum(ratio * scaled, bounded * scaled).mean() + (
            config.value_coefficient * jnp.square(value - target).mean()
        )

    def minibatch(carry: Any, rows: Any) -> tuple[Any, None]:
        parameters, moments = carry
        slope = jax.grad(loss)(parameters, rows)
        change, moments = optimizer.update(slope, moments, parameters)
        return (optax.apply_updates(parameters, change), moments), None

    def update(market: Market, runner: Any, _: None) -> tuple[Any, Any]:
        parameters, moments, state, key = runner
        (state, key), steps = rollout(market, parameters, (state, key))
        last_value = forward(parameters["critic"], observe(market, state))[:, 0]
        advantage = advantages(steps, last_value)
        rows = (steps, advantage, advantage + steps.value)
        flat = jax.tree.map(lambda x: x.reshape(layout.rows, *x.shape[2:]), rows)

        def epoch(carry: Any, key: Key) -> tuple[Any, None]:
            order = jax.random.permutation(key, layout.rows)
            cut = jax.tree.map(
                lambda x: x[order].reshape(minibatches, layout.minibatch_size, *x.shape[1:]), flat
            )
            return lax.scan(minibatch, carry, cut)[0], None

        key, *epoch_keys = jax.random.split(key, layout.epochs + 1)
        carry, _ = lax.scan(epoch, (parameters, moments), jnp.stack(epoch_keys))
        return (*carry, state, key), steps.reward.mean()

    @jax.jit
    def many(market: Market, runner: Any, updates: Any) -> tuple[Any, Any]:
        scanned: tuple[Any, Any] = lax.scan(
            lambda carry, _: update(market, carry, None), runner, updates
        )
        return scanned

    def train(runner: Any, updates: int) -> tuple[Any, Any]:
        # An argument, not a constant: XLA would fold a hundred megabytes into the program.
        done: tuple[Any, Any] = jax.block_until_ready(many(market, runner, jnp.arange(updates)))
        return done

    return begin, train


def rate(world: Any, layout: Layout, config: PPOConfig, updates: int) -> Callable[[int], float]:
    """Return what measures steps a second for a seed; compiling comes first and is not in it."""
    begin, train = trainer(world, layout, config)
    train(begin(0), updates)

    def measured(seed: int) -> float:
        runner = begin(seed)
        began = time.perf_counter()
        train(runner, updates)
        return updates * layout.rows / (time.perf_counter() - began)

    return measured


def perceptron(key: Key, layers: tuple[int, ...], *, last_gain: float) -> Tree:
    """Orthogonal weights and zero biases, layer by layer."""
    keys = jax.random.split(key, len(layers) - 1)
    gains = [2**0.5] * (len(layers) - 2) + [last_gain]
    return [
        (jax.nn.initializers.orthogonal(gain)(k, (a, b)), jnp.zeros(b))
        for k, gain, a, b in zip(keys, gains, layers, layers[1:], strict=False)
    ]


def forward(network: Tree, inputs: Any) -> Any:
    """tanh between the layers; `[n, in] -> [n, out]`."""
    for weights, bias in network[:-1]:
        inputs = jnp.tanh(inputs @ weights + bias)
    weights, bias = network[-1]
    return inputs @ weights + bias


def log_density(parameters: Tree, mean: Any, action: Any) -> Any:
    """log N(action; mean, std²), `[n]` nats."""
    std = jnp.exp(parameters["log_std"])
    z = (action - mean) / std
    return (-0.5 * (z * z + jnp.log(2 * jnp.pi)) - parameters["log_std"]).sum(-1)
