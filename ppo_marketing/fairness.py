"""Is everyone treated alike? Treatment rates by protected group, with what can be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.errors import UserError
from ppo_marketing.intervals import Bounds, clustered_variance, newcombe, normal, wilson

FOUR_FIFTHS = 0.8
"""A group whose rate is below four fifths of the best-treated one's shows adverse impact.

Source: Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D.
"""

LEAST_UNITS = 100
"""Of a smaller group nothing is said: half of it treated has a standard error of .05 then."""

UNKNOWN = "(not known)"

Verdict = Literal["passes", "fails", "too few to say"]


@dataclass(frozen=True, kw_only=True)
class GroupTreatment:
    """How often one group is treated.

    `units` are people (clusters), `rows` decisions. `ratio` is the rate over the best-treated
    group's and `gap` that group's rate minus this one's; both None where the group, or every
    group, is too small. `gap_bounds` is its 95 % interval, for the chance that groups differ by
    luck (None for the best-treated one itself); it does not decide the verdict, which is of the
    ratio alone, as in the rule's source.
    """

    group: str
    units: int
    rows: int
    rate: float
    rate_bounds: Bounds
    ratio: float | None
    gap: float | None
    gap_bounds: Bounds | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class AttributeFairness:
    """One protected attribute: its groups, who is treated most often, and what is wrong in words.

    A gap between rates needs no bound of its own: rates are at most 1, so that a gap above .2
    always has a ratio below .8.
    """

    attribute: str
    best: str | None
    groups: tuple[GroupTreatment, ...]
    verdict: Verdict
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def treatment_fairness(
    treated: Any,
    protected: Mapping[str, Any],
    *,
    unit: Any = None,
    least_units: int = LEAST_UNITS,
    least_ratio: float = FOUR_FIFTHS,
) -> tuple[AttributeFairness, ...]:
    """Compare treatment rates between the groups of every protected attribute.

    `treated` `[n]` is 0 or 1, or a probability of treatment; each of `protected` names the group of
    every row, `[n]` (empty: not known, a group of its own); `unit` `[n]` says whose row it is
    (None: every row is another's). Rates are over rows. Where rows are one a unit and treatment is
    0 or 1, intervals are Wilson's and Newcombe's, otherwise normal with clustered variance.

    Raises:
        UserError: the arrays do not fit together, or `treated` holds no probabilities.
    """
    share = np.asarray(treated, np.float64)
    owner = np.arange(len(share)) if unit is None else np.asarray(unit)
    named = {name: _group_names(values) for name, values in protected.items()}
    _require_fitting(share, owner, named)
    _, owner = np.unique(owner, return_inverse=True)
    exact = bool(np.isin(share, (0.0, 1.0)).all()) and owner.max() + 1 == len(owner)
    return tuple(
        _of_attribute(name, group, share, owner, exact, least_units, least_ratio)
        for name, group in named.items()
    )


def _of_attribute(
    attribute: str,
    group: NDArray[np.str_],
    share: NDArray[np.float64],
    unit: NDArray[np.int64],
    exact: bool,
    least_units: int,
    least_ratio: float,
) -> AttributeFairness:
    names = [str(name) for name in np.unique(group)]
    rows = {name: group == name for name in names}
    units = {name: len(np.unique(unit[rows[name]])) for name in names}
    rates = {name: float(share[rows[name]].mean()) for name in names}
    told = [name for name in names if units[name] >= least_units]
    best = max(told, key=rates.__getitem__) if len(told) > 1 else None
    groups = []
    for name in names:
        compared = best is not None and name in told
        ratio = gap = bounds = None
        verdict: Verdict = "too few to say"
        if compared and best is not None:
            # Where nobody is treated, everyone is treated alike.
            ratio = rates[name] / rates[best] if rates[best] > 0 else 1.0
            gap = rates[best] - rates[name]
            if name != best:
                bounds = _gap_bounds(share, rows[best], rows[name], unit, exact)
            verdict = "passes" if ratio >= least_ratio else "fails"
        groups.append(
            GroupTreatment(
                group=name,
                units=units[name],
                rows=int(rows[name].sum()),
                rate=rates[name],
                rate_bounds=_rate_bounds(share[rows[name]], unit[rows[name]], exact),
                ratio=ratio,
                gap=gap,
                gap_bounds=bounds,
                verdict=verdict,
            )
        )
    return AttributeFairness(
        attribute=attribute,
        best=best,
        groups=tuple(groups),
        verdict=_overall(groups),
        reasons=tuple(_reasons(attribute, best, groups, least_units, least_ratio)),
    )


def _rate_bounds(share: NDArray[np.float64], unit: NDArray[np.int64], exact: bool) -> Bounds:
    if exact:
        return wilson(int(share.sum()), len(share))
    mean = float(share.mean())
    low, high = normal(mean, clustered_variance((share - mean) / len(share), unit))
    return Bounds(max(low, 0.0), min(high, 1.0))


def _gap_bounds(
    share: NDArray[np.float64],
    best: NDArray[np.bool_],
    other: NDArray[np.bool_],
    unit: NDArray[np.int64],
    exact: bool,
) -> Bounds:
    if exact:
        one, two = ((int(share[rows].sum()), int(rows.sum())) for rows in (best, other))
        return newcombe(*one, *two)
    means = [float(share[rows].mean()) for rows in (best, other)]
    # The influence of every row on the difference of the two means; units may be in both groups.
    influence = np.zeros(len(share))
    influence[best] += (share[best] - means[0]) / best.sum()
    influence[other] -= (share[other] - means[1]) / other.sum()
    both = best | other
    return normal(means[0] - means[1], clustered_variance(influence[both], unit[both]))


def _overall(groups: list[GroupTreatment]) -> Verdict:
    verdicts = {group.verdict for group in groups}
    if "fails" in verdicts:
        return "fails"
    return "passes" if "passes" in verdicts else "too few to say"


def _reasons(
    attribute: str,
    best: str | None,
    groups: list[GroupTreatment],
    least_units: int,
    least_ratio: float,
) -> list[str]:
    reasons = []
    for group in groups:
        if group.verdict == "fails":
            assert group.gap_bounds is not None
            chance = " (within what luck could do)" if group.gap_bounds.holds(0.0) else ""
            reasons.append(
                f"{attribute}: {group.group} is treated at {group.rate:.1%}, {group.ratio:.2f} of "
                f"the rate of {best}; at least {least_ratio:g} is wanted{chance}"
            )
    small = [f"{g.group} ({g.units})" for g in groups if g.units < least_units]
    if small:
        reasons.append(
            f"{attribute}: fewer than {least_units} units, nothing said: {'; '.join(small)}"
        )
    if best is None and len(groups) - len(small) < 2:
        reasons.append(f"{attribute}: two groups of {least_units} units or more are needed")
    return reasons


def _group_names(values: Any) -> NDArray[np.str_]:
    cells = np.asarray(values)
    if cells.dtype == object:
        cells = np.array(["" if cell is None or cell != cell else str(cell) for cell in cells])
    names = cells.astype(str)
    return np.asarray(np.where(np.char.strip(names) == "", UNKNOWN, names))


def _require_fitting(
    share: NDArray[np.float64], unit: NDArray[Any], protected: Mapping[str, NDArray[np.str_]]
) -> None:
    problems = []
    if share.ndim != 1 or not len(share):
        problems.append(f"treated has the shape {share.shape}; one number a decision is needed")
    elif not ((share >= 0) & (share <= 1)).all():
        wrong = int((~((share >= 0) & (share <= 1))).sum())
        problems.append(f"{wrong} values of treated are no probabilities from 0 to 1")
    problems += [
        f"{name} has the shape {values.shape}; treated has {share.shape}"
        for name, values in {**protected, "unit": unit}.items()
        if values.shape != share.shape
    ]
    if not protected:
        problems.append("no protected attribute is declared: name a column for each")
    if problems:
        raise UserError("fairness cannot be measured:\n  " + "\n  ".join(problems))
