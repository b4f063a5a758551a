"""When a log cannot say what a policy is worth, and what would be needed for it to say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ppo_marketing.ope.diagnostics import Diagnostics
from ppo_marketing.ope.feedback import LEAST_ROWS, Decisions, Floats

LEAST_EFFECTIVE_N = 200.0
"""Below it the bootstrap and the normal interval of heavy weights fall short of their level."""

MOST_UNSUPPORTED = 0.05
"""Of what the log hardly has, an interval knows nothing: it would be the model's opinion."""

LEAST_UNITS = 10.0
"""Of fewer independent units, effectively, neither interval holds its level."""

LEAST_POSITIVES = 100.0
"""Fewer rewards than this are few to promote a policy on; the report says so."""

HEAVY_TAIL = 0.7
"""The tail index above which a mean of weights does not settle (Vehtari et al. 2024)."""

_ACTIONS_NAMED = 5


def refusals(
    found: Diagnostics, decisions: Decisions, names: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Why no interval is shown, each with what would be needed; empty where the log can say."""
    told = []
    if found.effective_n < LEAST_EFFECTIVE_N:
        told.append(_too_few(found, decisions, names))
    if found.unsupported is not None and found.unsupported > MOST_UNSUPPORTED:
        told.append(
            f"the log cannot say: {found.unsupported:.0%} of what the policy does is hardly in the "
            f"log (at most {MOST_UNSUPPORTED:.0%} may be). Needed: {LEAST_ROWS} rows or more in "
            f"every context cell{_of_actions(decisions.gaps, names)}, or a policy that avoids them"
        )
    if found.effective_units < LEAST_UNITS:
        told.append(
            f"the log cannot say: the weight lies on {found.effective_units:.1f} independent units "
            f"effectively, below {LEAST_UNITS:.0f}. Needed: more of them, or customers as units "
            "where days are few"
        )
    return tuple(told)


def cautions(found: Diagnostics, decisions: Decisions) -> tuple[str, ...]:
    """What does not forbid an interval but must stand beside it."""
    told = []
    if decisions.propensity_source == "estimated":
        told.append(
            "propensities are estimated, not logged: what the context does not show of how actions "
            "were chosen biases every estimate; see their calibration"
        )
    if found.unsupported is None:
        told.append(
            "it is not known how much of the policy the log hardly has: pass `unsupported`, or "
            "make the decisions from matrices"
        )
    apart = abs(found.mean_weight - 1.0)
    if apart > 4 * found.mean_weight_error:
        told.append(
            f"the mean weight is {found.mean_weight:.3g}, more than 4 standard errors from 1: "
            "propensities are wrong, or the policy takes actions that the log does not have"
        )
    if found.tail_index is not None and found.tail_index > HEAVY_TAIL:
        told.append(
            f"the weights' tail index is {found.tail_index:.2f}, above {HEAVY_TAIL}: a few rows "
            "carry the estimate, and intervals may be too short"
        )
    if found.effective_positives < LEAST_POSITIVES:
        told.append(
            f"{found.effective_positives:.0f} rewarded impressions speak of the policy, below "
            f"{LEAST_POSITIVES:.0f}: too few to promote it on"
        )
    return tuple(told)


def _too_few(found: Diagnostics, decisions: Decisions, names: Sequence[str] | None) -> str:
    begun = (
        f"the log cannot say: the effective sample size is {found.effective_n:.0f} of "
        f"{found.impressions:,.0f} impressions, below {LEAST_EFFECTIVE_N:.0f}. Needed: "
    )
    if found.effective_n <= 0:
        return begun + "rows with the actions that the policy takes: the log has none"
    factor = LEAST_EFFECTIVE_N / found.effective_n
    rows = math.ceil(found.impressions * factor)
    return begun + (
        f"about {rows:,} impressions like these ({factor:.1f} times as many), or more exploration"
        f"{_of_actions(_burden(decisions), names)}"
    )


def _burden(decisions: Decisions) -> Floats | None:
    """Each action's share of Σ v w², the variance of the weights, `[A]`."""
    if decisions.action is None:
        return None
    squares = np.bincount(decisions.action, decisions.weight * decisions.ratio**2)
    return np.asarray(squares / squares.sum())


def _of_actions(shares: Floats | None, names: Sequence[str] | None) -> str:
    """' of the actions a (60 %), ...', the largest shares; empty where nothing is known."""
    if shares is None:
        return ""
    order = np.argsort(-shares, kind="stable")
    largest = [a for a in order[:_ACTIONS_NAMED] if shares[a] > 0]
    if not largest:
        return ""
    named = ", ".join(f"{names[a] if names else a} ({shares[a]:.1%})" for a in largest)
    others = int((shares > 0).sum()) - len(largest)
    return f" of the actions {named}" + (f" and {others} more" if others else "")
