"""Policy explorer: what the policy does where, when and why, and beside whom."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import (
    asked,
    charts,
    errors,
    explore_pictures,
    held_panel,
    inspector_panel,
    layout,
    why_panel,
    words,
)
from envs.core.decision import Decision
from ppo_marketing.explore.answers import spoken
from ppo_marketing.explore.beside import side_by_side, widest_gaps
from ppo_marketing.explore.explorer import Explorer
from ppo_marketing.explore.heat_map import heat_map
from ppo_marketing.explore.importance import Importance, permutation_importance
from ppo_marketing.explore.mix import Mix, mix_by_segment, mix_over_time
from ppo_marketing.jobs.kept_runs import KeptRun

MAP, MIX, ONE, WHY, BESIDE = "Map", "Mix", "One decision", "Why", "Side by side"
VIEWS = {
    MAP: ":material/grid_on:",
    MIX: ":material/stacked_bar_chart:",
    ONE: ":material/search:",
    WHY: ":material/account_tree:",
    BESIDE: ":material/compare_arrows:",
}
AVERAGED = "averaged over the states that it meets"


def page() -> None:
    """Draw the page."""
    choice, run = layout.require("judged", "Policy explorer")
    explorer = asked.explorer(run)
    moving = _importance(explorer)
    layout.headline("Policy explorer", _sentence(explorer, moving))
    st.caption(
        f"{explorer.words.action.label}: {explorer.words.action.help}. Asked in "
        f"{words.number(explorer.states.size)} decisions that the policy met itself, in "
        f"{choice.decision.episode}s simulated from the part of the log it has not seen."
    )
    found = held_panel.choose(run)
    if found is not None:
        held_panel.draw(explorer, found)
        explorer = found.explorer
    view = st.segmented_control(
        "View",
        tuple(VIEWS),
        default=MAP,
        required=True,
        key="explore_view",
        format_func=lambda one: f"{VIEWS[one]} {one}",
        label_visibility="collapsed",
    )
    if view == MAP:
        _map(explorer, moving)
    elif view == MIX:
        _mix(choice.decision, explorer, moving)
    elif view == ONE:
        inspector_panel.draw(explorer, found)
    elif view == WHY:
        why_panel.draw(explorer, moving if found is None else _importance(explorer))
    else:
        _beside(choice.decision, run, explorer)


def _sentence(explorer: Explorer, moving: tuple[Importance, ...]) -> str:
    answers, told = explorer.answers, explorer.words
    if answers.chooses:
        most, share = answers.usual
        does = f"Most often this policy chooses “{spoken(most, told)}”: {words.share(share, 0)}"
        does += " of its decisions"
    else:
        low, high = answers.middle
        does = (
            f"{told.action.label}: between {words.number(low)} and {words.number(high)} "
            f"{told.action.unit}".rstrip()
            + " in 8 of 10 decisions"
        )
    if not moving or moving[0].change == 0:
        return f"{does}, whatever it sees."
    return f"{does}; what moves it most is {moving[0].variable.label.lower()}."


def _importance(explorer: Explorer) -> tuple[Importance, ...]:
    return permutation_importance(
        explorer.decide,
        explorer.words,
        explorer.states.observation,
        explorer.states.mask,
        np.random.default_rng(0),
    )


def _map(explorer: Explorer, moving: tuple[Importance, ...]) -> None:
    told, states = explorer.words, explorer.states
    labels = {one.name: one.label for one in told.variables}
    names = tuple(labels)
    first, second = (one.variable.name for one in moving[:2])
    with st.form("explore_map", border=True):
        left, middle, right = st.columns(3)
        x = left.selectbox(
            "Across",
            names,
            index=names.index(first),
            format_func=labels.__getitem__,
            key="explore_x",
        )
        y = middle.selectbox(
            "Up", names, index=names.index(second), format_func=labels.__getitem__, key="explore_y"
        )
        held = right.selectbox(
            "Everything else",
            (AVERAGED, *range(20)),
            key="explore_held",
            format_func=lambda one: one if one == AVERAGED else f"as in state {one + 1}",
            help="Either averaged over the states that the policy meets, or held as in one of "
            "them. “One decision” shows what each state looks like.",
        )
        st.form_submit_button("Draw", type="primary")
    found = heat_map(
        explorer.decide, told, states.observation, states.mask, x, y,
        seen=explorer.cases.observation, row=None if held == AVERAGED else int(held),
    )  # fmt: skip
    frame = explore_pictures.heat_frame(found, told)
    empty = float((found.met == 0).mean())
    charts.show(
        explore_pictures.heat_chart(found, told, frame),
        frame.rename(columns={"x": labels[x], "y": labels[y]}),
        alt=f"{told.action.label} by {labels[x].lower()} and {labels[y].lower()}. Pale cells "
        f"({words.share(empty, 0)}) rest on no case: {explorer.cases.source}",
    )
    for name in (x, y):
        st.caption(
            f"**{errors.as_text(labels[name])}**: {errors.as_text(told.variable(name).help)}"
        )


def _mix(card: Decision, explorer: Explorer, moving: tuple[Importance, ...]) -> None:
    answers, states, told = explorer.answers, explorer.states, explorer.words
    if explorer.world.horizon > 1:
        st.subheader(f"By {card.step} of the {card.episode}", anchor=False)
        mix = mix_over_time(answers, states.step, explorer.world.horizon)
        _show_mix(mix, explorer, f"{card.step} of the {card.episode}")
    st.subheader("By segment", anchor=False)
    labels = {one.variable.name: one.variable.label for one in moving}
    name = st.selectbox(
        "Segments of", tuple(labels), format_func=labels.__getitem__, key="explore_by"
    )
    mix = mix_by_segment(answers, told.variable(name), states.observation)
    _show_mix(mix, explorer, explore_pictures.axis_title(told.variable(name)))


def _show_mix(mix: Mix, explorer: Explorer, title: str) -> None:
    frame = explore_pictures.mix_frame(mix, explorer.words)
    what = (
        "the middle, half and 80 % of its amounts"
        if mix.share is None
        else "how often each is done"
    )
    charts.show(
        explore_pictures.mix_chart(mix, explorer.words, frame, title),
        frame,
        alt=f"{explorer.words.action.label} by {title}: {what}",
    )


def _beside(card: Decision, run: KeptRun, explorer: Explorer) -> None:
    other = st.selectbox("Compare with", asked.others(run), key="explore_other")
    theirs, notes = asked.answers_of(run, other)
    found = side_by_side(explorer.answers, theirs, explorer.words)
    for note in notes:
        st.caption(errors.as_text(note))
    cards = [
        layout.Card("Same decision", words.share(found.agreement), help="Of all the states met."),
        layout.Card("Other decision", words.share(1 - found.agreement)),
    ]
    if found.ratio is not None:
        cards.append(
            layout.Card("Typical ratio", f"{words.number(found.ratio)} x",
                        help=f"The median of the policy's amount / that of {other}.")
        )  # fmt: skip
    layout.cards(cards)
    st.subheader("What goes where", anchor=False)
    charts.write(
        pd.DataFrame(
            {
                f"{other} does": flow.origin,
                "the policy does": flow.target,
                "share of decisions": words.share(flow.share),
            }
            for flow in found.flows[:12]
        ).set_index(f"{other} does")
    )
    if explorer.world.horizon > 1:
        steps, horizon = explorer.states.step, explorer.world.horizon
        gaps = widest_gaps(
            mix_over_time(explorer.answers, steps, horizon), mix_over_time(theirs, steps, horizon)
        )
        st.caption(f"They lie furthest apart in {card.step} {gaps[0][0]} of the {card.episode}.")


page()
