"""What-if: scenarios side by side, how sure, where the next money goes, and what to pass on."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import (
    asked,
    charts,
    errors,
    layout,
    money_panel,
    scenario_panel,
    share_panel,
    what_if_pictures,
    words,
)
from envs.core.decision import Decision
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.report_what_if import headline, moved, notes
from ppo_marketing.what_if.answers import Answer
from ppo_marketing.what_if.scenarios import Named
from ppo_marketing.what_if.stage import EPISODES

COMPARE, COURSE, MONEY, SHARE = "Compare", "Course", "Money", "Share"
VIEWS = {
    COMPARE: ":material/balance:",
    COURSE: ":material/show_chart:",
    MONEY: ":material/savings:",
    SHARE: ":material/ios_share:",
}
MORE_EPISODES = 500
EPISODES_PARAMETER = "episodes"


def page() -> None:
    """Draw the page."""
    choice, run = layout.require("judged", "What if?")
    place = st.empty()
    scenarios = scenario_panel.chosen(choice.decision)
    episodes, beside = _depth(run)
    answers = asked.answers(run, scenarios, episodes, beside)
    currency = answers[0].value.unit
    with place.container():
        layout.headline(
            "What if?",
            headline(choice.decision, answers, lambda amount: words.money(amount, currency)),
        )
    _warn(answers)
    views = tuple(one for one in VIEWS if one != MONEY or choice.decision.spend_knob)
    view = st.segmented_control(
        "View",
        views,
        default=COMPARE,
        required=True,
        key="what_if_view",
        format_func=lambda one: f"{VIEWS[one]} {one}",
        label_visibility="collapsed",
    )
    if view == COMPARE:
        _compare(choice.decision, answers)
    elif view == COURSE:
        _course(choice.decision, run, scenarios, episodes, currency)
    elif view == MONEY:
        money_panel.draw(choice.decision, run, scenarios, episodes, currency)
    else:
        share_panel.draw(choice.decision, run, scenarios, answers)


def _depth(run: KeptRun) -> tuple[int, bool]:
    usual, key = asked.usual_episodes(run), "what_if_episodes"
    options = sorted({usual, EPISODES, MORE_EPISODES})
    if st.session_state.get(key) not in options:
        wanted = st.query_params.get(EPISODES_PARAMETER, "")
        st.session_state[key] = int(wanted) if wanted in map(str, options) else usual
    with st.popover("How it is asked", icon=":material/settings:"):
        episodes = st.selectbox(
            "Simulated episodes",
            options,
            key=key,
            help="All scenarios share them, so that differences are theirs alone. "
            f"{usual} are what the run's evidence rests on, or as many as answer at once.",
        )
        beside = st.toggle(
            "Beside every tuned rule",
            key="what_if_beside",
            help="Would a rule do better there? The rules are tuned on history first.",
        )
    st.query_params[EPISODES_PARAMETER] = str(episodes)
    return int(episodes), bool(beside)


def _warn(answers: Sequence[Answer]) -> None:
    for note in notes(answers):
        st.caption(errors.as_text(note))
    for answer in answers:
        if answer.surroundings.warning:
            st.warning(
                f"**{errors.as_text(answer.scenario.name)}** · "
                f"{errors.as_text(answer.surroundings.warning)}",
                icon=":material/explore_off:",
            )


def _compare(card: Decision, answers: Sequence[Answer]) -> None:
    kpi, currency = words.value_kpi(card), answers[0].value.unit
    st.subheader(f"{kpi.label} a {card.episode}", help=kpi.definition, anchor=False)
    for start in range(0, len(answers), 4):
        layout.cards([_card(card, answer, currency) for answer in answers[start : start + 4]])
    changed = [answer for answer in answers if answer.change is not None]
    if changed:
        frame = what_if_pictures.change_frame(changed)
        unit = f"more or less than {answers[0].scenario.name} a {card.episode}, "
        charts.show(
            charts.intervals(frame, "scenario", unit + words.short(currency)),
            frame.drop(columns="kind"),
            alt=f"What each scenario changes against {answers[0].scenario.name}, with 95 % "
            "intervals; both play the same episodes",
        )
    if answers[0].beside:
        _beside(answers, currency)
    st.subheader("Every number", anchor=False)
    st.caption(
        f"Means of {words.number(answers[0].episodes)} simulated {card.episode}s, the same for "
        "every scenario, of the part of the log that nothing was trained on."
    )
    charts.write(what_if_pictures.kpi_table(card, answers, currency))
    with st.expander("What these numbers are"):
        for one in card.kpis:
            st.markdown(f"**{one.label}**: {errors.as_text(one.definition)}")
        for ratio in card.ratios:
            st.markdown(f"**{ratio.label}**: {errors.as_text(ratio.definition)}")


def _card(card: Decision, answer: Answer, currency: str) -> layout.Card:
    delta = None
    if answer.change is not None and answer.probability_of_gain is not None:
        delta = words.money(answer.change.value, currency, signed=True)
    return layout.Card(
        label=answer.scenario.name,
        value=words.money(answer.value.value, currency),
        interval=words.interval(answer.value, "currency", currency),
        help=errors.as_text(moved(card, answer.scenario)),
        delta=delta,
    )


def _beside(answers: Sequence[Answer], currency: str) -> None:
    st.subheader("Would a rule do better there?", anchor=False)
    charts.write(what_if_pictures.beside_table(answers, currency))


def _course(
    card: Decision, run: KeptRun, scenarios: Sequence[Named], episodes: int, currency: str
) -> None:
    names = [kpi.name for kpi in card.kpis]
    labels = {kpi.name: kpi.label for kpi in card.kpis}
    name = st.selectbox(
        "What is followed",
        names,
        index=names.index(card.value_kpi),
        format_func=lambda one: labels[one],
        key="what_if_kpi",
    )
    fans = [asked.course(run, scenario, name, episodes) for scenario in scenarios]
    frame = what_if_pictures.fan_frame(fans)
    kpi, first = words.kpi_named(card, name), fans[0]
    unit = words.short(currency) if kpi.unit == "currency" else kpi.unit
    charts.show(
        what_if_pictures.fan_chart(frame, f"{first.along}s", f"{kpi.label} so far, {unit}"),
        frame,
        alt=f"{kpi.label} so far: the middle, half and 90 % of {first.draws} draws of each of the "
        f"{first.members} members of the simulator",
    )
    st.caption(
        "The members were each fitted to another resampling of the earlier part of the log: where "
        "they disagree, the log does not say. Their level may differ from the numbers above, which "
        "come from the later part."
    )
    ends = frame[frame["x"] == frame["x"].max()].drop(columns="x")
    charts.write(
        pd.DataFrame(
            {
                "scenario": row["scenario"],
                "middle": words.amount(row["median"], kpi.unit, currency),
                "90 % lie between": f"{words.number(row['5 %'])} and {words.number(row['95 %'])}",
            }
            for _, row in ends.iterrows()
        ).set_index("scenario")
    )


page()
