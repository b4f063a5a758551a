"""The battery: families side by side, intervals that cover, and logs that cannot say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ppo_marketing.ope.battery import OffPolicyReport, off_policy_report
from ppo_marketing.ope.from_log import decisions_from_log
from ppo_marketing.ope.refusals import LEAST_EFFECTIVE_N
from tests.support.one_step import ACTIONS, bandit, paper

ENOUGH = 7_000  # some 250 effective rows


@pytest.fixture(scope="module")
def report() -> OffPolicyReport:
    rng = np.random.default_rng(1)
    return off_policy_report(bandit(ENOUGH, rng).decisions(), rng)


def test_families_stand_side_by_side(report: OffPolicyReport) -> None:
    names = [row.name.split(",")[0] for row in report.estimates]
    assert names == [
        "IPS", "IPS", "SNIPS", "SubGauss", "DM", "DR", "SNDR", "Switch-DR", "DRos",
    ]  # fmt: skip
    families = {row.family for row in report.estimates}
    assert families == {"importance weighting", "model", "doubly robust"}


def test_every_estimate_has_its_intervals_around_it(report: OffPolicyReport) -> None:
    assert report.can_say
    for row in (*report.estimates, report.logging):
        for interval in (row.normal, row.bootstrap):
            assert interval is not None
            assert interval.low < row.value < interval.high
            assert interval.high - interval.low == pytest.approx(3.92 * row.standard_error, rel=0.2)
        assert row.assumes
    bounded = [row.name for row in report.estimates if row.bernstein is not None]
    assert len(bounded) == 1
    assert bounded[0].startswith("IPS, clipped")
    assert report.row("DR").name == "DR"
    assert report.row("DRos").name.startswith("DRos, λ")


def test_the_lift_is_paired(report: OffPolicyReport) -> None:
    robust, logged = report.row("DR"), report.logging
    assert report.lift.value == pytest.approx(robust.value - logged.value)
    assert report.lift.low is not None
    assert report.lift.low < report.lift.value
    one_sided = report.lift.value - 1.645 * report.lift.standard_error
    assert report.lift.low == pytest.approx(one_sided, abs=0.2 * report.lift.standard_error)


def test_the_lift_over_itself_is_nothing() -> None:
    rng = np.random.default_rng(2)
    reward = (rng.random(500) < 0.3).astype(float)
    same = {"propensity": np.full(500, 0.5), "chosen": np.full(500, 0.5)}
    constant = {"direct": np.full(500, 0.3), "predicted": np.full(500, 0.3)}
    found = off_policy_report(paper(reward=reward, **same, **constant), rng)
    assert found.lift.value == pytest.approx(0.0)
    assert found.lift.standard_error == pytest.approx(0.0)
    assert found.lift.low == pytest.approx(0.0)


def test_the_report_is_plain_json(report: OffPolicyReport) -> None:
    plain = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert plain["can_say"] is True
    assert plain["estimates"][0]["bootstrap"].keys() == {"low", "high"}
    nothing = off_policy_report(paper(chosen=[0.0] * 4), np.random.default_rng(0)).as_dict()
    assert json.loads(json.dumps(nothing, allow_nan=False))["estimates"][2]["value"] is None


def all_intervals(report: OffPolicyReport) -> list[object]:
    rows = (*report.estimates, report.logging)
    shown = [interval for r in rows for interval in (r.normal, r.bootstrap, r.bernstein)]
    return [interval for interval in (*shown, report.lift.low) if interval is not None]


def test_five_hundred_rows_of_which_few_are_effective_cannot_say() -> None:
    rng = np.random.default_rng(3)
    found = off_policy_report(bandit(500, rng).decisions(), rng)
    assert 10 < found.diagnostics.effective_n < 30
    assert not found.can_say
    assert not all_intervals(found)
    [first, *_] = found.refusals
    assert first.startswith("the log cannot say: the effective sample size is")
    assert "times as many" in first
    assert "more exploration of the actions" in first
    assert len(found.estimates) == 9
    needed = float(first.split("about ")[1].split(" ")[0].replace(",", ""))
    assert needed == pytest.approx(500 * 200 / found.diagnostics.effective_n, rel=0.01)


def test_what_the_log_hardly_has_is_refused_with_the_actions_named() -> None:
    rng = np.random.default_rng(4)
    log = bandit(ENOUGH, rng)
    policy = np.array(log.columns["target_probabilities"])
    policy *= 0.9
    policy[:, 5] += 0.1
    rare = log.columns["action"] != 5
    kept = {name: column[rare] for name, column in log.columns.items()}
    found = off_policy_report(
        bandit(1, rng)._replace(columns=kept | {"target_probabilities": policy[rare]}).decisions(),
        rng,
        names=[f"offer {a}" for a in range(ACTIONS)],
    )
    assert found.diagnostics.effective_n > LEAST_EFFECTIVE_N
    assert (found.diagnostics.unsupported or 0.0) > 0.1
    assert not all_intervals(found)
    [only] = found.refusals
    assert "offer 5" in only
    assert "30 rows or more" in only


def test_weight_on_few_customers_is_refused() -> None:
    rng = np.random.default_rng(5)
    log = bandit(ENOUGH, rng)
    found = off_policy_report(log.decisions(unit=np.arange(ENOUGH) % 5), rng)
    assert any("independent units" in refusal for refusal in found.refusals)
    assert not all_intervals(found)


def test_unknown_support_is_said_to_be_unknown() -> None:
    found = off_policy_report(paper(), np.random.default_rng(0))
    assert found.diagnostics.unsupported is None
    assert any("not known how much of the policy" in warning for warning in found.warnings)


def test_a_model_that_the_rewards_contradict_is_called_out() -> None:
    rng = np.random.default_rng(6)
    log = bandit(ENOUGH, rng)
    wrong = log.decisions(predicted_reward=np.full((ENOUGH, ACTIONS), 0.9))
    found = off_policy_report(wrong, rng)
    assert any("trust neither DM" in warning for warning in found.warnings)


def test_wrong_propensities_show_in_the_mean_weight() -> None:
    rng = np.random.default_rng(7)
    log = bandit(ENOUGH, rng)
    wrong = log.decisions(propensity=log.columns["propensity"] / 3)
    found = off_policy_report(wrong, rng)
    assert any("mean weight is 3" in warning or "mean weight is 2" in warning
               for warning in found.warnings)  # fmt: skip
    assert not any("mean weight" in w for w in off_policy_report(log.decisions(), rng).warnings)


def test_estimated_propensities_are_labelled_and_their_calibration_shown() -> None:
    rng = np.random.default_rng(8)
    log = bandit(ENOUGH, rng)
    given = {name: log.columns[name] for name in ("action", "reward", "target_probabilities")}
    made = decisions_from_log(context=log.context, rng=rng, **given)
    found = off_policy_report(made.decisions, rng, calibration=made.calibration)
    assert found.propensity == "estimated"
    assert "estimated, not logged" in found.warnings[0]
    assert found.as_dict()["calibration"]["bins"][0].keys() == {"predicted", "observed", "pairs"}


def test_replay_and_mips_join_where_the_log_allows_them() -> None:
    rng = np.random.default_rng(9)
    n = 9_000
    action = rng.integers(0, 4, n)
    columns = {
        "reward": (rng.random(n) < 0.2 + 0.1 * action).astype(float),
        "action": action,
        "propensity": np.full(n, 0.25),
        "target_probabilities": np.tile([0.0, 0.0, 0.0, 1.0], (n, 1)),
        "predicted_reward": np.full((n, 4), 0.35),
        "category": ["low", "low", "high", "high"],
    }
    log = bandit(1, rng)._replace(columns=columns)
    found = off_policy_report(log.decisions(), rng)
    assert found.row("replay").value == pytest.approx(0.5, abs=0.03)
    # The category's items differ: what MIPS assumes is wrong here, by the half of .1.
    assert found.row("MIPS").value == pytest.approx(0.45, abs=0.03)


def test_the_same_generator_gives_the_same_report() -> None:
    decisions = bandit(ENOUGH, np.random.default_rng(1)).decisions()
    first, second = (off_policy_report(decisions, np.random.default_rng(4)) for _ in range(2))
    assert first == second


def test_the_order_of_rows_and_the_names_of_units_say_nothing() -> None:
    rng = np.random.default_rng(10)
    log = bandit(2_000, rng)
    unit = rng.integers(0, 400, 2_000)
    turned = {name: column[::-1] for name, column in log.columns.items()}
    turned["unit"] = np.array([f"customer {u}" for u in unit[::-1]])
    first = off_policy_report(log.decisions(unit=unit), rng)
    second = off_policy_report(bandit(1, rng)._replace(columns=turned).decisions(), rng)
    for one, other in zip(first.estimates, second.estimates, strict=True):
        assert one.value == pytest.approx(other.value)
        assert one.standard_error == pytest.approx(other.standard_error)
    assert first.diagnostics.effective_units == pytest.approx(second.diagnostics.effective_units)


def covered(repetitions: int) -> dict[str, float]:
    """How often the bootstrap interval, and the normal one, hold the truth at 200 or more."""
    truth = float(bandit(300_000, np.random.default_rng(99)).truth.mean())
    hits: dict[str, list[bool]] = {}
    for k in range(repetitions):
        rng = np.random.default_rng([7, k])
        found = off_policy_report(bandit(ENOUGH, rng).decisions(), rng)
        assert found.diagnostics.effective_n >= LEAST_EFFECTIVE_N
        for name in ("SNIPS", "DR"):
            row = found.row(name)
            for kind, interval in (("bootstrap", row.bootstrap), ("normal", row.normal)):
                assert interval is not None
                held = interval.low <= truth <= interval.high
                hits.setdefault(f"{name}, {kind}", []).append(held)
    return {name: float(np.mean(held)) for name, held in hits.items()}


def test_intervals_cover_the_truth() -> None:
    for name, share in covered(40).items():
        assert share >= 0.85, name


@pytest.mark.verify
def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    found = covered(300)
    assert len(found) == 4
    for name, share in found.items():
        assert 0.92 <= share <= 0.98, name
