"""Several runs share one budget: an answer known on paper, terms read and mixes refused."""

from __future__ import annotations

import numpy as np
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.what_if.allocation import allocate, next_money
from ppo_marketing.what_if.campaigns import Origin, Terms, doubts, parsed_terms, refuse_mixed
from ppo_marketing.what_if.curve import Curve

SHOES = Origin("shoes", "pricing", "EUR", "a" * 64, 48)
BAGS = Origin("bags", "pricing", "EUR", "b" * 64, 48)


def root(name: str, scale: float, now: float = 50.0) -> Curve:
    """V(s) = scale √s up to 400, finely drawn."""
    spend = np.linspace(0.0, 400.0, 8001)
    value = scale * np.sqrt(spend)
    return Curve(name, spend, value, value, value, value, spend / 400, now)


def spends(terms: dict[str, Terms], total: float) -> list[float]:
    curves = (root("shoes", 4), root("bags", 3))
    campaigns = [terms.get(one.name, Terms()).campaign(one) for one in curves]
    return [share.spend for share in allocate(campaigns, total).shares]


def test_equal_margins_share_by_the_squares_of_the_scales() -> None:
    # 4 / (2 √s) = 3 / (2 √(100 - s)): s = 64.
    assert spends({}, 100) == pytest.approx([64, 36], abs=0.1)


def test_locks_leasts_and_mosts_hold_whatever_the_margins_say() -> None:
    assert spends({"bags": Terms(locked=True)}, 100) == pytest.approx([50, 50], abs=0.1)
    assert spends({"bags": Terms(least=0.9)}, 100) == pytest.approx([55, 45], abs=0.1)
    assert spends({"shoes": Terms(most=1.1)}, 100) == pytest.approx([55, 45], abs=0.1)
    # Where all limits hold at once, what nobody may spend is left.
    both = {"shoes": Terms(most=1.1), "bags": Terms(most=0.5)}
    assert spends(both, 100) == pytest.approx([55, 25], abs=0.1)


def test_a_campaign_of_four_episodes_spends_and_earns_four_times_as_much() -> None:
    # V(s) = 4 x 3 √(s / 4) = 6 √s: against 4 √s, 36 : 16 of 104.
    found = allocate(
        [Terms().campaign(root("shoes", 4)), Terms(size=4).campaign(root("b", 3))], 104
    )
    assert [share.spend for share in found.shares] == pytest.approx([32, 72], abs=0.2)
    assert [share.now for share in found.shares] == [50, 200]
    assert found.value == pytest.approx(4 * np.sqrt(32) + 6 * np.sqrt(72), rel=1e-3)


def test_the_next_money_goes_where_the_margin_is_highest() -> None:
    # At 50 each the margins are 4 : 3; they meet at 64 : 36 of the sum, 96 : 54 of 150.
    campaigns = [Terms().campaign(one) for one in (root("shoes", 4), root("bags", 3))]
    went = {name: spend for name, spend, _ in next_money(campaigns, 50)}
    assert went == pytest.approx({"shoes": 46, "bags": 4}, abs=0.2)


def test_runs_that_count_otherwise_are_refused_with_every_difference() -> None:
    refuse_mixed([SHOES, BAGS])
    other = Origin("mail", "letters", "USD", "c" * 64, 12)
    with pytest.raises(UserError) as refused:
        refuse_mixed([SHOES, other, SHOES])
    for said in (
        "different decisions: shoes has pricing, mail has letters",
        "different currencies: shoes has EUR, mail has USD",
        "different lengths of an episode: shoes has 48, mail has 12",
        "shoes is named twice",
        "Choose runs of one decision",
    ):
        assert said in str(refused.value)


def test_runs_of_one_log_are_doubted_since_they_may_be_one_campaign() -> None:
    assert doubts([SHOES, BAGS]) == ()
    again = Origin("shoes again", "pricing", "EUR", SHOES.log_sha256, 48)
    (said,) = doubts([SHOES, BAGS, again])
    assert said.startswith("shoes and shoes again were fitted to the same log")


def test_terms_are_read_and_what_cannot_be_is_told_at_once() -> None:
    found = parsed_terms(["shoes: locked", "bags: least=0.5, most=2, size=10"], ["shoes", "bags"])
    assert found == {"shoes": Terms(locked=True), "bags": Terms(least=0.5, most=2.0, size=10.0)}
    assert parsed_terms([], ["shoes"]) == {"shoes": Terms()}
    with pytest.raises(UserError) as refused:
        parsed_terms(
            ["shoe: locked", "bags: most=much, sise=3", "shoes: size=0"], ["shoes", "bags"]
        )
    for said in ("did you mean shoes", "'most=much' of bags", "'sise=3'", "0 episodes", "`RUN: "):
        assert said in str(refused.value)
