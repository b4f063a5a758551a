"""One budget shared out: over the scenarios that are compared, or over several runs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import asked, charts, errors, project, session, words
from envs.core.decision import Decision
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.what_if.allocation import Allocation, allocate
from ppo_marketing.what_if.campaigns import Terms, doubts, refuse_mixed
from ppo_marketing.what_if.curve import Curve
from ppo_marketing.what_if.scenarios import Named

SCENARIOS, RUNS = "these scenarios", "several runs"
PARAMETER = "campaign"
LEAST, MOST, SIZE = "at least, x now", "at most, x now", "episodes"


def draw(
    card: Decision,
    run: KeptRun,
    scenarios: Sequence[Named],
    curves: Sequence[Curve],
    episodes: int,
    currency: str,
) -> None:
    """Choose what shares the budget and on what terms; share it out."""
    st.subheader(
        "One budget for all of them",
        anchor=False,
        help="Campaigns that share a budget: lock one, or say how far its spend may fall and rise "
        "against now. Found exactly, by always taking the steepest piece of any curve next.",
    )
    if PARAMETER in st.query_params:
        st.session_state.setdefault("what_if_campaigns", RUNS)
    what = st.segmented_control(
        "Campaigns are", (SCENARIOS, RUNS), default=SCENARIOS, required=True,
        key="what_if_campaigns",
    )  # fmt: skip
    if what == SCENARIOS:
        st.query_params.pop(PARAMETER, None)
        _form(card, curves, currency, "scenarios")
        return
    with errors.kindly():
        _form(card, _curves_of_runs(card, run, scenarios, episodes), currency, "runs")


def _curves_of_runs(
    card: Decision, run: KeptRun, scenarios: Sequence[Named], episodes: int
) -> tuple[Curve, ...]:
    judged = {one.name: one for one in project.runs(card.name) if session.reached(one, "judged")}
    key = f"what_if_runs_{card.name}"
    wanted = st.session_state.get(key) or st.query_params.get_all(PARAMETER) or tuple(judged)[:2]
    st.session_state[key] = [one for one in wanted if one in judged] or [run.name]
    left, right = st.columns(2)
    names = left.multiselect(
        "Runs", tuple(judged), key=key, max_selections=8,
        help="Each is one campaign: its log, its simulator and its policy.",
    )  # fmt: skip
    text = right.selectbox(
        "In the scenario",
        [one.name for one in scenarios],
        key="what_if_runs_scenario",
        help="The same for every campaign.",
    )
    if len(names) < 2:
        raise UserError("choose two runs or more: each is a campaign that shares the budget")
    st.query_params[PARAMETER] = names
    scenario = next(one for one in scenarios if one.name == text)
    found = [asked.campaign(judged[name], scenario, episodes) for name in names]
    refuse_mixed([origin for origin, _ in found])
    for line in doubts([origin for origin, _ in found]):
        st.warning(errors.as_text(line), icon=":material/difference:")
    return tuple(curve for _, curve in found)


def _form(card: Decision, curves: Sequence[Curve], currency: str, scope: str) -> None:
    now = sum(curve.now for curve in curves)
    key = f"{scope}_{'_'.join(curve.name for curve in curves)}"
    with st.form(f"what_if_share_{key}", border=True):
        total = st.number_input(
            f"Total, {words.short(currency)}; now {words.money(now, currency)}",
            min_value=0.01,
            value=round(now, 2) or 0.01,
            format="%.2f",
            help=f"Of one {card.episode} a campaign, or of as many as the table says.",
        )
        table = pd.DataFrame(
            {
                "campaign": [curve.name for curve in curves],
                "now": [round(curve.now, 4) for curve in curves],
                "locked": [False] * len(curves),
                LEAST: [0.5] * len(curves),
                MOST: [2.0] * len(curves),
                SIZE: [1.0] * len(curves),
            }
        )
        terms = st.data_editor(
            table,
            hide_index=True,
            disabled=("campaign", "now"),
            column_config={
                **{
                    name: st.column_config.NumberColumn(min_value=0.0, max_value=10.0, step=0.1)
                    for name in (LEAST, MOST)
                },
                SIZE: st.column_config.NumberColumn(
                    f"{card.episode}s", min_value=0.001,
                    help=f"How many {card.episode}s each has in the time that the total is for.",
                ),
            },
            key=f"what_if_limits_{key}",
            alt="Campaigns with their spend now, whether it is locked, how far it may change, and "
            "how many episodes each has",
        )  # fmt: skip
        if not st.form_submit_button("Share it out", type="primary"):
            return
    worth = 0.0 if card.value_after_spend else 1.0
    with errors.kindly():
        campaigns = [
            Terms(
                locked=bool(row["locked"]), least=float(row[LEAST]), most=float(row[MOST]),
                size=float(row[SIZE]),
            ).campaign(curve)
            for curve, (_, row) in zip(curves, terms.iterrows(), strict=True)
        ]  # fmt: skip
        _shares(allocate(campaigns, total, worth=worth), currency)


def _shares(found: Allocation, currency: str) -> None:
    st.markdown(
        f"Shared so, they would earn **{words.money(found.value, currency)}**: "
        f"**{words.money(found.gain, currency, signed=True)}** against now."
    )
    charts.write(
        pd.DataFrame(
            {
                "campaign": one.name,
                "now": words.money(one.now, currency),
                "then": words.money(one.spend, currency),
                "value now": words.money(one.value_now, currency),
                "value then": words.money(one.value, currency),
                "of the next unit": words.number(one.next_value),
            }
            for one in found.shares
        ).set_index("campaign")
    )
    if found.left > 0:
        st.caption(f"{words.money(found.left, currency)} stay unspent within these limits.")
