"""What a log says of a policy, as people read it: conclusions, marks, dashes for the unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from ppo_marketing.ope.battery import OffPolicyReport, off_policy_report
from ppo_marketing.ope.propensity import Bin, Reliability
from ppo_marketing.report_off_policy import (
    calibration_table,
    diagnostics_table,
    estimates_table,
    off_policy_markdown,
    sentence,
)
from tests.support.one_step import bandit


@pytest.fixture(scope="module")
def telling() -> OffPolicyReport:
    """A log of 20,000 rows says something of a policy that it tried one time in 30."""
    drawn = bandit(20_000, np.random.default_rng(1))
    return off_policy_report(drawn.decisions(), np.random.default_rng(2), repetitions=200)


@pytest.fixture(scope="module")
def silent() -> OffPolicyReport:
    drawn = bandit(600, np.random.default_rng(1))
    return off_policy_report(drawn.decisions(), np.random.default_rng(2), repetitions=200)


def printed(table: Table) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_the_sentence_says_better_only_where_the_bound_is_above_zero(
    telling: OffPolicyReport, silent: OffPolicyReport
) -> None:
    better = replace(telling, lift=replace(telling.lift, value=0.02, low=0.01))
    assert sentence(better).startswith("The log shows the policy to be better")
    assert "at least 0.01 with 95 % confidence" in sentence(better)
    for low in (0.0, -0.01):
        open_ = replace(telling, lift=replace(telling.lift, value=0.02, low=low))
        assert "does not show the policy to be better" in sentence(open_)
    assert sentence(silent).startswith("The log cannot say")


def test_intervals_of_a_model_or_of_shrunken_weights_are_marked_and_no_others(
    telling: OffPolicyReport,
) -> None:
    lines = printed(estimates_table(telling, "judged")).splitlines()
    marked = {line.split("│")[1].strip() for line in lines if "│" in line and "†" in line}
    names = {row.name for row in telling.estimates}
    plain = {"IPS", "SNIPS", "DR", "SNDR"}
    assert marked == names - plain
    assert plain <= names


def test_where_the_log_cannot_say_there_are_dashes_and_the_page_says_why(
    silent: OffPolicyReport,
) -> None:
    text = printed(estimates_table(silent, "judged"))
    assert " to " not in text.split("intervals over")[0]
    page = off_policy_markdown(
        silent, title="Offers", policy="policy.csv", source="log.csv", notes=("a note",)
    )
    assert page.startswith("# Offers: policy.csv, judged by log.csv alone")
    assert "* refused: the log cannot say: the effective sample size is" in page
    assert "* note: a note" in page
    assert "| the log's own policy | mean of the log |" in page


def test_diagnostics_and_calibration_are_the_reports_own_numbers(
    telling: OffPolicyReport,
) -> None:
    text = printed(diagnostics_table(telling))
    assert f"{telling.diagnostics.effective_n:,.0f}" in text
    assert f"{telling.diagnostics.largest_weight:,.1f}" in text
    unknown = replace(telling, diagnostics=replace(telling.diagnostics, unsupported=None))
    (line,) = (row for row in printed(diagnostics_table(unknown)).splitlines() if "unsup" in row)
    assert "%" not in line.split("│")[2]
    table = calibration_table(Reliability((Bin(0.1, 0.12, 5000.0),), 0.034))
    assert "3.4 % of probability in the wrong place" in printed(table)
    assert "0.1200" in printed(table)
