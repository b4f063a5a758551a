"""Whether a bidding simulator may be believed: its checks on held-out days (MODELLING 2.6).

Days differ, so there are two kinds of check. *Conditional* checks take the held-out slots' traffic
and price level as they were and ask whether prices, wins, spend and clicks follow. *Predictive*
checks draw the price level too and ask whether the held-out days look like drawn ones; traffic is
taken as it was, for its day-to-day swings alone (a fifth) would make an interval of day totals
wider than the 60 % beyond which it says nothing.

Any source of days can be judged: the true generator, a fitted market or a wrong one.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import norm

from envs.bidding.auctions import Auctions
from envs.bidding.fidelity_days import predictive_checks
from envs.bidding.held_out import HeldOut, Simulator
from envs.bidding.landscape import kaplan_meier
from envs.bidding.paid_prices import paid_prices
from envs.core.fidelity import (
    SIGNIFICANCE,
    Check,
    Curve,
    FidelityReport,
    count_ratio_bounds,
    ks_threshold,
    randomised_pit,
)

Floats = NDArray[np.float64]

REPLAYED = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Multiples of the log's own multiplier at which spend is compared; each capped at logged bids."""

LIN_REPLAYED = 0.5
"""LIN at half the log's multiplier: budgets of real interest are tighter than the log's."""

STRATUM_ROWS = 2_000
_BANDS = 5
_DECILES = 10
_PIT_BINS = 400


def judge_simulator(
    simulator: Simulator, held_out: Auctions, rng: Generator, *, interval_width_limit: float = 0.6
) -> FidelityReport:
    """Every check of MODELLING 2.6 of a simulator on days that it has not seen."""
    held = HeldOut.seen_by(simulator, held_out)
    price_checks, price_curve = _price_checks(held, rng)
    win_checks, win_curve = _win_rate_checks(held)
    spend_checks, spend_curve = _spend_checks(held)
    click_checks, click_curve = _click_checks(held)
    days_checks, days_curve = predictive_checks(held, rng, interval_width_limit)
    return FidelityReport(
        checks=(
            *price_checks,
            *win_checks,
            *spend_checks,
            *_replay_checks(held),
            *click_checks,
            *days_checks,
        ),
        curves=(paid_prices(held), price_curve, win_curve, spend_curve, click_curve, days_curve),
    )


def _price_checks(held: HeldOut, rng: Generator) -> tuple[list[Check], Curve]:
    """The probability integral transform of prices, Kaplan-Meier where censored, by stratum."""
    auctions, scale = held.auctions, held.scale
    won = auctions.won
    u = np.empty(auctions.rows)
    u[~won] = held.win_probability(auctions.bid_cpm)[~won]
    price = auctions.price_cpm[won].astype(np.float64)
    half_tick = scale.tick / 2
    below, at_most = (
        1
        - held.simulator.above(
            held.stratum[won],
            np.log(np.maximum(price + side, scale.least / 2)),
            held.level[won],
        )
        for side in (-half_tick, half_tick)
    )
    u[won] = randomised_pit(below, at_most, rng)
    edges = np.unique(np.quantile(auctions.probability, np.arange(1, _BANDS) / _BANDS))
    band = np.searchsorted(edges, auctions.probability, side="right")
    checks = []
    for context in range(int(auctions.context.max()) + 1):
        for number in range(len(edges) + 1):
            rows = (band == number) & (auctions.context == context)
            distance, n, upto = _pit_distance(u[rows], won[rows])
            if n >= STRATUM_ROWS:
                place = f"band {number + 1}" + (f", context {context}" if context else "")
                checks.append(
                    Check(
                        name=f"price law, {place}",
                        value=distance,
                        low=0.0,
                        high=ks_threshold(n, 0.03),
                        n=n,
                        unit="auctions at risk",
                        meaning="Largest gap between the simulated and the observed price "
                        f"distribution (up to its {100 * upto:.0f} % point) for impressions of "
                        "similar click probability.",
                    )
                )
    distance, grid, observed = _pit_curve(u, won)
    curve = Curve(
        name="price law",
        x_label="simulated probability of a lower price",
        y_label="observed share of lower prices",
        x=tuple(grid.tolist()),
        observed=tuple(observed.tolist()),
        simulated=tuple(grid.tolist()),
        kind="distribution",
    )
    return checks, curve


def _pit_counts(u: Floats, won: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    index = np.minimum((u * _PIT_BINS).astype(np.int64), _PIT_BINS - 1)
    survived = np.rint(u * _PIT_BINS).astype(np.int64) - 1  # as in fit_price_law
    wins = np.bincount(index[won], minlength=_PIT_BINS)
    losses = np.bincount(np.maximum(survived[~won], 0), minlength=_PIT_BINS)
    return wins.astype(np.float64), losses.astype(np.float64)


def _pit_distance(u: Floats, won: NDArray[np.bool_]) -> tuple[float, int, float]:
    """KS of Kaplan-Meier's law of u against uniform where at least 2,000 rows are at risk.

    Returns the distance, the rows at risk at the end of that range, and its end.
    """
    if len(u) < STRATUM_ROWS:
        return 0.0, 0, 0.0
    wins, losses = _pit_counts(u, won)
    survival, _ = kaplan_meier(wins, losses)
    at_risk = np.cumsum((wins + losses)[::-1])[::-1]
    last = int(np.flatnonzero(at_risk >= STRATUM_ROWS)[-1])
    # A stratum without censoring is compared over the whole range.
    last = _PIT_BINS - 1 if won.all() else last
    upper = np.arange(1, last + 2) / _PIT_BINS
    distance = float(np.abs(1 - survival[: last + 1] - upper).max())
    n = len(u) if won.all() else int(at_risk[last])
    return distance, n, float(upper[-1])


def _pit_curve(u: Floats, won: NDArray[np.bool_]) -> tuple[float, Floats, Floats]:
    wins, losses = _pit_counts(u, won)
    survival, known = kaplan_meier(wins, losses)
    upper = np.arange(1, _PIT_BINS + 1) / _PIT_BINS
    kept = known & (np.arange(_PIT_BINS) % 4 == 3)
    return float(np.abs(1 - survival - upper)[known].max()), upper[kept], (1 - survival)[kept]


def _win_rate_checks(held: HeldOut) -> tuple[list[Check], Curve]:
    """Win rate around the nine deciles of the logged bid, within a point plus sampling error."""
    bid = held.auctions.bid_cpm
    order = np.argsort(bid, kind="stable")
    expected = held.win_probability(bid)
    checks, points = [], []
    for decile in range(1, _DECILES):
        low, high = ((2 * decile - 1) / 20, (2 * decile + 1) / 20)
        rows = order[int(low * len(order)) : int(high * len(order))]
        observed, simulated = held.auctions.won[rows].mean(), expected[rows].mean()
        error = np.sqrt(np.mean(expected[rows] * (1 - expected[rows])) / len(rows))
        allowed = 0.01 + _normal_quantile(9) * error
        points.append(
            (float(np.median(bid[rows])), float(observed), float(simulated), float(len(rows)))
        )
        checks.append(
            Check(
                name=f"win rate at bid decile {decile}",
                value=float(simulated - observed),
                low=-allowed,
                high=allowed,
                n=len(rows),
                unit="auctions",
                meaning="Simulated minus observed win rate of bids around "
                f"{points[-1][0]:.3g} CPM.",
            )
        )
    x, observed_line, simulated_line, rows_behind = zip(*points, strict=True)
    return checks, Curve(
        name="win rate by bid", x_label="logged bid (CPM)", y_label="win rate",
        x=x, observed=observed_line, simulated=simulated_line, kind="calibration", n=rows_behind,
    )  # fmt: skip


def _normal_quantile(family: int) -> float:
    """Two-sided standard normal bound for `family` comparisons made at once (Bonferroni)."""
    return float(norm.ppf(1 - SIGNIFICANCE / (2 * family)))


def _spend_checks(held: HeldOut) -> tuple[list[Check], Curve]:
    checks, points = [], []
    for factor in REPLAYED:
        bid = held.replayed_bid(factor)
        won = held.wins(bid)
        observed = float(held.auctions.price_cpm[won].sum(dtype=np.float64))
        simulated = held.expected_spend(bid)
        checks.append(
            _ratio_check(
                f"spend at {factor:g} x the log's multiplier", simulated, observed, 0.03,
                int(won.sum()), "Simulated over observed spend when bidding at this level.",
            )
        )  # fmt: skip
        points.append((factor, observed, simulated))
    x, observed_line, simulated_line = zip(*points, strict=True)
    return checks, Curve(
        name="spend by multiplier", x_label="multiple of the log's multiplier",
        y_label="spend of the held-out days (CPM units)",
        x=x, observed=observed_line, simulated=simulated_line,
    )  # fmt: skip


def _ratio_check(
    name: str, simulated: float, observed: float, tolerance: float, n: int, meaning: str
) -> Check:
    return Check(
        name=name,
        value=simulated / observed if observed > 0 else np.nan,
        low=1 - tolerance,
        high=1 + tolerance,
        n=n,
        unit="wins",
        meaning=meaning,
    )


def _replay_checks(held: HeldOut) -> list[Check]:
    bid = held.replayed_bid(LIN_REPLAYED)
    won = held.wins(bid)
    value = float(held.probability[won].sum())
    simulated_value = float((held.probability * held.win_probability(bid)).sum())
    spend = float(held.auctions.price_cpm[won].sum(dtype=np.float64))
    return [
        _ratio_check(
            "LIN replay, value", simulated_value, value, 0.05, int(won.sum()),
            "Simulated over replayed value of LIN at half the log's multiplier.",
        ),
        _ratio_check(
            "LIN replay, spend", held.expected_spend(bid), spend, 0.03, int(won.sum()),
            "Simulated over replayed spend of LIN at half the log's multiplier.",
        ),
    ]  # fmt: skip


def _click_checks(held: HeldOut) -> tuple[list[Check], Curve]:
    """Clicks over summed click probability of won rows: by decile within 10 %, overall 5 %."""
    won = held.auctions.won
    probability, click = held.probability[won], held.auctions.click[won]
    order = np.argsort(probability, kind="stable")
    checks, points = [], []
    for number, rows in enumerate(np.array_split(order, _DECILES), 1):
        checks.append(
            _click_check(
                f"clicks in probability decile {number}", probability[rows], click[rows], 0.1,
                SIGNIFICANCE / _DECILES,
            )
        )  # fmt: skip
        points.append(
            (float(probability[rows].mean()), float(click[rows].mean()), float(len(rows)))
        )
    checks.append(_click_check("clicks overall", probability, click, 0.05, SIGNIFICANCE))
    simulated, observed, rows_behind = zip(*points, strict=True)
    return checks, Curve(
        name="click calibration", x_label="predicted click probability",
        y_label="observed click rate", x=simulated, observed=observed, simulated=simulated,
        kind="calibration", n=rows_behind,
    )  # fmt: skip


def _click_check(
    name: str, probability: Floats, click: NDArray[np.bool_], tolerance: float, level: float
) -> Check:
    expected = float(probability.sum())
    low, high = count_ratio_bounds(expected, tolerance, level)
    return Check(
        name=name,
        value=float(click.sum()) / expected,
        low=low,
        high=high,
        n=len(click),
        unit="impressions won",
        meaning="Observed clicks over predicted clicks of the impressions won.",
    )
