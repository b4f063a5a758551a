from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import distributions

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.categorical import CategoricalHead
from ppo_marketing.ppo.gaussian import GaussianHead, SquashedGaussianHead, squash_correction
from ppo_marketing.ppo.heads import head_for, head_from

LOW, HIGH = np.array([-1.0, 0.0]), np.array([1.0, 4.0])


def outputs(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.normal(size=shape).astype(np.float32))


def test_gaussian_agrees_with_scipy(rng: np.random.Generator) -> None:
    head = GaussianHead(LOW, HIGH, log_std=-0.3)
    mean, action = outputs(rng, 50, 2), outputs(rng, 50, 2)
    log_prob, entropy = head.evaluate(mean, action, None)
    reference: Any = stats.norm(mean.numpy(), math.exp(-0.3))
    np.testing.assert_allclose(
        log_prob.detach(), reference.logpdf(action.numpy()).sum(axis=1), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(entropy.detach(), reference.entropy().sum(axis=1), rtol=1e-5)


def test_clipped_gaussian_is_stored_raw_and_bounded_for_the_environment() -> None:
    head = GaussianHead(LOW, HIGH, log_std=0.0)
    raw = np.array([[-5.0, 9.0], [0.5, 1.0]], np.float32)
    assert head.to_environment(raw).tolist() == [[-1.0, 4.0], [0.5, 1.0]]


def test_squashed_gaussian_agrees_with_torch_distributions(rng: np.random.Generator) -> None:
    head = SquashedGaussianHead(LOW, HIGH, log_std=-0.3)
    mean, raw = outputs(rng, 50, 2), outputs(rng, 50, 2)
    log_prob, _ = head.evaluate(mean, raw, None)
    base = distributions.Normal(mean, math.exp(-0.3))
    to_box = distributions.AffineTransform(
        torch.from_numpy(head.centre), torch.from_numpy(head.radius)
    )
    reference: Any = distributions.TransformedDistribution(
        base, [distributions.TanhTransform(cache_size=1), to_box]
    )
    bounded = to_box(torch.tanh(raw))
    expected = reference.log_prob(bounded).sum(-1)
    torch.testing.assert_close(log_prob.detach(), expected, rtol=1e-3, atol=2e-3)


def test_squashed_entropy_agrees_with_monte_carlo() -> None:
    head = SquashedGaussianHead(LOW, HIGH, log_std=0.0)
    mean = torch.tensor([[0.4, -1.0]]).expand(200_000, 2)
    noise = torch.from_numpy(head.noise(np.random.default_rng(1), (200_000,)))
    with torch.no_grad():
        raw = head.sample(mean, noise, None)
        log_prob, entropy = head.evaluate(mean, raw, None)
    assert float(entropy[0]) == pytest.approx(float(-log_prob.mean()), abs=0.01)


def test_squash_correction_is_exact_where_the_naive_form_fails() -> None:
    # log(1 - tanh²(10)) = 2 (log 2 - 10 - log(1 + e^-20)) ≈ -18.6137
    assert float(squash_correction(torch.tensor(10.0))) == pytest.approx(-18.6137, abs=1e-3)
    assert float(squash_correction(torch.tensor(0.7))) == pytest.approx(
        math.log(1.0 - math.tanh(0.7) ** 2), abs=1e-6
    )


def test_squashed_actions_stay_in_the_box_and_have_an_inverse(rng: np.random.Generator) -> None:
    head = SquashedGaussianHead(LOW, HIGH, log_std=0.0)
    raw = rng.normal(0.0, 1.5, size=(100, 2)).astype(np.float32)
    action = head.to_environment(raw)
    assert (action >= LOW).all()
    assert (action <= HIGH).all()
    np.testing.assert_allclose(head.from_environment(action), raw, atol=2e-2)
    extreme = head.to_environment(np.array([[-60.0, 60.0]], np.float32))
    assert extreme.tolist() == [[-1.0, 4.0]]
    assert np.isfinite(head.from_environment(extreme)).all()


def test_categorical_agrees_with_torch_distributions(rng: np.random.Generator) -> None:
    head = CategoricalHead((5,), (0,), scalar=True)
    logits = outputs(rng, 40, 5)
    action = torch.from_numpy(rng.integers(0, 5, 40))
    log_prob, entropy = head.evaluate(logits, action, None)
    reference: Any = distributions.Categorical(logits=logits)
    torch.testing.assert_close(log_prob, reference.log_prob(action))
    torch.testing.assert_close(entropy, reference.entropy())


def test_multi_discrete_is_the_product_of_its_components(rng: np.random.Generator) -> None:
    head = CategoricalHead((3, 2, 4), (0, 0, 0), scalar=False)
    logits = outputs(rng, 40, 9)
    action = torch.from_numpy(np.stack([rng.integers(0, n, 40) for n in (3, 2, 4)], axis=1))
    log_prob, entropy = head.evaluate(logits, action, None)
    parts: list[Any] = [
        distributions.Categorical(logits=part) for part in torch.split(logits, [3, 2, 4], dim=-1)
    ]
    expected = sum(part.log_prob(action[:, i]) for i, part in enumerate(parts))
    torch.testing.assert_close(log_prob, expected)
    torch.testing.assert_close(entropy, sum(part.entropy() for part in parts))


def test_masked_probabilities_are_those_of_the_allowed_choices_alone() -> None:
    head = CategoricalHead((4,), (0,), scalar=True)
    logits = torch.tensor([[1.0, 2.0, 50.0, 0.5]], requires_grad=True)
    mask = torch.tensor([[True, True, False, True]])
    log_prob, entropy = head.evaluate(logits, torch.tensor([1]), mask)
    weights = np.exp([1.0, 2.0, 0.5])
    shares = weights / weights.sum()
    assert float(log_prob.detach()) == pytest.approx(math.log(shares[1]), abs=1e-6)
    assert float(entropy.detach()) == pytest.approx(-(shares * np.log(shares)).sum(), abs=1e-6)
    (slope,) = torch.autograd.grad(log_prob.sum() + entropy.sum(), logits)
    assert float(slope[0, 2]) == 0.0
    assert torch.isfinite(slope).all()


@given(st.data())
def test_a_masked_choice_is_never_drawn(data: st.DataObject) -> None:
    counts = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    head = CategoricalHead(counts, (0,) * len(counts), scalar=False)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    scale = data.draw(st.sampled_from([0.0, 1.0, 1000.0]))
    logits = torch.from_numpy((scale * rng.normal(size=(30, head.outputs))).astype(np.float32))
    pieces = []
    for count in counts:
        piece = rng.random((30, count)) < 0.4
        piece[np.arange(30), rng.integers(0, count, 30)] = True
        pieces.append(piece)
    mask = np.concatenate(pieces, axis=1)
    noise = torch.from_numpy(head.noise(rng, (30,)))
    allowed = torch.from_numpy(mask)
    for chosen in (head.sample(logits, noise, allowed), head.mode(logits, allowed)):
        for component, piece in enumerate(pieces):
            assert piece[np.arange(30), chosen[:, component].numpy()].all()


def test_categorical_draws_follow_the_softmax() -> None:
    head = CategoricalHead((3,), (0,), scalar=True)
    logits = torch.tensor([[0.0, 1.0, 2.0]]).expand(60_000, 3)
    noise = torch.from_numpy(head.noise(np.random.default_rng(5), (60_000,)))
    counts = torch.bincount(head.sample(logits, noise, None), minlength=3).numpy()
    expected = torch.softmax(logits[0], dim=-1).numpy().astype(np.float64)
    assert stats.chisquare(counts, 60_000 * expected / expected.sum()).pvalue > 1e-3


def test_gaussian_draws_have_the_stated_mean_and_deviation() -> None:
    head = GaussianHead(np.array([-1.0]), np.array([1.0]), log_std=math.log(0.5))
    noise = torch.from_numpy(head.noise(np.random.default_rng(5), (60_000,)))
    drawn = head.sample(torch.full((60_000, 1), 2.0), noise, None).detach().numpy()
    assert stats.kstest(drawn[:, 0], stats.norm(2.0, 0.5).cdf).pvalue > 1e-3


def test_discrete_actions_are_numbered_as_the_environment_does() -> None:
    head = head_for(spaces.Discrete(3, start=7), squash=False, log_std=0.0)
    assert head.to_environment(np.array([0, 2])).tolist() == [7, 9]
    assert head.from_environment(np.array([7, 9])).tolist() == [0, 2]


def test_a_row_that_allows_nothing_is_refused() -> None:
    head = CategoricalHead((2, 2), (0, 0), scalar=False)
    mask = np.array([[1, 0, 1, 1], [1, 1, 0, 0]], bool)
    with pytest.raises(UserError, match="component 1 in 1 of 2 rows"):
        head.check_mask(mask)


@pytest.mark.parametrize(
    ("space", "squash"),
    [
        (spaces.Box(LOW.astype(np.float32), HIGH.astype(np.float32)), False),
        (spaces.Box(LOW.astype(np.float32), HIGH.astype(np.float32)), True),
        (spaces.Box(-np.inf, np.inf, (2,)), False),
        (spaces.Discrete(3, start=2), False),
        (spaces.MultiDiscrete([3, 4]), False),
    ],
)
def test_a_description_rebuilds_the_same_head(space: spaces.Space[Any], squash: bool) -> None:
    head = head_for(space, squash=squash, log_std=0.0)
    assert head_from(head.describe()).describe() == head.describe()


@pytest.mark.parametrize(
    ("space", "squash", "reason"),
    [
        (spaces.Box(-np.inf, np.inf, (1,)), True, "finite bounds"),
        (spaces.Box(0.0, 1.0, (2, 2)), False, "not supported"),
        (spaces.MultiBinary(3), False, "not supported"),
    ],
)
def test_other_action_spaces_are_refused(
    space: spaces.Space[Any], squash: bool, reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        head_for(space, squash=squash, log_std=0.0)


def test_an_unknown_head_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="known: categorical, gaussian, squashed gaussian"):
        head_from({"kind": "beta"})
