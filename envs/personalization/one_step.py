"""A visit log as decisions that stand alone: for policies that are judged by the log only."""

from __future__ import annotations

import numpy as np

from envs.core.log import LogTable
from envs.core.one_step import OneStepRows
from envs.personalization.coherence import incoherent_propensities
from envs.personalization.columns import codes, column_or
from envs.personalization.encoding import fit_encoder
from envs.personalization.evidence import CELL_BITS, LEAST_CELL_ROWS, context_cells
from envs.personalization.leaks import leaking_columns
from envs.personalization.log import ITEM_PREFIX
from envs.personalization.visits import numbered_items, outcomes_apart, pool_items

_ROW = "row of the log"  # no name of a column that a file could have by chance


def one_step_rows(log: LogTable) -> OneStepRows:
    """Every item shown; its position, on a page of several, is part of the context.

    Cells are the gate's, eight contexts told apart by their leading components, or fewer where a
    log that chose evenly would leave them thin: `cell_bits`.

    Raises:
        ValueError: rows do not stand alone, or the log contradicts itself; all reasons are listed.
    """
    columns = {**log.arrays(log.names), _ROW: np.arange(log.rows)}
    context = [name for name in log.context if not name.startswith(ITEM_PREFIX)]
    problems = [
        *leaking_columns({name: columns[name] for name in context}, columns["reward"]),
        *incoherent_propensities(columns),
    ]
    if "session_id" in columns and len(np.unique(columns["session_id"])) < log.rows:
        problems.append(
            "session_id: rows of a session follow each other, and what was shown first changes "
            "what works next. Evaluate with --calibration, or drop the column where it does not"
        )
    if "pool_id" in columns and "propensity" not in columns:
        problems.append(
            "pool_id without propensity: what was eligible differs between rows, which an estimate "
            "of propensities does not know. Log the probability of every item shown"
        )
    if problems:
        listed = [f"  {number}. {problem}" for number, problem in enumerate(problems, 1)]
        raise ValueError("\n".join([f"{log.source} cannot be evaluated:", *listed]))
    columns = outcomes_apart(columns)
    actions, item = numbered_items(columns["action_id"])
    encoder = fit_encoder(columns, context)
    x = encoder.encoded(columns, len(item))
    place = codes(column_or(columns, "position", 1.0))
    weight = column_or(columns, "impressions", 1.0)
    eligible = None
    if "pool_id" in columns:
        pool = codes(columns["pool_id"])
        eligible = pool_items(pool, item, int(pool.max()) + 1, len(actions))[pool]
    return OneStepRows(
        row=columns[_ROW],
        action=item.astype(np.int64),
        actions=actions,
        reward=columns["reward"],
        propensity=columns.get("propensity"),
        unit=codes(columns["unit_id"]).astype(np.int64),
        weight=weight,
        # P(item | context, position): the first place is what the others are compared with.
        context=np.concatenate([x, np.eye(place.max() + 1, dtype=np.float32)[place][:, 1:]], 1),
        cell=context_cells(x, cell_bits(float(weight.sum()), len(actions)))(x),
        eligible=eligible,
        notes=log.notes,
    )


def cell_bits(impressions: float, actions: int) -> int:
    """The most bits b, up to the gate's, with impressions / (2^b actions) twice what is thin.

    Finer cells would call thin what the log holds plenty of: the slicing's fault, not the log's.
    """
    fits = impressions / (2 * LEAST_CELL_ROWS * actions)
    return min(CELL_BITS, max(0, int(np.floor(np.log2(fits)))))
