"""Logged one-step decisions as a target policy sees them: a log's matrices reduced to columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.ope.blocks import blocks
from ppo_marketing.ope.checks import Columns, refuse_bad

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PropensitySource = Literal["logged", "estimated"]

LEAST_ROWS = 30
"""An action that a context cell has fewer impressions of is not supported by the log there."""


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """One decision a row, every array `[n]`; made by `from_columns` or `from_matrices`.

    | field         | meaning                                                                    |
    |---------------|----------------------------------------------------------------------------|
    | `reward`      | r, of the action that was taken                                            |
    | `propensity`  | p(a | x), the logging policy's probability of that action                  |
    | `chosen`      | π(a | x), the target policy's                                              |
    | `direct`      | Σ_a π(a | x) q(x, a), the reward that a model predicts of the target       |
    | `predicted`   | q(x, a) of the action taken; cross-fitted: no row's own reward in it       |
    | `weight`      | impressions that the row stands for                                        |
    | `unit`        | who is independent of whom, 0..units-1; None: every impression by itself   |
    | `unsupported` | share of π on actions that the log hardly has in the row's cell; or None   |
    | `action`      | the action taken, for naming it; may be absent                             |
    | `marginal`    | π(c | x) / p(c | x) of the action's category (MIPS); may be absent         |

    `gaps[a]` is the share of all target mass that is unsupported and falls on action a.
    """

    reward: Floats
    propensity: Floats
    chosen: Floats
    direct: Floats
    predicted: Floats
    weight: Floats
    unit: Ints | None
    unsupported: Floats | None = None
    action: Ints | None = None
    marginal: Floats | None = None
    gaps: Floats | None = None
    propensity_source: PropensitySource = "logged"

    @cached_property
    def ratio(self) -> Floats:
        """w = π(a | x) / p(a | x), the importance weights."""
        return self.chosen / self.propensity

    @cached_property
    def impressions(self) -> float:
        """Σ weight."""
        return float(self.weight.sum())

    @cached_property
    def units(self) -> int:
        """How many independent units there are; impressions where none are named."""
        return round(self.impressions) if self.unit is None else int(self.unit.max()) + 1

    def mean(self, values: Floats) -> float:
        """The mean of `values [n]` over impressions."""
        return float(values @ self.weight) / self.impressions

    def by_unit(self, values: Floats) -> Floats:
        """Σ weight x value of every unit, `[units]`; of every row where units are not named."""
        total = self.weight * values
        if self.unit is None:
            return total
        return np.bincount(self.unit, total, self.units).astype(np.float64)


def from_columns(
    *,
    reward: Any,
    propensity: Any,
    chosen: Any,
    direct: Any,
    predicted: Any,
    unit: Any = None,
    weight: Any = None,
    unsupported: Any = None,
    action: Any = None,
    marginal: Any = None,
    row_id: Any = None,
    propensity_source: PropensitySource = "logged",
) -> Decisions:
    """Decisions of columns `[n]` that are there already; `Decisions` says what they mean.

    Raises:
        UserError: a column is bad; the message lists every problem (`checks.refuse_bad`).
    """
    columns: Columns = {
        "reward": reward, "propensity": propensity, "chosen": chosen, "direct": direct,
        "predicted": predicted, "unit": unit, "weight": weight, "unsupported": unsupported,
        "action": action, "marginal": marginal, "row_id": row_id,
    }  # fmt: skip
    refuse_bad(columns)
    n = len(reward)
    return Decisions(
        reward=_floats(reward),
        propensity=_floats(propensity),
        chosen=_floats(chosen),
        direct=_floats(direct),
        predicted=_floats(predicted),
        weight=np.ones(n) if weight is None else _floats(weight),
        unit=None if unit is None else _numbered(unit),
        unsupported=None if unsupported is None else _floats(unsupported),
        action=None if action is None else np.asarray(action).astype(np.int64),
        marginal=None if marginal is None else _floats(marginal),
        propensity_source=propensity_source,
    )


def from_matrices(
    *,
    reward: Any,
    action: Any,
    propensity: Any,
    target_probabilities: Any,
    predicted_reward: Any,
    unit: Any = None,
    weight: Any = None,
    cell: Any = None,
    category: Any = None,
    logging_probabilities: Any = None,
    row_id: Any = None,
    propensity_source: PropensitySource = "logged",
) -> Decisions:
    """Decisions of a log `[n]` and matrices `[n, A]`, worked off in blocks of rows.

    Of a policy that is the same for all, `np.broadcast_to(policy, (n, A))` costs nothing. `cell
    [n]` groups rows whose context is alike (one group by default): an action with fewer than
    `LEAST_ROWS` impressions in a cell is unsupported there. `category [A]` of every action asks
    for the marginal weights of MIPS: exact with `logging_probabilities [n, A]`, otherwise the
    mean importance weight of the category's rows in the cell (Saito and Joachims 2022).
    `row_id [n]` is what no two rows may share; without it repeats cannot be told from copies.

    Raises:
        UserError: something is bad; the message lists every problem (`checks.refuse_bad`).
    """
    columns: Columns = {
        "reward": reward, "propensity": propensity, "action": action, "unit": unit,
        "weight": weight, "cell": cell, "row_id": row_id,
    }  # fmt: skip
    refuse_bad(
        columns,
        target_probabilities=target_probabilities,
        predicted_reward=predicted_reward,
        logging_probabilities=logging_probabilities,
        category=category,
    )
    target, model = np.asarray(target_probabilities), np.asarray(predicted_reward)
    n, actions = target.shape
    taken, rows = np.asarray(action).astype(np.int64), np.arange(n)
    cells = np.zeros(n, np.int64) if cell is None else _numbered(cell)
    impressions = np.ones(n) if weight is None else _floats(weight)
    thin = _thin(cells, taken, impressions, actions)
    direct, unsupported, gaps = np.empty(n), np.empty(n), np.zeros(actions)
    for part in blocks(n, actions):
        pi = np.asarray(target[part], np.float64)
        direct[part] = np.einsum("na,na->n", pi, model[part], dtype=np.float64)
        pi = pi * thin[cells[part]]
        unsupported[part] = pi.sum(axis=1)
        gaps += impressions[part] @ pi
    made = from_columns(
        reward=reward,
        propensity=propensity,
        chosen=target[rows, taken],
        direct=direct,
        predicted=model[rows, taken],
        unit=unit,
        weight=impressions,
        unsupported=unsupported,
        action=taken,
        propensity_source=propensity_source,
    )
    made = replace(made, gaps=gaps / made.impressions)
    if category is None:
        return made
    kinds = _numbered(category)
    if logging_probabilities is None:
        marginal = marginal_by_cell(made, kinds[taken], cells)
    else:
        logging = np.asarray(logging_probabilities)
        marginal = np.empty(n)
        for part in blocks(n, actions):
            same = kinds[None, :] == kinds[taken[part], None]
            marginal[part] = (target[part] * same).sum(1) / (logging[part] * same).sum(1)
    return replace(made, marginal=marginal)


def marginal_by_cell(decisions: Decisions, kind: Ints, cell: Ints) -> Floats:
    """E[w | category, cell] of every row `[n]`, estimated by the mean weight of such rows.

    Source: Saito and Joachims 2022, who estimate it by regression; here cells are the regressor.
    """
    group = np.unique(cell * (int(kind.max()) + 1) + kind, return_inverse=True)[1]
    total = np.bincount(group, decisions.weight * decisions.ratio)
    return np.asarray((total / np.bincount(group, decisions.weight))[group])


def _thin(cell: Ints, action: Ints, weight: Floats, actions: int) -> NDArray[np.bool_]:
    """Where a cell has fewer than `LEAST_ROWS` impressions of an action, `[cells, A]`."""
    cells = int(cell.max()) + 1
    seen = np.bincount(cell * actions + action, weight, cells * actions)
    return np.asarray(seen.reshape(cells, actions) < LEAST_ROWS)


def _floats(column: Any) -> Floats:
    return np.asarray(column, np.float64)


def _numbered(labels: Any) -> Ints:
    return np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64)
