"""What a calibration says of itself in words: support, effects, parts, purchase rhythm, churn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.sequencing.identification import Grounds
from envs.sequencing.panel import Gathered, Panel
from envs.sequencing.propensity import Support
from envs.sequencing.purchasing import BgNbd, Rhythm, alive, expected_more, fit_bgnbd, rhythm
from envs.sequencing.tables import Menu


def support_note(support: Support) -> str:
    """What the log could say of a policy that tries everything."""
    return (
        "of a policy that tries every allowed action equally, the part that is learned from shows "
        f"{support.effective_rows:,.0f} effective customer-weeks, "
        f"{100 * support.unsupported:.1f} % unsupported mass and "
        f"{support.effective_positives:,.0f} effective positives"
    )


def effects_note(menu: Menu, effects: Sequence[Grounds]) -> str:
    """How the effect of every contact is known."""
    each = [f"{name} {known}" for name, known in zip(menu.labels[1:], effects, strict=True)]
    return f"effects by contact: {'; '.join(each)}"


def part_notes(gathered: Gathered, later: Panel, base: BgNbd | None) -> list[str]:
    """Who was fitted and who judges, and what the purchase rhythm foretells of the latter."""
    learned = len(np.unique(gathered.learned_from.customer))
    notes = [
        f"fitted to {learned:,} customers in weeks 1 to {gathered.split}, judged "
        f"by {len(np.unique(later.customer)):,} others in weeks 1 to {later.weeks}",
    ]
    if base is not None:
        notes.append(
            "base purchasing (BG/NBD, weeks): "
            + ", ".join(f"{name} = {value:.3g}" for name, value in base._asdict().items())
        )
        notes.append(_churn_note(gathered, later, base))
    return notes


def base_rhythm(gathered: Gathered) -> BgNbd | None:
    """BG/NBD of the customers learned from, up to the split; None where nobody bought again."""
    seen = _rhythm(gathered, gathered.fitted)
    if not len(seen.repeats):
        return None
    try:
        return fit_bgnbd(seen)
    except ValueError:
        return None


def _rhythm(gathered: Gathered, of: np.ndarray) -> Rhythm:
    customer, at, _ = gathered.purchases
    kept = of[customer]
    return rhythm(customer[kept], np.floor(at[kept] * 7) / 7, float(gathered.split))


def _churn_note(gathered: Gathered, later: Panel, base: BgNbd) -> str:
    """Churn is not seen where customers owe no notice: BG/NBD against what the others then did."""
    customer, at, _ = gathered.purchases
    seen = _rhythm(gathered, ~gathered.fitted)
    weeks = later.weeks - gathered.split
    known = ~gathered.fitted[customer] & (at < gathered.split)
    again = np.isin(customer, customer[known]) & (at >= gathered.split) & (at < later.weeks)
    days = np.unique(np.column_stack([customer[again], np.floor(at[again] * 7)]), axis=0)
    return (
        f"churn is not observed; BG/NBD takes {100 * alive(base, seen).mean():.0f} % of the "
        "held-out buyers for still alive and "
        f"foretells {expected_more(base, seen, weeks).sum():,.0f} "
        f"purchases of theirs in the later weeks; there were {len(days):,}"
    )
