"""The line's own refusals: what a simulator must show before anything is trained on it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from envs.core.decision import Calibration
from envs.core.fidelity import Check, FidelityReport
from ppo_marketing.errors import UserError
from ppo_marketing.pipeline.calibrating import require_fidelity


def calibration(*checks: Check) -> Calibration:
    return cast("Calibration", SimpleNamespace(fidelity=FidelityReport(checks=checks)))


def check(**changed: Any) -> Check:
    values = {"value": 0.1, "low": 0.0, "high": 0.2, "n": 30, "unit": "days", "meaning": "prices"}
    return Check(**{"name": "price distribution", **values, **changed})


def test_a_simulator_that_passed_may_be_trained_on() -> None:
    require_fidelity(calibration(check()), None)


def test_a_failed_check_is_named_with_its_value_and_what_is_allowed() -> None:
    with pytest.raises(UserError, match=r"price distribution: 0\.5, allowed 0 to 0\.2: prices"):
        require_fidelity(calibration(check(), check(value=0.5)), None)


def test_a_simulator_that_nothing_could_be_checked_of_is_refused() -> None:
    with pytest.raises(UserError, match="the log supports no check at all"):
        require_fidelity(calibration(), None)


def test_only_a_stated_reason_lets_a_failed_simulator_through() -> None:
    require_fidelity(calibration(check(value=0.5)), "a pilot on ten customers")
