"""A log less what a special ad category takes out, before anything is fitted to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.core.log_table import LogTable
from ppo_marketing.proxies import MOST_ROWS, proxy_check
from ppo_marketing.special_ads import Restricted, SpecialAdCategory, special_ad_category

_READ_ROWS = 20 * MOST_ROWS  # of which the check draws its rows, one a unit


def unrestricted(
    log: LogTable,
    category: SpecialAdCategory | None,
    protected: Mapping[str, str],
    columns: Mapping[str, str],
) -> LogTable:
    """The log without its restricted context columns, and notes of what went and what tells of it.

    What is left out here is in no state, no calibration and so in nothing that is exported.
    `protected` names columns by their canonical name or the file's; `columns` maps one to the other
    as the user gave it. Columns of the schema itself are never left out: a decision rests on them.

    Raises:
        UserError: `protected` names a column that is not among the context.
    """
    restricted = restricted_context(log.context, category, protected, columns)
    if category is None:
        return log
    if not restricted.removed:
        note = f"special ad category {category}: no context column is restricted"
        return log.without((), (note,))
    went = "; ".join(f"{name} ({reason})" for name, reason in restricted.reasons.items())
    notes = [f"special ad category {category}: left out {went}"]
    cells = _sampled(log, [*log.context, *([log.schema.unit] if log.schema.unit else [])])
    rng = np.random.default_rng(0)  # which rows are looked at is no part of the run's luck
    for name in restricted.removed:
        check = proxy_check(
            name,
            cells[name],
            {kept: cells[kept] for kept in restricted.kept},
            rng,
            unit=cells[log.schema.unit] if log.schema.unit else None,
        )
        notes += [f"proxy check of {reason}" for reason in check.reasons]
        if check.together is not None and not check.reasons:
            notes.append(
                f"proxy check of {name}: what is left foretells it with an AUC of "
                f"{check.together:.2f}, no column too well"
            )
    return log.without(restricted.removed, notes)


def restricted_context(
    context: Sequence[str],
    category: SpecialAdCategory | None,
    protected: Mapping[str, str],
    columns: Mapping[str, str],
) -> Restricted:
    """Part the context columns by their canonical names and by those of the file.

    Raises:
        UserError: as `special_ad_category`.
    """
    canonical = {columns.get(name, name): name for name in context}
    declared = {canonical.get(name, name): attribute for name, attribute in protected.items()}
    by_name = special_ad_category(context, category, declared)
    in_file = special_ad_category(
        list(canonical),
        category,
        {source: declared[name] for source, name in canonical.items() if name in declared},
    )
    reasons = {canonical[source]: reason for source, reason in in_file.reasons.items()}
    reasons |= by_name.reasons
    return Restricted(
        kept=tuple(name for name in context if name not in reasons),
        removed=tuple(name for name in context if name in reasons),
        reasons={name: reasons[name] for name in context if name in reasons},
    )


def _sampled(log: LogTable, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The named columns of evenly spaced rows, at most `_READ_ROWS` of them; bounded memory."""
    every = -(-log.rows // _READ_ROWS)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    start = 0
    for batch in log.batches(names):
        rows = len(batch[names[0]])
        for name in names:
            parts[name].append(batch[name][-start % every :: every])
        start += rows
    return {name: np.concatenate(found) for name, found in parts.items()}
