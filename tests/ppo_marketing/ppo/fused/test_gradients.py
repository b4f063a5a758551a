"""The fused engine against torch's autograd, at policies that have moved away from the old one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from ppo_marketing.ppo import torch_engine
from ppo_marketing.ppo.adam import Adam
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.anchor import KLAnchor
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.fused.engine import kernel_rows, objective_of, obstacle
from ppo_marketing.ppo.fused.epochs import add_lanes, summarise
from ppo_marketing.ppo.fused.kernel import BLOCKS, advantage_scaling, lanes_of, sweep
from ppo_marketing.ppo.fused.model import as_columns, model_of, scratch_for
from ppo_marketing.ppo.fused.objective import MEASURES
from ppo_marketing.ppo.fused.regions import interval_of
from ppo_marketing.ppo.minibatches import Held, Measured, TrainingRows
from ppo_marketing.ppo.networks import flatten_parameters
from ppo_marketing.ppo.trust_region import (
    AdaptiveClip,
    Clip,
    KLPenalty,
    SteeredClip,
    TrustRegion,
    Unbounded,
)

BOX3 = spaces.Box(-2.0, 1.0, (3,), np.float32)
FIVE = spaces.Discrete(5)
SEVERAL = spaces.MultiDiscrete([2, 4, 3])
HEADS = [(BOX3, False), (BOX3, True), (FIVE, False), (SEVERAL, False)]
REGIONS: list[TrustRegion] = [
    Clip(),
    Clip(low=0.1, high=0.4, dual=1.5),
    SteeredClip(),
    KLPenalty(),
    AdaptiveClip(),
    Unbounded(),
]


@dataclass(frozen=True)
class Case:
    """An agent whose policy has moved since the rows were gathered."""

    agent: Agent
    optimizer: Adam
    rows: TrainingRows
    region: TrustRegion
    config: PPOConfig
    held: Held | None


def case_of(
    space: spaces.Space[Any],
    squash: bool,
    region: TrustRegion,
    count: int,
    seed: int,
    *,
    masked: bool = False,
    anchored: bool = False,
    **settings: Any,
) -> Case:
    rng = np.random.default_rng(seed)
    config = PPOConfig(squash_actions=squash, start="random", **settings)
    size = int(rng.integers(1, 20))
    agent = Agent.create(spaces.Box(-1.0, 1.0, (size,), np.float32), space, config, rng)
    optimizer = Adam(*flatten_parameters(agent.parameters()))
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter.add_(torch.from_numpy(0.2 * rng.standard_normal(parameter.shape)))
    inputs = torch.from_numpy(rng.standard_normal((count, size), np.float32))
    allowed = None
    if masked:
        allowed = torch.from_numpy(_mask(space, count, rng))
    noise = torch.from_numpy(agent.head.noise(rng, (count,)))
    action = agent.draw(inputs, noise, allowed)
    with torch.no_grad():
        log_prob = agent.evaluate(inputs, action, allowed)[0]

    def numbers(scale: float) -> Tensor:
        return torch.from_numpy(scale * rng.standard_normal(count, np.float32))

    rows = TrainingRows(
        inputs=inputs,
        action=action,
        allowed=allowed,
        log_prob_old=(log_prob + numbers(0.3)).clamp(max=-1e-3)
        if isinstance(region, AdaptiveClip)
        else log_prob + numbers(0.3),
        log_prob_reference=log_prob + numbers(0.5) if anchored else None,
        advantage=numbers(2.0) + 1.0,
        target=numbers(1.0),
        value_old=numbers(1.0),
    )
    held = Held(KLAnchor(coefficient=0.3), agent) if anchored else None
    return Case(agent, optimizer, rows, region, config, held)


def _mask(space: spaces.Space[Any], count: int, rng: np.random.Generator) -> np.ndarray:
    counts = [int(space.n)] if isinstance(space, spaces.Discrete) else space.nvec.tolist()  # type: ignore[attr-defined]
    parts = []
    for choices in counts:
        part = rng.random((count, choices)) < 0.6
        part[np.arange(count), rng.integers(0, choices, count)] = True
        parts.append(part)
    return np.concatenate(parts, axis=1)


def by_torch(case: Case) -> tuple[Tensor, Measured]:
    measured = torch_engine.minibatch_gradient(
        case.agent, case.optimizer, case.rows, case.region, case.config, case.held
    )
    return torch.from_numpy(case.optimizer.buffers()[0].copy()), measured


def by_kernel(case: Case) -> tuple[Tensor, Measured]:
    flat, model = model_of(case.agent)
    action = as_columns(case.rows.action)
    interval = interval_of(case.region, case.rows.log_prob_old)
    assert interval is not None
    rows = kernel_rows(case.rows, action)
    rows.low[:], rows.high[:] = interval.low, interval.high
    objective = objective_of(case.config, case.held)._replace(
        dual=interval.dual, penalty=interval.penalty
    )
    scratch = scratch_for(model, len(flat), action.shape[1])
    index = np.arange(len(case.rows))
    scaling = np.array(advantage_scaling(objective, rows.advantage, index))
    sweep(
        flat, model, rows, objective, index, scaling, True, scratch, 0, lanes_of(len(index))
    )  # fmt: skip
    gradient, measured = np.empty_like(flat), np.empty(MEASURES + 1)
    for block in range(BLOCKS):
        add_lanes(len(index), scratch, gradient, block)
    assert summarise(len(index), scratch, measured)
    shrink = min(1.0, case.config.max_grad_norm / measured[MEASURES])
    gradient *= np.float32(shrink)
    return torch.from_numpy(gradient), Measured(*measured.tolist())


def assert_same(case: Case) -> None:
    assert_equal_outcome(case, by_torch(case), by_kernel(case))


def assert_equal_outcome(
    case: Case, reference: tuple[Tensor, Measured], kernels: tuple[Tensor, Measured]
) -> None:
    (expected, theirs), (found, ours) = reference, kernels
    # Every layer by itself, so that a small one cannot hide behind a large one.
    start = 0
    for parameter in case.agent.parameters():
        part = slice(start, start + parameter.numel())
        start = part.stop
        error = float((found[part] - expected[part]).norm())
        assert error <= 1e-5 * float(expected[part].norm()) + 1e-7 * float(expected.norm())
    assert float((found - expected).norm()) <= 1e-5 * float(expected.norm())
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def assume_no_ratio_on_an_edge(case: Case) -> None:
    """There the derivative jumps, and rounding decides on which side a row is."""
    interval = interval_of(case.region, case.rows.log_prob_old)
    assert interval is not None
    with torch.no_grad():
        rows = case.rows
        log_prob = case.agent.evaluate(rows.inputs, rows.action, rows.allowed)[0]
        ratio = (log_prob - rows.log_prob_old).exp().numpy()
        moved = (case.agent.values(rows.inputs) - rows.value_old).abs().numpy()
    edges = [np.abs(ratio - interval.low), np.abs(ratio - interval.high)]
    edges += [np.abs(ratio - interval.dual), np.abs(moved - (case.config.value_clip or math.inf))]
    assume(min(float(np.min(edge)) for edge in edges) > 1e-5)


@settings(max_examples=60, deadline=None)
@given(
    head=st.sampled_from(HEADS),
    region=st.sampled_from(REGIONS),
    count=st.integers(2, 700),
    hidden=st.lists(st.integers(1, 40), max_size=3).map(tuple),
    masked=st.booleans(),
    anchored=st.booleans(),
    normalise=st.booleans(),
    value_clip=st.sampled_from([None, 0.3]),
    limit=st.sampled_from([0.01, 1e9]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_gradient_and_the_measurements_are_torchs(
    head: tuple[spaces.Space[Any], bool],
    region: TrustRegion,
    count: int,
    hidden: tuple[int, ...],
    masked: bool,
    anchored: bool,
    normalise: bool,
    value_clip: float | None,
    limit: float,
    seed: int,
) -> None:
    space, squash = head
    discrete = not isinstance(space, spaces.Box)
    assume(discrete or not isinstance(region, AdaptiveClip))
    case = case_of(
        space,
        squash,
        region,
        count,
        seed,
        masked=masked and discrete,
        anchored=anchored,
        hidden=hidden,
        normalise_advantages=normalise,
        value_clip=value_clip,
        entropy_coefficient=0.05,
        max_grad_norm=limit,
    )
    assume_no_ratio_on_an_edge(case)
    assert_same(case)


@pytest.mark.parametrize("count", [1, 127, 128, 129, 1024, 4999])
def test_whole_and_broken_tiles_and_lanes_all_count(count: int) -> None:
    settings: dict[str, Any] = {"normalise_advantages": False, "max_grad_norm": 1e9}
    case = case_of(BOX3, False, KLPenalty(), count, 1, **settings)
    assert_same(case)


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.kind)
def test_every_region_is_a_case_of_the_kernel(region: TrustRegion) -> None:
    case = case_of(FIVE, False, region, 300, 2)
    assert obstacle(case.agent, region) is None
    assert_same(case)


def test_a_broken_kernel_would_be_noticed() -> None:
    """The comparison itself: one weight of the actor moved by a thousandth is seen."""
    case = case_of(FIVE, False, Clip(), 300, 1)
    moved = case_of(FIVE, False, Clip(), 300, 1)
    with torch.no_grad():
        moved.agent.actor.weights[-1][0, 0] += 1e-3
    found, measured = by_kernel(moved)
    with pytest.raises(AssertionError):
        assert_equal_outcome(case, by_torch(case), (found, measured))
