"""The gate against simulators whose errors are known; benchmarks/honesty_gate.py has ten seeds."""

from __future__ import annotations

from functools import partial

import pytest

from benchmarks import honesty_gate
from ppo_marketing.audit import audited
from ppo_marketing.gate import Reason, Verdict

CASES = ("honest", "planted in both", "planted where nothing was logged")


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    """A third of the customers that the benchmark has; no test asks for a bound's third digit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(honesty_gate, "CUSTOMERS", 7000)
        patch.setattr(honesty_gate, "EPISODES", 300)
        patch.setattr(honesty_gate, "audited", partial(audited, bootstrap=100))
        return honesty_gate.verdicts(1, CASES)


def test_an_honest_simulator_is_refused_for_nothing_but_too_few_customers(
    verdicts: dict[str, Verdict],
) -> None:
    honest = verdicts["honest"]
    assert not honest.reasons & {Reason.RESIDUAL, Reason.SUPPORT}
    assert honest.passed or honest.too_little_data


def test_an_error_that_both_halves_share_is_found_by_what_was_logged(
    verdicts: dict[str, Verdict],
) -> None:
    planted = verdicts["planted in both"]
    assert Reason.RESIDUAL in planted.reasons
    found = next(finding for finding in planted.findings if finding.test == "residual")
    assert found.found.startswith("letter, 10 weeks or more")


def test_an_error_where_nothing_was_logged_is_found_by_support(
    verdicts: dict[str, Verdict],
) -> None:
    blind = verdicts["planted where nothing was logged"]
    assert Reason.SUPPORT in blind.reasons
    assert Reason.RESIDUAL not in blind.reasons
