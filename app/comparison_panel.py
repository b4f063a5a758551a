"""Which algorithm? The comparisons of a decision: who earns what, how surely, how soon."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import charts, errors, project, words
from envs.core.decision import Decision
from ppo_marketing.comparison import Comparison, Competitor
from ppo_marketing.evaluation import Row
from ppo_marketing.report_comparison import LEGEND, conclusion

BESIDE = {"logging": "the log's own policy", "floor": "do nothing"}


def draw(card: Decision) -> None:
    """The newest comparison, or the one that is chosen; nothing where there is none."""
    kept = {one.name: one for one in project.comparisons(card.name)}
    if not kept:
        return
    st.subheader("Algorithms compared", anchor=False)
    name = st.selectbox(
        "Comparison",
        tuple(kept),
        key=f"comparison-{next(iter(kept))}",  # the newest is shown as soon as it is there
        format_func=lambda one: f"{one} · {words.time(kept[one].made)}",
        help="Equal steps, several seeds each, all judged on the same episodes.",
    )
    with errors.kindly():
        found = project.comparison(kept[name])
        st.markdown(f"**{errors.as_text(conclusion(found))}**")
        if not kept[name].fidelity_passed:
            st.warning(
                "The simulator that they were trained in failed its checks.",
                icon=":material/warning:",
            )
        _table(found)
        _curves(found)


def _table(found: Comparison) -> None:
    evidence = found.evidence
    lines = [_line(one, evidence.row(one.label) if one.shares else None) for one in found.ranked]
    lines += [_rule_line(row) for row in found.beside]
    st.caption(
        errors.as_text(f"{evidence.world}, {words.number(evidence.episodes)} episodes for all")
    )
    charts.write(pd.DataFrame(lines).fillna("").set_index("algorithm"))
    for one in found.competitors:
        for failure in one.failures:
            st.caption(f"{errors.as_text(one.label)} diverged: {errors.as_text(failure)}")
    with st.expander("How to read this"):
        st.caption(errors.as_text(LEGEND))


def _line(one: Competitor, row: Row | None) -> dict[str, str]:
    if one.share is None or row is None:
        return {"algorithm": one.label, "earns": "diverged"}
    seeds = f"{words.number(len(one.shares))} seed{'s' if len(one.shares) > 1 else ''}"
    return {
        "algorithm": one.label,
        **_worth(row),
        "of the ceiling (IQM)": f"{_between(one.share.value, one.share.low, one.share.high)}"
        f", {seeds}",
        "steps": words.number(one.steps),
        "largest drop": words.share(one.largest_drop),
        "largest KL, nats": words.number(one.largest_kl),
        "entropy, nats": words.number(one.entropy),
        "CPU seconds": words.number(one.cpu_seconds),
    }


def _rule_line(row: Row) -> dict[str, str]:
    share = row.share_of_ceiling
    return {
        "algorithm": BESIDE.get(row.kind, f"rule: {row.name}"),
        **_worth(row),
        "of the ceiling (IQM)": _between(share.value, share.low, share.high),
    }


def _worth(row: Row) -> dict[str, str]:
    value, lift = row.value, row.policy_lift
    ahead = "is the first"
    if lift is not None:
        low, high = (words.number(100 * end, 2, signed=True) for end in (lift.low, lift.high))
        ahead = f"{words.number(100 * lift.value, 2, signed=True)} ({low} to {high})"
    return {
        "earns": f"{words.money(value.value, value.unit)} ({words.number(value.low)} to "
        f"{words.number(value.high)})",
        "the first is ahead by, points": ahead,
    }


def _between(value: float, low: float, high: float) -> str:
    return f"{words.share(value)} ({words.number(100 * low, 1)} to {words.share(high)})"


def _curves(found: Comparison) -> None:
    points = found.points
    if not points:
        return
    st.markdown("**Who learns how soon**")
    frame = pd.DataFrame(
        {
            "algorithm": point.label,
            "steps": point.step,
            "share of the ceiling": point.value,
            "lowest seed": point.low,
            "highest seed": point.high,
        }
        for point in points
    )
    chart = charts.bands(
        frame, "steps", "share of the ceiling", "algorithm", "lowest seed", "highest seed"
    )
    best = found.ranked[0].label
    charts.show(
        chart,
        frame,
        alt="Share of the ceiling on the scoring episodes by environment steps, the interquartile "
        f"mean of the seeds and their spread; judged at the end, {best} earns the most. A gap: a "
        "seed broke the limit there",
    )
