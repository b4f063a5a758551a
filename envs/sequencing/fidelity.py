"""Whether simulated customers may be believed: MODELLING 3.3 on customers that were not fitted.

1 heads, 2 marginal surfaces, 3 posterior predictive, 4 trajectories, 5 cumulative purchases, 6
effects. 1 looks at the later weeks of the held-out customers, 2 and 6 at all their weeks, 3 to 5
follow them through the later weeks under the log's own policy. Sampling error is allowed for. What
a log cannot support is not passed: it is left out and a note says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import norm

from envs.core.fidelity import (
    SIGNIFICANCE,
    Check,
    Curve,
    FidelityReport,
    calibration_slope,
    count_ratio_bounds,
)
from envs.sequencing.fidelity_effects import effect_checks
from envs.sequencing.fidelity_paths import path_checks
from envs.sequencing.heads import RESPONSES, response_probability, response_rows
from envs.sequencing.panel import FATIGUES, FREQUENCIES, RECENCIES, Panel, states
from envs.sequencing.paths import expected_purchases
from envs.sequencing.tables import Menu, ResponseTables

Floats = NDArray[np.float64]

LEAST_EVENTS = 100.0
"""With fewer expected events a head's slope is known to worse than about a third."""

WORST_SLOPE_ERROR = 0.5  # a slope known no better says nothing of [.9, 1.1]
CELL_ROWS = 200
_BINS = 10


class Judged(NamedTuple):
    """The report, and what could not be checked."""

    report: FidelityReport
    notes: tuple[str, ...]


REQUIRED = {
    "head buy": "Whether purchases are foretold: too few happened to tell.",
    "surfaces": "Whether rates are right by recency, frequency and action: too few cells to tell.",
    "trajectories": "Whether simulated customers live like real ones: too few could be followed.",
    "effect": "Whether contacts do what the simulator says: no effect could be compared with "
    "decisions that were left to chance, so what contacts do is assumed.",
}
"""The families of checks without which nothing may be learned (MODELLING 3.3)."""


class Part(NamedTuple):
    """Checks, curves and notes of one kind of test."""

    checks: tuple[Check, ...] = ()
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()


def judge_simulator(
    tables: ResponseTables,
    menu: Menu,
    held_out: Panel,
    split: int,
    policy: Floats,
    responses: Floats,
    rng: Generator,
    *,
    propensity: Floats,
    randomised: Sequence[int],
) -> Judged:
    """Every check that the held-out customers support.

    `policy [R, F, G, S, A]` is the log's own, `propensity [n]` the chances of the held-out
    decisions, NaN where not known, and `randomised` the actions that were left to chance. Weeks
    from `split` on are the later ones.
    """
    known = held_out.action >= 0
    decided = held_out.where(known)
    parts = [
        _head_checks(tables, menu, decided.where(decided.week >= split), responses, rng),
        _surface_checks(tables, decided),
        Part(*path_checks(tables, held_out, split, policy, rng)),
        # Contacts off the menu are decisions like others: only unknown chances are left out.
        Part(
            *effect_checks(
                tables,
                menu,
                held_out.where(np.isfinite(propensity)),
                propensity[np.isfinite(propensity)],
                randomised,
            )
        ),
    ]
    checks = [check for part in parts for check in part.checks]
    return Judged(
        FidelityReport(
            checks=(*checks, *_unanswered(checks)),
            curves=tuple(curve for part in parts for curve in part.curves),
        ),
        tuple(note for part in parts for note in part.notes),
    )


def _unanswered(checks: Sequence[Check]) -> list[Check]:
    """A failed check for every question that the log must answer before anything learns from it.

    What cannot be checked is not passed: whoever trains on it says so by name.
    """
    return [
        Check(
            name=f"{family}: not enough in the log", value=np.nan, low=0.0, high=0.0, n=0,
            unit="comparisons", meaning=meaning,
        )
        for family, meaning in REQUIRED.items()
        if not any(check.name.startswith(family) for check in checks)
    ]  # fmt: skip


def _head_checks(
    tables: ResponseTables, menu: Menu, later: Panel, responses: Floats, rng: Generator
) -> Part:
    """1. Calibration of every head on the later weeks."""
    rows = np.arange(later.rows)
    used = np.maximum(tables.channel[later.action], 0)
    leaving = tables.unsubscribe[:, later.action, later.fatigue[rows, used]].mean(axis=0)
    contacted = (later.action > 0) & later.settled
    heads = [
        ("buy", expected_purchases(tables, states(later), later.action), later.purchase),
        ("unsubscribe", leaving[contacted], later.unsubscribe[contacted]),
    ]
    for c in range(len(responses)):
        for h, (possible, event) in enumerate(response_rows(later, tables.channel, c)):
            if np.isfinite(responses[c, h]).all() and possible.any():
                chance = response_probability(responses, later, c, h, possible)
                heads.append((f"{RESPONSES[h]}, {menu.channels[c]}", chance, event[possible]))
    parts = [_head(name, chance, event, rng) for name, chance, event in heads]
    return Part(
        (*(check for part in parts for check in part.checks), *_basket_check(tables, later)),
        tuple(curve for part in parts for curve in part.curves),
        tuple(note for part in parts for note in part.notes),
    )


def _head(name: str, chance: Floats, event: NDArray[np.bool_], rng: Generator) -> Part:
    expected = float(chance.sum())
    if max(expected, event.sum()) < LEAST_EVENTS:
        return Part(notes=(
            f"head {name}: {event.sum()} events in the later weeks, {expected:.0f} expected, too "
            f"few to check (at least {LEAST_EVENTS:.0f})",
        ))  # fmt: skip
    low, high = count_ratio_bounds(expected, 0.05, SIGNIFICANCE)
    n = len(event)
    checks = [
        Check(
            name=f"head {name}: events", value=float(event.sum()) / expected, low=low, high=high,
            n=n, unit="customer-weeks", meaning="Observed over predicted events, later weeks.",
        ),
        _calibration_error(name, chance, event, rng),
    ]  # fmt: skip
    notes = []
    error = _slope_error(chance)
    if error < WORST_SLOPE_ERROR and 0 < event.sum() < n:
        slope, error = calibration_slope(chance, event)
        margin = norm.ppf(1 - SIGNIFICANCE / 2) * error
        checks.append(Check(
            name=f"head {name}: slope", value=slope, low=0.9 - margin, high=1.1 + margin,
            n=n, unit="customer-weeks",
            meaning="1 where a prediction twice as strong (in log-odds) is twice as strong in "
            "truth; its sampling error is allowed for.",
        ))  # fmt: skip
    else:
        notes.append(f"head {name}: predictions vary too little to check their slope")
    edges = np.unique(np.quantile(chance, np.linspace(0, 1, _BINS + 1)[1:-1]))
    band = np.searchsorted(edges, chance, side="right")
    size = np.bincount(band, minlength=len(edges) + 1)
    held = size > 0
    curve = Curve(
        name=f"calibration of {name}", x_label="predicted", y_label="observed share",
        x=tuple((np.bincount(band, chance)[held] / size[held]).tolist()),
        observed=tuple((np.bincount(band, event)[held] / size[held]).tolist()),
        simulated=tuple((np.bincount(band, chance)[held] / size[held]).tolist()),
        kind="calibration", n=tuple(size[held].astype(float).tolist()),
    )  # fmt: skip
    return Part(tuple(checks), (curve,), tuple(notes))


def _basket_check(tables: ResponseTables, later: Panel) -> list[Check]:
    """What later purchases were worth over what their states promise."""
    bought = later.where(later.purchase)
    if bought.rows < LEAST_EVENTS:
        return []
    promised = tables.margin[:, bought.recency, bought.frequency].mean(axis=0)
    scatter = float((bought.value - promised).std() / promised.mean())
    margin = float(norm.ppf(1 - SIGNIFICANCE / 2)) * scatter / np.sqrt(bought.rows)
    return [Check(
        name="baskets: value", value=float(bought.value.sum() / promised.sum()),
        low=0.95 - margin, high=1.05 + margin, n=bought.rows, unit="purchase weeks",
        meaning="Observed over predicted margin of weeks with a purchase, later weeks.",
    )]  # fmt: skip


def _slope_error(chance: Floats) -> float:
    """The standard error that a calibration slope would have, were the predictions right."""
    bounded = np.clip(chance, 1e-9, 1 - 1e-9)
    logit, weight = np.log(bounded / (1 - bounded)), bounded * (1 - bounded)
    spread = (weight * (logit - np.average(logit, weights=weight)) ** 2).sum()
    return float(1 / np.sqrt(max(spread, 1e-12)))


def _calibration_error(
    name: str, chance: Floats, event: NDArray[np.bool_], rng: Generator
) -> Check:
    """Mean |observed - predicted| over ten bands; up to 10 % of the base rate plus chance."""
    bands = np.array_split(np.argsort(chance, kind="stable"), _BINS)
    predicted = np.array([chance[rows].mean() for rows in bands])
    observed = np.array([event[rows].mean() for rows in bands])
    noise = np.array([np.sqrt((chance[rows] * (1 - chance[rows])).sum()) / len(rows)
                      for rows in bands])  # fmt: skip
    by_chance = np.abs(rng.normal(size=(2000, _BINS)) * noise).mean(axis=1)
    allowed = 0.1 * float(event.mean()) + float(np.quantile(by_chance, 1 - SIGNIFICANCE))
    return Check(
        name=f"head {name}: calibration error",
        value=float(np.abs(observed - predicted).mean()), low=0.0, high=allowed,
        n=len(event), unit="customer-weeks",
        meaning="Mean distance between predicted and observed shares over ten bands.",
    )  # fmt: skip


def _surface_checks(tables: ResponseTables, panel: Panel) -> Part:
    """2. Purchases by recency x frequency x action and by fatigue x action, as z of their cells."""
    chance = expected_purchases(tables, states(panel), panel.action)
    actions = len(tables.channel)
    rested = np.ravel_multi_index(
        (panel.recency, panel.frequency, panel.action), (RECENCIES, FREQUENCIES, actions)
    )
    tired = np.ravel_multi_index((panel.stock, panel.action), (FATIGUES, actions))
    z = np.concatenate([_cell_z(cell, chance, panel.purchase) for cell in (rested, tired)])
    if len(z) < 10:
        return Part(notes=(
            f"marginal surfaces: {len(z)} cells with {CELL_ROWS} customer-weeks, too few to check",
        ))  # fmt: skip
    n = len(z)
    return Part((
        Check(
            name="surfaces: cells within 3 standard errors",
            value=float((np.abs(z) <= 3).mean()), low=0.95, high=1.0, n=n, unit="cells",
            meaning="Share of states (recency x frequency, fatigue) and actions whose purchases "
            "the simulator foretells.",
        ),
        Check(
            name="surfaces: worst cell", value=float(np.abs(z).max()), low=0.0, high=5.0, n=n,
            unit="cells", meaning="The largest difference, in standard errors.",
        ),
    ))  # fmt: skip


def _cell_z(cell: NDArray[np.int64], chance: Floats, event: NDArray[np.bool_]) -> Floats:
    """(observed - expected) / sd of cells with enough rows and at least one event expected."""
    size = np.bincount(cell)
    expected = np.bincount(cell, chance)
    variance = np.bincount(cell, chance * (1 - chance))
    kept = (size >= CELL_ROWS) & (expected >= 1)
    observed = np.bincount(cell, event)
    # Few events are skewed: square roots of counts are normal (Anscombe).
    z = 2 * (np.sqrt(observed[kept] + 0.375) - np.sqrt(expected[kept] + 0.375))
    spread = np.sqrt(variance[kept] / expected[kept])  # below 1 where purchases are common
    return np.asarray(z / spread)
