"""The parametric head finds the generator's parameters, and what theory forbids it never says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.sequencing.buy_head import (
    BuyHead,
    _logit,
    buy_tables,
    fit_buy_head,
    head_probability,
)
from envs.sequencing.cells import Cells, Counts, cells_of, counted
from envs.sequencing.generator import PRESETS, true_tables
from envs.sequencing.members import residuals
from envs.sequencing.panel import FREQUENCIES, RECENCIES, Gathered, states
from envs.sequencing.paths import buy_probability

P = PRESETS["default"]
TRUTH = np.array([
    P.base, P.recency, P.frequency, P.uplift_frequency, P.dampening, 0.4, 4.0, 3.0,
    P.fatigue, 0.0, *P.uplift,
])  # fmt: skip
NAMES = (
    "base", "recency", "frequency", "b", "kappa", "floor", "centre", "width", "drag of email",
    "drag of letter", "email", "coupon", "letter",
)  # fmt: skip


def counts_of(sample: Gathered) -> tuple[Cells, Counts]:
    panel = sample.panel
    cells, cell = cells_of(panel)
    return cells, counted(cell, len(cells.action), panel.purchase, np.ones(panel.rows))


@pytest.fixture(scope="module")
def head(sample: Gathered) -> BuyHead:
    cells, counts = counts_of(sample)
    return fit_buy_head(cells, counts, sample.menu.channel)


def test_100_000_logged_rows_give_the_parameters_within_3_standard_errors(
    sample: Gathered, head: BuyHead
) -> None:
    assert sample.panel.rows >= 100_000
    z = (head.values - TRUTH) / head.standard_errors
    worst = dict(zip(NAMES, z.round(2), strict=True))
    assert np.abs(z).max() <= 3, worst
    # The intervals are not so wide that they would hold anything.
    errors = dict(zip(NAMES, head.standard_errors, strict=True))
    assert errors["recency"] < 0.02
    assert errors["coupon"] < 0.25


def test_a_wrong_truth_would_be_noticed(head: BuyHead) -> None:
    planted = TRUTH.copy()
    planted[NAMES.index("coupon")] *= 2
    assert np.abs((head.values - planted) / head.standard_errors).max() > 3


def test_the_tables_of_a_head_are_its_formula(sample: Gathered, head: BuyHead) -> None:
    channel = sample.menu.channel
    made: dict[str, Any] = {name: t[None] for name, t in buy_tables(head, channel).items()}
    tables = true_tables("default")._replace(**made)
    panel = sample.panel.where(np.arange(sample.panel.rows) < 5000)
    some, cell = cells_of(panel)
    by_table = buy_probability(tables, 0, states(panel), panel.action)
    np.testing.assert_allclose(by_table, head_probability(head, some, channel)[cell], rtol=1e-12)


def test_the_gradient_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    m, channel = 40, np.array([-1, 0, 0, 1])
    cells = Cells(
        rng.integers(0, 13, m), rng.integers(0, 4, m), rng.integers(0, 5, (m, 2)),
        rng.integers(0, 4, m),
    )  # fmt: skip
    _, slope = _logit(TRUTH, cells, channel)
    for j in range(len(TRUTH)):
        step = np.zeros(len(TRUTH))
        step[j] = 1e-6
        numeric = (_logit(TRUTH + step, cells, channel)[0] - _logit(TRUTH - step, cells, channel)[0]
                   ) / 2e-6  # fmt: skip
        np.testing.assert_allclose(slope[:, j], numeric, atol=1e-6)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_whatever_the_log_fatigue_never_helps_and_past_purchases_never_harm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, channel = 60, np.array([-1, 0, 1])
    cells = Cells(
        rng.integers(0, 13, m), rng.integers(0, 4, m), rng.integers(0, 5, (m, 2)),
        rng.integers(0, 3, m),
    )  # fmt: skip
    rows = rng.integers(1, 200, m).astype(float)
    events = np.floor(rows * rng.random(m))
    head = fit_buy_head(cells, Counts(rows, events, rows, events), channel)
    tables = buy_tables(head, channel)
    assert (np.diff(tables["drag"], axis=1) <= 0).all()
    assert (np.diff(tables["dampening"], axis=1) <= 0).all()
    assert (np.diff(tables["base"], axis=1) >= 0).all()
    assert (tables["uplift"][0] == 0).all()


def test_states_are_shifted_only_where_chance_does_not_explain_them() -> None:
    rng = np.random.default_rng(1)
    r, f = (x.ravel() for x in np.mgrid[0:RECENCIES, 0:FREQUENCIES])
    cells = Cells(r, f, np.zeros((len(r), 1), np.int64), np.zeros(len(r), np.int64))
    rows = np.full(len(r), 5000.0)
    expected = np.full(len(r), 0.05)
    by_chance = rng.binomial(5000, 0.05, len(r)).astype(float)
    planted = by_chance + 150 * ((r == 3) & (f == 1))
    shifts = [residuals(cells, Counts(rows, e, rows, e), expected) for e in (by_chance, planted)]
    assert np.abs(shifts[0]).max() < 0.05
    assert shifts[1][3, 1] == shifts[1].max()
    assert shifts[1].max() == pytest.approx(150 / (5000 * 0.05 * 0.95), rel=0.35)
