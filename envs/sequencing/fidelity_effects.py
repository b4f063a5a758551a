"""6. Simulated effects against doubly robust estimates from randomised decisions (MODELLING 3.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from envs.core.fidelity import Check, Curve
from envs.sequencing.panel import Panel, states
from envs.sequencing.paths import expected_purchases
from envs.sequencing.tables import ResponseTables

Floats = NDArray[np.float64]

LEAST_TAKEN = 200
"""With fewer randomised rows of an action in a third of customers nothing can be said of it."""

_LEVEL = 0.05
_THIRDS = ("low", "middle", "high")


def effect_checks(
    tables: ResponseTables, panel: Panel, propensity: Floats | None
) -> tuple[tuple[Check, ...], tuple[Curve, ...], tuple[str, ...]]:
    """The uplift of every action in every third of customers by their chance to buy uncontacted.

    A simulated uplift must lie in the 95 % interval of the doubly robust estimate, the level shared
    by all comparisons (Bonferroni). `propensity [n]` None: decisions were not randomised.
    """
    if propensity is None:
        return (), (), (
            "effects cannot be checked: no decision was randomised with a logged propensity",
        )  # fmt: skip
    idle = np.zeros(panel.rows, np.int64)
    nothing = expected_purchases(tables, states(panel), idle)
    third = np.searchsorted(np.quantile(nothing, [1 / 3, 2 / 3]), nothing, side="right")
    compared, notes = [], []
    for action in range(1, len(tables.channel)):
        allowed = panel.consent[:, tables.channel[action]]
        bought = expected_purchases(tables, states(panel), idle + action)
        for t, name in enumerate(_THIRDS):
            rows = allowed & (third == t)
            taken = [(panel.action[rows] == a).sum() for a in (action, 0)]
            if min(taken) < LEAST_TAKEN:
                notes.append(
                    f"effect of action {action} on the {name} third: {min(taken)} randomised rows, "
                    f"too few to check (at least {LEAST_TAKEN})"
                )
                continue
            simulated = float((bought[rows] - nothing[rows]).mean())
            estimate, error = doubly_robust(
                panel.where(rows), action, bought[rows], nothing[rows], propensity[rows]
            )
            compared.append((f"action {action}, {name} third", simulated, estimate, error,
                             int(rows.sum())))  # fmt: skip
    if not compared:
        return (), (), tuple(notes)
    z = float(norm.ppf(1 - _LEVEL / (2 * len(compared))))
    checks = tuple(
        Check(
            name=f"effect of {name}", value=simulated, low=estimate - z * error,
            high=estimate + z * error, n=n, unit="customer-weeks",
            meaning="Simulated rise of the weekly chance to buy; the bounds are the interval of "
            "the doubly robust estimate from randomised decisions.",
        )
        for name, simulated, estimate, error, n in compared
    )  # fmt: skip
    curve = Curve(
        name="effects", x_label="action x third of customers", y_label="rise of the chance to buy",
        x=tuple(float(i) for i in range(len(compared))),
        observed=tuple(estimate for _, _, estimate, _, _ in compared),
        simulated=tuple(simulated for _, simulated, _, _, _ in compared),
    )  # fmt: skip
    return checks, (curve,), tuple(notes)


def doubly_robust(
    panel: Panel, action: int, bought: Floats, nothing: Floats, propensity: Floats
) -> tuple[float, float]:
    """Mean of q_a - q_0 + 1{A=a} (y - q_a) / e - 1{A=0} (y - q_0) / e, and its standard error.

    Errors are clustered by customer. Source: Robins, Rotnitzky and Zhao, JASA 1994.
    """
    y = panel.purchase
    taken, idle = panel.action == action, panel.action == 0
    score = bought - nothing
    score = score + np.where(taken, (y - bought) / propensity, 0.0)
    score = score - np.where(idle, (y - nothing) / propensity, 0.0)
    mean = float(score.mean())
    _, cluster = np.unique(panel.customer, return_inverse=True)
    by_customer = np.bincount(cluster, score - mean)
    return mean, float(np.sqrt((by_customer**2).sum()) / len(score))
