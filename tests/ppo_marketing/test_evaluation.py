"""Evidence: paired, with intervals, never beyond the ceiling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ppo_marketing.evaluation import (
    BOOTSTRAP_BLOCKS,
    Evidence,
    ImplausibleClaim,
    Played,
    bootstrap_means,
    judge_played,
    play,
    shares,
)
from ppo_marketing.policy import PolicyActor
from tests.support.bidding import small_world


def judged(policy: Any, rule: Any, ceiling: Any, **changes: Any) -> Evidence:
    played = [
        Played("PPO", "policy", {"value": np.array(policy), "clicks": np.ones(len(policy))}),
        Played("rule", "rule", {"value": np.array(rule), "clicks": np.ones(len(rule))}),
        Played("nothing", "floor", {"value": np.zeros(len(rule)), "clicks": np.zeros(len(rule))}),
    ]
    options: dict[str, Any] = {
        "world": "a world",
        "value_kpi": "value",
        "event_kpi": "clicks",
        "unit": "EUR",
        "event_unit": "clicks",
        "ceiling_kind": "realised",
        "seed": 1,
        "chosen": {},
        **changes,
    }
    return judge_played(played, np.array(ceiling), **options)


def test_shares_lift_headroom_and_closed_gap_on_paper() -> None:
    evidence = judged([9.0, 18.0], [8.0, 16.0], [10.0, 20.0])
    assert evidence.policy.share_of_ceiling.value == pytest.approx(0.9)
    assert evidence.best_rule == "rule"
    lift = evidence.row("rule").policy_lift
    assert lift is not None
    assert lift.value == pytest.approx(0.1)
    # Both days say the same, so the paired interval has no width though the values differ by 2.
    assert lift.low == pytest.approx(0.1)
    assert lift.high == pytest.approx(0.1)
    assert evidence.row("rule").probability_of_lift == 1.0
    assert evidence.headroom == pytest.approx(30 / 24 - 1)
    assert evidence.gap_closed.value == pytest.approx(0.5)


def test_a_claim_beyond_the_headroom_fails_the_run() -> None:
    with pytest.raises(ImplausibleClaim, match=r"PPO: 1\.2000 of the ceiling"):
        judged([12.0, 9.0], [8.0, 8.0], [10.0, 10.0])


def test_luck_above_an_expected_ceiling_is_no_claim_but_a_mean_above_it_is() -> None:
    rng = np.random.default_rng(0)
    lucky = rng.exponential(0.9, 4000)
    rule = np.full(4000, 0.5)
    evidence = judged(lucky, rule, np.ones(4000), ceiling_kind="expected")
    assert lucky.max() > 1
    assert evidence.policy.share_of_ceiling.value == pytest.approx(lucky.mean())
    with pytest.raises(ImplausibleClaim):
        judged(lucky + 0.5, rule, np.ones(4000), ceiling_kind="expected")


def test_intervals_cover_the_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        sample = rng.normal(1.0, 1.0, (1, 60))
        low, high = np.quantile(bootstrap_means(sample, 500, rng), [0.025, 0.975])
        covered += bool(low <= 1.0 <= high)
    assert 0.88 <= covered / 200 <= 0.99


def test_many_episodes_are_resampled_in_blocks_with_the_same_spread() -> None:
    rng = np.random.default_rng(2)
    sample = rng.normal(0.0, 1.0, (1, 10 * BOOTSTRAP_BLOCKS))
    spread = bootstrap_means(sample, 400, rng).std()
    assert spread == pytest.approx(1 / np.sqrt(sample.shape[1]), rel=0.15)


def test_every_row_is_resampled_by_the_same_episodes(rng: np.random.Generator) -> None:
    mine, theirs = rng.normal(size=(2, 30))
    draws = bootstrap_means(np.stack([mine, theirs, mine - theirs]), 50, rng)
    np.testing.assert_allclose(draws[0] - draws[1], draws[2], atol=1e-12)


def test_shares_against_an_expected_ceiling_are_a_ratio_of_means() -> None:
    value, ceiling = np.array([1.0, 3.0]), np.array([2.0, 6.0])
    assert shares(value, ceiling, "expected").mean() == pytest.approx(0.5)
    assert shares(value, ceiling, "realised").tolist() == [0.5, 0.5]


class _Constant:
    """A policy that always answers the same."""

    def __init__(self, answer: float) -> None:
        self.answer = answer

    def act(
        self, observation: Any, rng: Any, mask: Any = None, *, deterministic: bool = False
    ) -> Any:
        assert deterministic, "policies are judged as they would be shipped"
        return np.full((len(observation), 1), self.answer, np.float32)

    def log_prob(self, observation: Any, action: Any, mask: Any = None) -> Any:
        return np.zeros(len(observation))


def test_all_actors_play_the_same_episodes(rng: np.random.Generator) -> None:
    world = small_world(rng)
    one = play(PolicyActor("one", _Constant(0.0)), world, 4, 5, "policy")
    same = play(PolicyActor("same", _Constant(0.0)), world, 4, 5, "policy")
    other = play(PolicyActor("other", _Constant(0.9)), world, 4, 5, "policy")
    np.testing.assert_array_equal(one.kpis["impressions"], same.kpis["impressions"])
    np.testing.assert_array_equal(one.kpis["value"], same.kpis["value"])
    assert not np.array_equal(one.kpis["value"], other.kpis["value"])


def test_the_lift_in_money_is_paired_like_the_lift_in_shares() -> None:
    evidence = judged([9.0, 18.0], [8.0, 17.0], [10.0, 20.0])
    row = evidence.row("rule")
    assert row.value_lift is not None
    # One more on either day: certain, though the values themselves differ by 9.
    assert (row.value_lift.value, row.value_lift.low, row.value_lift.high) == pytest.approx(
        (1.0, 1.0, 1.0)
    )
    assert row.value_lift.unit == "EUR"
    nothing = evidence.row("nothing").value_lift
    assert nothing is not None
    assert nothing.value == pytest.approx(13.5)
    assert (nothing.low, nothing.high) == (9.0, 18.0)
    ceiling = evidence.row("ceiling").value_lift
    assert ceiling is not None
    assert ceiling.value == pytest.approx(-1.5)
    assert evidence.policy.value_lift is None
