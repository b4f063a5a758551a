"""6. Simulated effects against doubly robust estimates where decisions were randomised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from envs.core.fidelity import Check, Curve
from envs.sequencing.panel import Panel, states
from envs.sequencing.paths import buy_probability, expected_purchases
from envs.sequencing.tables import Menu, ResponseTables

Floats = NDArray[np.float64]

LEAST_EVENTS = 10.0
"""With fewer purchases expected of those who were contacted (or not) nothing can be said."""

_LEVEL = 0.05
_THIRDS = ("low", "middle", "high")


class Group(NamedTuple):
    """Customer-weeks among which contacted and uncontacted ones are compared."""

    name: str
    rows: NDArray[np.bool_]  # [n]
    actions: tuple[int, ...]  # their mean effect


class Effect(NamedTuple):
    """The rise of the weekly chance to buy in one group, simulated and estimated."""

    name: str
    simulated: float
    estimate: float
    error: float
    n: int


def effect_checks(
    tables: ResponseTables, menu: Menu, panel: Panel, propensity: Floats, randomised: Sequence[int]
) -> tuple[tuple[Check, ...], tuple[Curve, ...], tuple[str, ...]]:
    """The uplift of every action in every third of customers, and of channels on tired customers.

    Thirds are by the chance to buy uncontacted. A simulated uplift must lie in the 95 % interval of
    the doubly robust estimate, the level shared by all comparisons (Bonferroni), and the
    simulator's own sampling error allowed for as far as it is no larger (ADR 11). Of actions that
    are not `randomised` none can be compared; beside others that are, they fail by name.
    """
    if not randomised:
        return (), (), (
            "effects cannot be checked: no decision was randomised with a logged propensity",
        )  # fmt: skip
    actions = range(len(tables.channel))
    chance = np.stack(
        [expected_purchases(tables, states(panel), np.full(panel.rows, a)) for a in actions]
    )
    compared, notes = [], []
    for group in _groups(tables, menu, panel, chance[0], randomised):
        events = min(
            float(chance[a][group.rows & (panel.action == a)].sum()) for a in (0, *group.actions)
        )
        if events < LEAST_EVENTS:
            notes.append(
                f"effect of {group.name}: {events:.0f} purchases expected of randomised rows, too "
                f"few to check (at least {LEAST_EVENTS:.0f})"
            )
            continue
        compared.append(_effect(group, tables, panel, chance, propensity))
    if not compared:
        return (), (), tuple(notes)
    z = float(norm.ppf(1 - _LEVEL / (2 * len(compared))))
    checks = tuple(
        Check(
            name=f"effect of {e.name}", value=e.simulated, low=e.estimate - z * e.error,
            high=e.estimate + z * e.error, n=e.n, unit="customer-weeks",
            meaning="Simulated rise of the weekly chance to buy; the bounds are the interval of "
            "the doubly robust estimate from randomised decisions.",
        )
        for e in compared
    )  # fmt: skip
    curve = Curve(
        name="effects", x_label="action x group", y_label="rise of the chance to buy",
        x=tuple(float(i) for i in range(len(compared))),
        observed=tuple(e.estimate for e in compared),
        simulated=tuple(e.simulated for e in compared),
        kind="effect", n=tuple(float(e.n) for e in compared),
    )  # fmt: skip
    unknown = tuple(
        Check(
            name=f"effect of {menu.labels[a]}: not randomised", value=np.nan, low=0.0, high=0.0,
            n=0, unit="comparisons",
            meaning="Nothing in the log shows what this action does: it is assumed.",
        )
        for a in actions if a and a not in randomised
    )  # fmt: skip
    return (*checks, *unknown), (curve,), tuple(notes)


def _groups(
    tables: ResponseTables, menu: Menu, panel: Panel, nothing: Floats, randomised: Sequence[int]
) -> list[Group]:
    third = np.searchsorted(np.quantile(nothing, [1 / 3, 2 / 3]), nothing, side="right")
    groups = [
        Group(
            f"{menu.labels[action]}, {name} third",
            panel.consent[:, tables.channel[action]] & (third == t),
            (action,),
        )
        for action in randomised
        for t, name in enumerate(_THIRDS)
    ]
    for c in range(panel.fatigue.shape[1]):
        tired = panel.consent[:, c] & (panel.fatigue[:, c] > 0)
        used = tuple(a for a in randomised if tables.channel[a] == c)
        if used and tired.any():
            groups.append(Group(f"{menu.channels[c]} on tired customers", tired, used))
    return groups


def _effect(
    group: Group, tables: ResponseTables, panel: Panel, chance: Floats, propensity: Floats
) -> Effect:
    part, e = panel.where(group.rows), propensity[group.rows]
    nothing = chance[0][group.rows]
    share = 1 / len(group.actions)
    simulated, score, variance = 0.0, np.zeros(part.rows), np.zeros(part.rows)
    for action in group.actions:
        bought = chance[action][group.rows]
        simulated += share * float((bought - nothing).mean())
        score += share * doubly_robust(part, action, bought, nothing, e)
        taken = part.action == action
        variance += share**2 * np.where(taken, bought * (1 - bought) / e**2, 0.0)
    variance += np.where(part.action == 0, nothing * (1 - nothing) / e**2, 0.0)
    estimate, error = clustered_mean(score, part.customer)
    # Few purchases hide their own variance: the simulator's is then the larger one.
    by_simulator = float(np.sqrt(variance.sum())) / part.rows
    error = max(error, by_simulator)
    # Two estimates are compared. A simulator that knows less than the log excuses nothing by it.
    own = min(_spread(group, tables, part), error)
    return Effect(group.name, simulated, estimate, float(np.hypot(error, own)), part.rows)


def _spread(group: Group, tables: ResponseTables, part: Panel) -> float:
    """The standard deviation of the simulated effect over bootstrap members; 0 of one member."""
    if tables.members == 1:
        return 0.0
    at, nothing = states(part), np.zeros(part.rows, np.int64)
    effects = []
    for k in range(tables.members):
        alone = buy_probability(tables, k, at, nothing).mean()
        bought = [buy_probability(tables, k, at, np.full(part.rows, a)) for a in group.actions]
        effects.append(float(np.mean(bought) - alone))
    return float(np.std(effects, ddof=1))


def doubly_robust(
    panel: Panel, action: int, bought: Floats, nothing: Floats, propensity: Floats
) -> Floats:
    """q_a - q_0 + 1{A=a} (y - q_a) / e - 1{A=0} (y - q_0) / e of every row, `[n]`.

    Its mean estimates the effect of `action` even where the predictions `bought` q_a and `nothing`
    q_0 are wrong. Source: Robins, Rotnitzky and Zhao, JASA 1994.
    """
    y = panel.purchase
    score = bought - nothing
    score = score + np.where(panel.action == action, (y - bought) / propensity, 0.0)
    return np.asarray(score - np.where(panel.action == 0, (y - nothing) / propensity, 0.0))


def clustered_mean(score: Floats, customer: NDArray[np.int64]) -> tuple[float, float]:
    """The mean of the scores and its standard error, customers being independent."""
    mean = float(score.mean())
    _, cluster = np.unique(customer, return_inverse=True)
    by_customer = np.bincount(cluster, score - mean)
    return mean, float(np.sqrt((by_customer**2).sum()) / len(score))
