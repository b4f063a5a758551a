"""The true customers pass their own checks; a planted error is found by the check meant for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.sequencing import fidelity, fidelity_paths
from envs.sequencing.fidelity import Judged, judge_simulator
from envs.sequencing.fidelity_effects import clustered_mean, doubly_robust, effect_checks
from envs.sequencing.fidelity_paths import followed, statistics
from envs.sequencing.generated_log import logging_policy
from envs.sequencing.generator import MENU, PRESETS, tables_of, true_tables
from envs.sequencing.heads import response_heads
from envs.sequencing.panel import Panel, states
from envs.sequencing.paths import buy_probability
from envs.sequencing.tables import SHARED, ResponseTables, checked
from tests.support.sequencing_log import panel_of

TRUE = true_tables("default")
P = PRESETS["default"]
SPLIT = 17


@pytest.fixture(scope="module")
def held_out() -> Panel:
    return panel_of(TRUE, 20_000, 26, np.random.default_rng(0))


@pytest.fixture(scope="module")
def of_truth(held_out: Panel) -> Judged:
    return judged(TRUE, held_out)


@pytest.fixture
def without_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Customers are not followed: the slowest checks, which are not asked."""
    monkeypatch.setattr(fidelity, "path_checks", lambda *_: ((), (), ()))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the simulated paths: enough for what they are not asked about."""
    monkeypatch.setattr(fidelity_paths, "SIMULATIONS", 20)


def judged(tables: ResponseTables, panel: Panel, *, randomised: bool = True) -> Judged:
    return judge_simulator(
        tables,
        MENU,
        panel,
        SPLIT,
        logging_policy(TRUE),
        response_heads(panel, TRUE.channel),
        np.random.default_rng(1),
        propensity=panel.propensity,
        randomised=(1, 2, 3) if randomised else (),
    )


def test_the_true_customers_pass_every_check(of_truth: Judged) -> None:
    report = of_truth.report
    assert report.passed, [check.name for check in report.failures]
    names = " ".join(check.name for check in report.checks)
    for kind in ("head buy", "head unsubscribe", "surfaces", "predictive", "AUC", "cumulative"):
        assert kind in names
    effects = [check for check in report.checks if check.name.startswith("effect of")]
    assert len(effects) == 10, "three actions x three thirds, and e-mail on tired customers"
    lengths = {check.name: check.unit for check in report.checks}
    assert lengths["trajectories: two-sample AUC"] == "windows of 12 weeks"
    assert "cumulative purchases after 9 later weeks" in lengths
    assert "cumulative purchases after 26 weeks of held-out customers" in lengths
    assert any("cannot be compared over 52" in note for note in of_truth.notes)


PLANTED = {
    "uplift doubled": (replace(P, uplift=(1.1, 2.2, 2.0)), "effect of email+coupon, high third"),
    "letters too strong": (replace(P, uplift=(0.55, 1.1, 2.0)), "effect of letter, high third"),
    "no effect at all": (replace(P, uplift=(0.0, 0.0, 0.0)), "effect of email+coupon, high third"),
    "no fatigue": (replace(P, dampening=0.0), "effect of email on tired customers"),
    "too much fatigue": (replace(P, fatigue=-0.4), "surfaces: worst cell"),
    "nobody leaves": (replace(P, unsubscribe=0.0004), "head unsubscribe: events"),
    "too many buy": (replace(P, base=-3.3), "head buy: events"),
    "recency ignored": (replace(P, base=-4.3, recency=0.0), "head buy: slope"),
}


@pytest.mark.usefixtures("without_paths")
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_fails(name: str, held_out: Panel) -> None:
    parameters, check = PLANTED[name]
    report = judged(tables_of(parameters), held_out).report
    assert not report.passed
    assert check in [failure.name for failure in report.failures]


@pytest.mark.usefixtures("quick")
def test_other_dynamics_are_told_from_the_logged_ones_by_their_trajectories(
    held_out: Panel, of_truth: Judged
) -> None:
    restless = tables_of(replace(P, rest=0.1))  # fatigue hardly goes: cadence mails far less
    checks = {check.name: check for check in judged(restless, held_out).report.checks}
    assert checks["trajectories: two-sample AUC"].value > 0.7
    assert not checks["trajectories: two-sample AUC"].passed
    truth = {check.name: check for check in of_truth.report.checks}
    assert truth["trajectories: two-sample AUC"].value < 0.55


def test_what_a_log_cannot_support_is_said_and_not_passed(held_out: Panel) -> None:
    few = held_out.where(held_out.customer < 250)
    result = judged(TRUE, few, randomised=False)
    text = " ".join(result.notes)
    for part in ("effects cannot be checked", "too few to follow", "too few to check"):
        assert part in text
    assert not result.report.passed
    unanswered = {check.name for check in result.report.failures if check.n == 0}
    assert "effect: not enough in the log" in unanswered
    assert "trajectories: not enough in the log" in unanswered


@pytest.mark.usefixtures("without_paths")
def test_an_action_that_was_never_left_to_chance_fails_by_name_beside_those_that_were(
    held_out: Panel,
) -> None:
    result = judge_simulator(
        TRUE, MENU, held_out.where(held_out.customer < 5000), SPLIT, logging_policy(TRUE),
        response_heads(held_out, TRUE.channel), np.random.default_rng(1),
        propensity=held_out.propensity[held_out.customer < 5000], randomised=(1, 2),
    )  # fmt: skip
    failed = {check.name for check in result.report.failures}
    assert "effect of letter: not randomised" in failed
    compared = [c.name for c in result.report.checks if c.name.startswith("effect of") and c.n]
    assert compared
    assert not any("letter" in name for name in compared)


def test_the_simulators_own_error_widens_an_interval_at_most_by_the_root_of_two(
    held_out: Panel,
) -> None:
    panel = held_out.where(held_out.customer < 5000)

    def widths(tables: ResponseTables) -> np.ndarray:
        checks, *_ = effect_checks(tables, MENU, panel, panel.propensity, (1, 2, 3))
        return np.array([check.high - check.low for check in checks])

    def ensemble(spread: float) -> ResponseTables:
        factors = 1 + spread * np.linspace(-1, 1, 5)[:, None, None, None]
        return checked(TRUE._replace(
            uplift=TRUE.uplift * factors,
            **{n: np.repeat(getattr(TRUE, n), 5, axis=0) for n in ResponseTables._fields
               if n not in ("uplift", *SHARED)},
        ))  # fmt: skip

    alone, sure, unsure = widths(TRUE), widths(ensemble(0.0)), widths(ensemble(0.9))
    np.testing.assert_allclose(sure, alone, rtol=1e-9)
    assert (unsure > alone).all()
    assert (unsure <= np.sqrt(2) * alone * 1.1).all()


def test_the_doubly_robust_estimate_is_right_though_its_predictions_are_wrong(
    held_out: Panel,
) -> None:
    panel = held_out.where(held_out.consent[:, 0])
    wrong = np.full(panel.rows, 0.3)
    score = doubly_robust(panel, 2, wrong, wrong / 2, panel.propensity)
    estimate, error = clustered_mean(score, panel.customer)
    at = states(panel)
    truth = np.mean(
        buy_probability(TRUE, 0, at, np.full(panel.rows, 2))
        - buy_probability(TRUE, 0, at, np.zeros(panel.rows, np.int64))
    )
    assert abs(estimate - truth) < 3 * error < 0.01


def test_ten_statistics_are_compared() -> None:
    panel = panel_of(TRUE, 400, 10, np.random.default_rng(2))
    found = statistics(followed(panel, 2, 8, np.random.default_rng(0)))
    assert len(found) == 10
    assert all(np.isfinite(value) for value in found.values())
