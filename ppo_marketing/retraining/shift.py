"""How far the log has moved since the last training: PSI and KS, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from envs.core.fidelity import ks_distance
from ppo_marketing.errors import UserError

Array = NDArray[Any]

BINS = 10
LEVELS = 20
"""Most frequent levels that are told apart; the rest is one more."""
SURE = 0.999
"""A column moves by chance beyond what is reported in one of a thousand looks."""
_SURE_KS = 1.95
"""sqrt(-ln((1 - SURE) / 2) / 2): the same point of the two-sample Kolmogorov statistic."""


class Shift(IntEnum):
    """How much to make of a shift."""

    NONE = 0
    MONITOR = 1
    ALERT = 2

    @property
    def word(self) -> str:
        """Its name in reports."""
        return self.name.lower()


@dataclass(frozen=True, kw_only=True)
class ShiftBounds:
    """From where on a shift is watched, and from where on it is an alert.

    .1 and .25 are the customary bounds of the PSI (Siddiqi 2006, p. 137); KS distances of .1 and .2
    are what a normal shifted by a quarter and by half its deviation shows.

    Raises UserError where bounds are not in order.
    """

    monitor_psi: float = 0.1
    alert_psi: float = 0.25
    monitor_ks: float = 0.1
    alert_ks: float = 0.2
    alert_stops: bool = True
    """Whether an alert keeps the log from being trained on; else it is only told."""
    ignored: tuple[str, ...] = ()
    """Columns that are meant to move, such as a week's creative."""

    def __post_init__(self) -> None:
        wrong = [
            f"monitor_{name} {low} and alert_{name} {high}"
            for name, low, high in (
                ("psi", self.monitor_psi, self.alert_psi),
                ("ks", self.monitor_ks, self.alert_ks),
            )
            if not 0 < low <= high
        ]
        if wrong:
            raise UserError(f"bounds of a shift must be positive and in order: {'; '.join(wrong)}")


@dataclass(frozen=True, kw_only=True)
class ColumnShift:
    """One column: its PSI, its KS distance (numbers only), and what chance alone could do."""

    column: str
    psi: float
    psi_by_chance: float
    ks: float | None
    ks_by_chance: float | None
    shift: Shift


@dataclass(frozen=True)
class ShiftReport:
    """Every column that both logs have, the most shifted first; empty: nothing to compare with."""

    columns: tuple[ColumnShift, ...]

    @property
    def shift(self) -> Shift:
        """The worst of the columns."""
        return max((column.shift for column in self.columns), default=Shift.NONE)

    def told(self) -> list[str]:
        """A line for every column that moved."""
        return [
            f"{c.column}: PSI {c.psi:.3f}"
            + ("" if c.ks is None else f", KS {c.ks:.3f}")
            + f" ({c.shift.word})"
            for c in self.columns
            if c.shift is not Shift.NONE
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "verdict": self.shift.word,
            "columns": [{**asdict(c), "shift": c.shift.word} for c in self.columns],
        }


def psi(expected: Array, actual: Array) -> float:
    """Σ_b (a_b - e_b) ln(a_b / e_b) of the shares of counts `[B]` in two logs.

    Half a row is added to every bin, so that an empty one is rare and not impossible.
    Source: Siddiqi 2006, chapter 6.
    """
    e, a = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (expected, actual))
    return float(((a - e) * np.log(a / e)).sum())


def psi_by_chance(bins: int, n: int, m: int) -> float:
    """What the PSI of n and m rows of one law stays below with the probability `SURE`.

    To second order it is chi-square with bins - 1 degrees of freedom, times 1/n + 1/m.
    """
    return float(chi2.ppf(SURE, max(bins - 1, 1)) * (1 / max(n, 1) + 1 / max(m, 1)))


def shift_report(
    reference: Mapping[str, Array], current: Mapping[str, Array], bounds: ShiftBounds
) -> ShiftReport:
    """Compare samples of the columns that both have: numbers `[n]` (NaN: empty) or text `[n]`.

    Raises UserError where `bounds.ignored` names a column that neither has.
    """
    unknown = sorted(set(bounds.ignored) - {*reference, *current})
    if unknown:
        raise UserError(
            f"shift.ignored names columns that the log does not have: {', '.join(unknown)}; it has "
            f"{', '.join(sorted(current))}"
        )
    shared = [name for name in current if name in reference and name not in bounds.ignored]
    found = [_column(name, reference[name], current[name], bounds) for name in shared]
    return ShiftReport(tuple(sorted(found, key=lambda c: (-c.shift, -c.psi))))


def _column(name: str, reference: Array, current: Array, bounds: ShiftBounds) -> ColumnShift:
    numeric = reference.dtype.kind == current.dtype.kind == "f"
    counted = _in_bins if numeric else _in_levels
    expected, actual = counted(reference, current)
    n, m = len(reference), len(current)
    found = psi(expected, actual)
    chance = psi_by_chance(len(expected), n, m)
    ks = ks_chance = None
    if numeric:
        first, second = current[np.isfinite(current)], reference[np.isfinite(reference)]
        if len(first) and len(second):
            ks = ks_distance(first, second)
            ks_chance = _SURE_KS * float(np.sqrt(1 / len(first) + 1 / len(second)))
    shift = _judged(found, chance, bounds.monitor_psi, bounds.alert_psi)
    if ks is not None and ks_chance is not None:
        shift = max(shift, _judged(ks, ks_chance, bounds.monitor_ks, bounds.alert_ks))
    return ColumnShift(
        column=name, psi=found, psi_by_chance=chance, ks=ks, ks_by_chance=ks_chance, shift=shift
    )


def _judged(found: float, chance: float, monitor: float, alert: float) -> Shift:
    if found <= max(monitor, chance):
        return Shift.NONE
    return Shift.ALERT if found > max(alert, chance) else Shift.MONITOR


def _in_bins(reference: Array, current: Array) -> tuple[Array, Array]:
    """Counts by the reference's deciles, and one bin more of what is empty."""
    known = reference[np.isfinite(reference)]
    share = np.arange(1, BINS) / BINS
    edges = np.unique(np.quantile(known, share)) if len(known) else np.zeros(0)

    def counts(values: Array) -> Array:
        finite = values[np.isfinite(values)]
        bins = np.searchsorted(edges, finite, side="left")
        inside = np.bincount(bins, minlength=len(edges) + 1)
        return np.append(inside, len(values) - len(finite))

    return _used(counts(reference), counts(current))


def _in_levels(reference: Array, current: Array) -> tuple[Array, Array]:
    """Counts by the most frequent levels of the reference, and one of all others."""
    texts, often = np.unique(reference.astype(str), return_counts=True)
    kept = texts[np.argsort(-often, kind="stable")[:LEVELS]]

    def counts(values: Array) -> Array:
        each = np.array([(values.astype(str) == level).sum() for level in kept])
        return np.append(each, len(values) - each.sum())

    return _used(counts(reference), counts(current))


def _used(expected: Array, actual: Array) -> tuple[Array, Array]:
    """Without the bins that are empty in both: they say nothing and would dilute the rest."""
    used = (expected + actual) > 0
    return expected[used], actual[used]
