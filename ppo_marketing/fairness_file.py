"""Treatment rates by protected group, from a table of decisions in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from envs.core.log_problems import LogError, Problems
from envs.core.log_schema import Column
from ppo_marketing.errors import UserError
from ppo_marketing.experiment.files import id_column, read_cells
from ppo_marketing.fairness import AttributeFairness, treatment_fairness


def fairness_of_file(
    path: Path,
    attributes: Sequence[str],
    *,
    treated: str = "treated",
    action: str | None = None,
    unit: str | None = None,
) -> tuple[AttributeFairness, ...]:
    """Compare treatment rates in a CSV or Parquet file of decisions, one a row.

    `attributes` are the columns of protected attributes, `treated` the column of treatments (0, 1
    or a probability), or of actions where `action` names the one that counts as treatment; `unit`
    is the column that says whose decision it is.

    Raises:
        UserError: with every problem of the file.
    """
    told = (
        Column(name=treated, kind="number", unit="0, 1 or a probability")
        if action is None
        else id_column(treated)
    )
    names = [*attributes, *([] if unit is None else [unit])]
    problems = Problems(path.name)
    try:
        cells = read_cells(path, [told, *(id_column(name) for name in names)], problems)
        problems.refuse()
    except LogError as error:
        raise UserError(str(error)) from error
    share = cells[treated] if action is None else (cells[treated] == action).astype(np.float64)
    if action is not None and not share.any():
        known = ", ".join(sorted(set(cells[treated].tolist()))[:12])
        raise UserError(f"no decision of {path.name} is {action!r}: {treated} holds {known}")
    return treatment_fairness(
        share,
        {name: cells[name] for name in attributes},
        unit=None if unit is None else cells[unit],
    )
