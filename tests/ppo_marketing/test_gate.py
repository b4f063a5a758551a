"""The gate is a pure function: every test refuses alone, with its own reason."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_marketing.errors import UserError
from ppo_marketing.gate import (
    Audit,
    GateRules,
    Reason,
    Residual,
    advice,
    judge,
    sentence,
)
from tests.support.audits import LIFT, SOUND

RULES = GateRules()


def test_a_sound_policy_passes_and_its_value_is_told() -> None:
    verdict = judge(SOUND, RULES)
    assert verdict.passed
    assert verdict.reasons == frozenset()
    assert verdict.value == LIFT
    assert all(finding.outcome == "passed" for finding in verdict.findings)
    assert sentence(verdict) == "The gate is passed: the log supports this policy."


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"unsupported": 0.21}, Reason.SUPPORT),
        ({"unsupported": 0.06, "sequential": False}, Reason.SUPPORT),
        ({"residuals": (Residual("a", 900.0, 80.0, 40.0, 3.1),)}, Reason.RESIDUAL),
        ({"judging_value": 29.0 * 0.84}, Reason.CROSS_HALF),
        ({"ensemble_lift": 0.0}, Reason.ENSEMBLE),
        ({"lift": replace(LIFT, low=0.0)}, Reason.NOT_SHOWN_BETTER),
        ({"lift": replace(LIFT, low=None, cannot=("too few",))}, Reason.NOT_SHOWN_BETTER),
        ({"lift": None}, Reason.NOT_SHOWN_BETTER),
        ({"positives": 99.0}, Reason.TOO_FEW_EVENTS),
        ({"limit_excess": 0.06}, Reason.LIMIT),
        ({"drift": ("everyone: mean KL is .2 nats, allowed .08 nats",)}, Reason.DRIFT),
    ],
)
def test_each_test_refuses_alone_and_no_value_is_told_then(
    changes: dict[str, Any], reason: Reason
) -> None:
    verdict = judge(replace(SOUND, **changes), RULES)
    assert verdict.reasons == {reason}
    assert not verdict.passed
    assert verdict.value is None
    said = sentence(verdict)
    assert reason in said or "does not show" in said
    (told,) = advice(verdict.findings)
    assert told.startswith(f"{reason}: ")
    assert len(told) > len(f"{reason}: ")


@pytest.mark.parametrize(
    "changes",
    [
        {"unsupported": 0.20},
        {"unsupported": 0.05, "sequential": False},
        {"residuals": (Residual("a", 900.0, 80.0, 40.0, 3.0),)},
        {"judging_value": 29.0 * 0.8501},
        {"positives": 100.0},
        {"limit_excess": 0.05},
    ],
)
def test_what_is_just_allowed_passes(changes: dict[str, Any]) -> None:
    assert judge(replace(SOUND, **changes), RULES).passed


def test_reasons_are_a_set() -> None:
    verdict = judge(replace(SOUND, unsupported=0.5, positives=3.0, ensemble_lift=-1.0), RULES)
    assert verdict.reasons == {Reason.SUPPORT, Reason.TOO_FEW_EVENTS, Reason.ENSEMBLE}
    assert verdict.too_little_data
    assert "More data may remove it" in sentence(verdict)


def test_a_simulator_that_promises_too_much_is_no_lack_of_data() -> None:
    planted = (Residual("letter", 7000.0, 281.0, 117.0, 9.3),)
    verdict = judge(replace(SOUND, residuals=planted, positives=3.0), RULES)
    assert not verdict.too_little_data


def test_a_simulator_that_promises_too_little_is_not_refused() -> None:
    cautious = (Residual("letter", 7000.0, 50.0, 117.0, -6.0),)
    assert judge(replace(SOUND, residuals=cautious, judging_value=40.0), RULES).passed


def test_a_share_of_unsupported_decisions_is_warned_of_before_it_is_refused() -> None:
    verdict = judge(replace(SOUND, unsupported=0.11), RULES)
    assert verdict.findings[0].outcome == "warned"
    assert verdict.passed


def test_too_optimistic_a_simulator_is_warned_of_on_every_verdict() -> None:
    verdict = judge(replace(SOUND, judging_value=29.0 / 1.11), RULES)
    assert verdict.optimism_gap == pytest.approx(0.11)
    assert verdict.findings[-1].outcome == "warned"
    assert verdict.passed


def test_nothing_from_the_log_is_not_a_pass() -> None:
    blind = replace(
        SOUND, lift=None, positives=None, unsupported=None, residuals=None,
        not_applicable={"log": "no propensities", "support": "x", "residual": "x", "events": "x"},
    )  # fmt: skip
    verdict = judge(blind, RULES)
    assert verdict.reasons == {Reason.NOT_SHOWN_BETTER}
    assert next(f for f in verdict.findings if f.test == "log").found == "no propensities"


def test_rules_may_be_stricter() -> None:
    strict = GateRules(least_positives=1000.0, most_unsupported=0.01, least_log_lift=4.0)
    assert judge(SOUND, strict).reasons == {
        Reason.TOO_FEW_EVENTS, Reason.SUPPORT, Reason.NOT_SHOWN_BETTER,
    }  # fmt: skip


@given(
    most=st.floats(0.2001, 10.0), least=st.floats(-1e9, 99.9), z=st.floats(3.001, 1e9),
)  # fmt: skip
def test_rules_are_never_laxer(most: float, least: float, z: float) -> None:
    for laxer in (
        {"most_unsupported": most}, {"least_positives": least}, {"largest_residual_z": z},
    ):  # fmt: skip
        with pytest.raises(UserError, match="stricter, not laxer"):
            GateRules(**laxer)


def test_every_laxer_rule_is_listed_at_once_and_nothing_that_is_no_number_passes() -> None:
    with pytest.raises(UserError) as refused:
        GateRules(least_positives=10.0, largest_cross_half=float("nan"), most_unsupported=-1.0)
    for name in ("least_positives", "largest_cross_half", "most_unsupported"):
        assert name in str(refused.value)
    assert "named override" in str(refused.value)


def test_values_that_are_no_numbers_are_refused_not_passed() -> None:
    nan = float("nan")
    verdict = judge(
        replace(SOUND, ensemble_lift=nan, lift=replace(LIFT, low=nan), unsupported=nan,
                positives=nan, judging_value=nan,
                residuals=(Residual("a", 500.0, nan, 1.0, nan),)),
        RULES,
    )  # fmt: skip
    assert verdict.reasons == {
        Reason.ENSEMBLE, Reason.NOT_SHOWN_BETTER, Reason.SUPPORT, Reason.TOO_FEW_EVENTS,
        Reason.CROSS_HALF, Reason.RESIDUAL,
    }  # fmt: skip


def test_an_audit_survives_json() -> None:
    again = Audit.from_dict(json.loads(json.dumps(asdict(SOUND))))
    assert again == SOUND
    nothing = replace(SOUND, lift=None, residuals=None)
    assert Audit.from_dict(json.loads(json.dumps(asdict(nothing)))) == nothing


def test_events_of_a_replay_are_not_said_to_lie_on_rows_that_agree() -> None:
    replayed = replace(SOUND, unsupported=None, residuals=None, positives=92.0)
    verdict = judge(replayed, RULES)
    found = next(finding for finding in verdict.findings if finding.test == "events")
    assert found.found == "92 events where the held-out part is replayed with it"
    assert found.advice == "use a longer log"
