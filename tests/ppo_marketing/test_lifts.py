"""Who the policy is held against, in money and in doubt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ppo_marketing.evaluation import Estimate, Evidence, Played, judge_played
from ppo_marketing.lifts import PairedLift, lifts, paired_lift
from ppo_marketing.report_run import chance, percent


def evidence(champion: float | None = None) -> Evidence:
    def played(name: str, kind: str, value: float) -> Played:
        worth = np.array([value, value + 1.0])
        return Played(name, kind, {"value": worth, "clicks": worth})  # type: ignore[arg-type] # a kind

    actors = [
        played("PPO", "policy", 8.0), played("slow", "rule", 5.0), played("fast", "rule", 7.0),
        played("as logged", "logging", 8.0), played("nothing", "floor", 0.0),
    ]  # fmt: skip
    if champion is not None:
        actors.append(played("champion", "champion", champion))
    return judge_played(
        actors, np.array([10.0, 11.0]), world="w", value_kpi="value", event_kpi="clicks",
        unit="EUR", event_unit="clicks", ceiling_kind="realised", seed=1, chosen={},
    )  # fmt: skip


def test_the_best_rule_speaks_for_the_rules_and_nobody_is_left_out() -> None:
    found = lifts(evidence())
    assert [lift.beside for lift in found] == ["floor", "logging", "rule"]
    assert found[2].who == "the best rule, fast"
    assert found[2].money is not None
    assert (found[2].money.value, found[2].money.low, found[2].money.unit) == (1.0, 1.0, "EUR")


def test_a_tie_has_no_chance_of_a_lift() -> None:
    logging = lifts(evidence())[1]
    assert logging.probability is None
    assert chance(logging) == "they never differ"
    assert lifts(evidence())[0].probability == 1.0


def test_the_champion_of_today_replaces_the_one_that_was_judged_along() -> None:
    judged = lifts(evidence(champion=9.0))[-1]
    assert judged.money is not None
    assert (judged.beside, judged.money.value) == ("champion", -1.0)
    two = Estimate(2.0, 1.0, 3.0, 60.0, "EUR")
    now = PairedLift(two, 0.97, two, two)
    found = lifts(evidence(champion=9.0), now)
    assert [lift.beside for lift in found].count("champion") == 1
    assert (found[-1].money, found[-1].probability) == (two, 0.97)


def test_records_from_before_lifts_were_kept_in_money_are_read() -> None:
    old = evidence()
    old = replace(old, rows=tuple(replace(row, value_lift=None) for row in old.rows))
    assert [lift.money for lift in lifts(old)] == [None, None, None]


def test_a_bootstrap_is_never_told_as_certain() -> None:
    assert (percent(1.0), percent(0.0)) == ("> 99.9 %", "< 0.1 %")
    assert percent(0.5) == "50.0 %"


def test_a_paired_lift_has_the_interval_of_its_differences_at_95_percent() -> None:
    rng = np.random.default_rng(0)
    theirs, more = rng.normal(50.0, 20.0, 400), rng.normal(1.0, 2.0, 400)
    found = paired_lift(theirs + more, theirs, unit="EUR", repetitions=4000, rng=rng)
    half = 1.96 * more.std() / np.sqrt(400)
    assert found.value.value == pytest.approx(more.mean())
    assert found.value.high - found.value.low == pytest.approx(2 * half, rel=0.05)
    assert found.value.low < more.mean() < found.value.high
    assert found.probability == 1.0
    assert found.mine.high - found.mine.low > 10 * half
