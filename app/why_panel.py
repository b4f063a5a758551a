"""Why: how much each variable moves the policy, and a few rules that imitate it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import charts, explore_pictures, words
from ppo_marketing.explore.explorer import Explorer
from ppo_marketing.explore.importance import Importance
from ppo_marketing.explore.surrogate import Surrogate, surrogate_tree


def draw(explorer: Explorer, moving: tuple[Importance, ...]) -> None:
    """What moves the policy, and the policy as rules."""
    told = explorer.words
    st.subheader(
        "What moves it",
        anchor=False,
        help="Each variable is shuffled among the states, five times: what changes is what the "
        "policy makes of it. Twice the standard error is drawn.",
    )
    unit = (
        "share of probability that moves"
        if explorer.answers.chooses
        else f"change of {told.action.label.lower()}, {told.action.unit}"
    )
    frame = explore_pictures.importance_frame(moving)
    if frame.empty:
        st.info("Nothing moves it: the policy does the same whatever it sees.")
    else:
        idle = [one.variable.label for one in moving if one.change == 0]
        alt = f"Importance of each variable: {frame['variable'][0]} most"
        if idle:
            alt += f"; not at all: {', '.join(idle)}"
        charts.show(explore_pictures.importance_chart(frame, unit), frame, alt=alt)
    st.subheader(
        "The policy as a few rules",
        anchor=False,
        help="A decision tree made to imitate the policy on half of the episodes and scored on the "
        "other half. It explains the policy only as far as it agrees with it.",
    )
    _rules(explorer)


def _rules(explorer: Explorer) -> None:
    depth = st.slider("Questions in a row, at most", 1, 5, 3, key="explore_depth")
    states = explorer.states
    tree = surrogate_tree(
        explorer.answers, explorer.words, states.observation, states.episode, depth=depth
    )
    st.markdown(_fidelity(tree, explorer.answers.chooses))
    last = "the policy does so in" if explorer.answers.chooses else "spread"
    write = words.share if explorer.answers.chooses else words.number
    charts.write(
        pd.DataFrame(
            {
                "where": " and ".join(leaf.conditions) or "always",
                explorer.words.action.label.lower(): leaf.action,
                "of all decisions": words.share(leaf.share, 0),
                last: write(leaf.agreement),
            }
            for leaf in tree.leaves
        ).set_index("where")
    )


def _fidelity(tree: Surrogate, chooses: bool) -> str:
    held = words.number(tree.held_out)
    if chooses:
        return (
            f"In **{words.share(tree.fidelity)}** of {held} decisions held out, these rules and "
            f"the policy agree; always taking the commonest action would in "
            f"{words.share(tree.baseline)}."
        )
    return (
        f"These rules explain **{words.share(max(tree.fidelity, 0.0))}** of how the policy's "
        f"amounts vary, in {held} decisions held out (R²)."
    )
