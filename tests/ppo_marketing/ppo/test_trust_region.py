from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.trust_region import (
    AdaptiveClip,
    Clip,
    KLPenalty,
    SteeredClip,
    TrustRegion,
    Unbounded,
    ratio_bounds,
)

ALL: list[TrustRegion] = [
    Clip(),
    Clip(dual=3.0),
    SteeredClip(),
    KLPenalty(),
    AdaptiveClip(),
    Unbounded(),
]


def evaluated(
    region: TrustRegion, log_ratio: float, advantage: float, p: float = 0.5
) -> tuple[float, float]:
    """Return the loss of one element and its derivative by log_ratio, with k3 as the KL."""
    variable = torch.tensor(log_ratio, dtype=torch.float64, requires_grad=True)
    kl = torch.expm1(variable) - variable
    log_prob = torch.tensor(p, dtype=torch.float64).log()
    loss = region.loss(variable, kl, torch.tensor(advantage, dtype=torch.float64), log_prob)
    (slope,) = torch.autograd.grad(loss, variable)
    return float(loss.detach()), float(slope)


def gradient(region: TrustRegion, log_ratio: float, advantage: float, p: float = 0.5) -> float:
    return evaluated(region, log_ratio, advantage, p)[1]


@given(st.floats(math.log(1.2) + 1e-6, 3.0), st.floats(0.01, 10.0))
def test_gradient_is_zero_above_the_interval_for_a_good_action(
    log_ratio: float, advantage: float
) -> None:
    assert gradient(Clip(), log_ratio, advantage) == 0.0


@given(st.floats(-3.0, math.log(0.8) - 1e-6), st.floats(-10.0, -0.01))
def test_gradient_is_zero_below_the_interval_for_a_bad_action(
    log_ratio: float, advantage: float
) -> None:
    assert gradient(Clip(), log_ratio, advantage) == 0.0


@given(st.floats(math.log(0.8) + 1e-6, math.log(1.2) - 1e-6), st.floats(-10.0, 10.0))
def test_gradient_inside_the_interval_is_the_policy_gradient(
    log_ratio: float, advantage: float
) -> None:
    for region in (Clip(), SteeredClip(), AdaptiveClip()):
        slope = gradient(region, log_ratio, advantage)
        assert slope == pytest.approx(-advantage * math.exp(log_ratio))


@given(st.floats(-3.0, math.log(0.8) - 1e-6), st.floats(0.01, 10.0))
def test_a_good_action_made_too_rare_is_still_pulled_back(
    log_ratio: float, advantage: float
) -> None:
    assert gradient(Clip(), log_ratio, advantage) == pytest.approx(-advantage * math.exp(log_ratio))


@pytest.mark.parametrize("region", ALL, ids=lambda region: str(region.__class__.__name__))
def test_at_the_old_policy_every_region_is_the_plain_policy_gradient(region: TrustRegion) -> None:
    for advantage in (-2.0, 3.0):
        loss, slope = evaluated(region, 0.0, advantage)
        assert loss == pytest.approx(-advantage)
        assert slope == pytest.approx(-advantage)


@pytest.mark.parametrize("region", ALL, ids=lambda region: str(region.__class__.__name__))
def test_the_loss_is_elementwise_for_any_shape(region: TrustRegion) -> None:
    log_ratio = torch.linspace(-2, 2, 12).reshape(3, 4)
    kl = torch.expm1(log_ratio) - log_ratio
    advantage = torch.linspace(-1, 1, 12).flip(0).reshape(3, 4)
    log_prob = torch.linspace(-5, -0.01, 12).reshape(3, 4)
    whole = region.loss(log_ratio, kl, advantage, log_prob)
    rows = [region.loss(*row) for row in zip(log_ratio, kl, advantage, log_prob, strict=True)]
    torch.testing.assert_close(whole, torch.stack(rows))
    assert region.outside(log_ratio, log_prob).shape == (3, 4)


def test_the_two_epsilons_bound_the_two_sides() -> None:
    region = Clip(low=0.1, high=0.3)
    assert list(evaluated(region, math.log(2.0), 1.0)) == pytest.approx([-1.3, 0.0])
    assert list(evaluated(region, math.log(0.5), -1.0)) == pytest.approx([0.9, 0.0])
    moved = torch.tensor([0.85, 0.95, 1.25, 1.35]).log()
    assert region.outside(moved, moved).tolist() == [True, False, False, True]


def test_the_dual_clip_bounds_what_one_bad_action_can_pull() -> None:
    plain, dual = Clip(), Clip(dual=3.0)
    assert evaluated(plain, math.log(10.0), -1.0)[0] == pytest.approx(10.0)
    assert list(evaluated(dual, math.log(10.0), -1.0)) == pytest.approx([3.0, 0.0])
    assert evaluated(dual, math.log(2.0), -1.0)[0] == pytest.approx(2.0)
    assert evaluated(dual, math.log(10.0), 1.0) == evaluated(plain, math.log(10.0), 1.0)


def test_a_penalty_prices_the_kl() -> None:
    region = KLPenalty(coefficient=2.0, schedule="fixed", target_kl=None)
    log_ratio, advantage = 0.3, 1.5
    k3 = math.exp(log_ratio) - 1 - log_ratio
    loss, slope = evaluated(region, log_ratio, advantage)
    assert loss == pytest.approx(2 * k3 - math.exp(log_ratio) * advantage)
    assert slope == pytest.approx(2 * math.expm1(log_ratio) - math.exp(log_ratio) * advantage)
    assert region.updated(10.0) == region


@pytest.mark.parametrize(
    ("mean_kl", "factor"),
    [(0.0151, 2.0), (0.0149, 1.0), (0.01, 1.0), (0.0067, 1.0), (0.0066, 0.5), (0.0, 0.5)],
)
def test_the_penalty_doubles_and_halves_outside_the_papers_band(
    mean_kl: float, factor: float
) -> None:
    region = KLPenalty(coefficient=3.0, schedule="doubling", target_kl=0.01)
    assert region.updated(mean_kl).coefficient == pytest.approx(3.0 * factor)


@pytest.mark.parametrize(
    ("mean_kl", "error"), [(0.011, 0.1), (0.05, 0.2), (0.009, -0.1), (0.0, -0.2), (0.01, 0.0)]
)
def test_the_proportional_controller_moves_with_the_bounded_error(
    mean_kl: float, error: float
) -> None:
    region = KLPenalty(coefficient=3.0, schedule="proportional", target_kl=0.01, gain=0.5)
    assert region.updated(mean_kl).coefficient == pytest.approx(3.0 * (1 + 0.5 * error))


def test_the_proportional_controller_follows_the_recent_mean_of_the_kl() -> None:
    region = KLPenalty(coefficient=3.0, schedule="proportional", target_kl=0.01, gain=1.0)
    region = region.updated(0.010).updated(0.020)  # recent: .010, then .010 + .1 x .010 = .011
    assert region.recent_kl == pytest.approx(0.011)
    assert region.coefficient == pytest.approx(3.0 * 1.1)


def test_an_epsilon_is_steered_against_the_kl_within_bounds() -> None:
    region = SteeredClip(epsilon=0.3, target_kl=0.01, gain=0.5)
    assert region.updated(0.02).epsilon == pytest.approx(0.27)
    assert region.updated(0.011).epsilon == pytest.approx(0.285)
    assert region.updated(0.001).epsilon == pytest.approx(0.33)
    assert region.updated(0.01).epsilon == 0.3
    for _ in range(50):
        region = region.updated(0.0)
    assert region.epsilon == 0.9


@pytest.mark.parametrize(
    ("p", "low", "high"),
    [
        (0.01, 0.159, 3.113),
        (0.05, 0.500, 1.738),
        (0.25, 0.769, 1.257),
        (0.5, 0.859, 1.141),
        (0.9, 0.947, 1.041),
    ],
)
def test_the_adaptive_bounds_are_the_published_ones(p: float, low: float, high: float) -> None:
    found = ratio_bounds(torch.tensor([p], dtype=torch.float64).log(), 0.01)
    assert [float(bound) for bound in found] == pytest.approx([low, high], abs=5.1e-4)


@given(st.floats(1e-4, 0.999), st.floats(1e-4, 0.5))
def test_the_adaptive_bounds_solve_their_equation(p: float, delta: float) -> None:
    def excess(x: float) -> float:
        return -p * math.log(x) - (1 - p) * math.log((1 - p * x) / (1 - p)) - delta

    low, high = (float(b) for b in ratio_bounds(torch.tensor(p, dtype=torch.float64).log(), delta))
    smallest = math.exp(-min((delta + math.log(2)) / p, 60.0))
    if excess(smallest) > 0:
        assert low == pytest.approx(brentq(excess, smallest, 1.0 - 1e-12, xtol=1e-30), rel=1e-6)
    largest = (1 - 1e-14) / p
    certain = excess(largest) < 0  # the root is nearer to 1 / p than numbers can tell
    expected = largest if certain else brentq(excess, 1.0 + 1e-12, largest)
    assert high == pytest.approx(expected, rel=1e-6)


def test_rare_actions_may_move_further_and_never_less_than_epsilon() -> None:
    region = AdaptiveClip(epsilon=0.2, delta=0.01)
    low, high = region.interval(torch.tensor([0.01, 0.5]).log())
    assert low.tolist() == pytest.approx([0.159, 0.8], abs=1e-3)
    assert high.tolist() == pytest.approx([3.113, 1.2], abs=1e-3)
    assert gradient(region, math.log(2.5), 1.0, p=0.01) != 0.0
    assert gradient(region, math.log(2.5), 1.0, p=0.5) == 0.0


def test_a_clip_does_not_adapt() -> None:
    for region in (Clip(), AdaptiveClip()):
        assert region.updated(mean_kl=0.5) == region


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Clip(low=1.0), "low is 1.0"),
        (lambda: Clip(high=-0.1, dual=1.0), "high is -0.1.*dual is 1.0"),
        (lambda: SteeredClip(target_kl=0.0), "target_kl is 0.0"),
        (lambda: KLPenalty(coefficient=0.0), "coefficient is 0.0"),
        (lambda: KLPenalty(target_kl=None), "given where the schedule is 'proportional'"),
        (lambda: KLPenalty(schedule="fixed"), "null where the schedule is 'fixed'"),
        (lambda: AdaptiveClip(delta=-1.0), "delta is -1.0"),
        (lambda: replace(KLPenalty(), gain=2.0), "gain is 2.0"),
    ],
)
def test_a_contradiction_is_refused_with_the_remedy(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(UserError, match=message):
        make()


def test_no_region_at_all_has_the_policy_gradient_and_no_interval() -> None:
    log_ratio = torch.tensor([0.0, 2.0, -3.0], requires_grad=True)
    advantage = torch.tensor([1.5, -2.0, 4.0])
    region = Unbounded()
    loss = region.loss(log_ratio, torch.zeros(3), advantage, torch.zeros(3))
    torch.testing.assert_close(loss, -log_ratio.exp() * advantage)
    torch.autograd.backward(loss[0])
    # d/dθ of -ρ A at ρ = 1 is that of -A log π: what vanilla policy gradient descends.
    assert log_ratio.grad is not None
    assert float(log_ratio.grad[0]) == -1.5
    assert not region.outside(log_ratio, torch.zeros(3)).any()
    assert region.updated(5.0) == region
