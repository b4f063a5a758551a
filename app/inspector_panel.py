"""One decision looked at: picked or entered, with its odds, its likes, and what would change it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import charts, errors, explore_pictures, layout, words
from envs.core.words import StateVariable
from envs.core.world import Array
from ppo_marketing.explore.answers import spoken
from ppo_marketing.explore.explorer import Explorer
from ppo_marketing.explore.flip import Flip, smallest_flips
from ppo_marketing.explore.guarded import Held
from ppo_marketing.explore.inspector import Inspection, in_words, inspect, value_in_words

SHOWN_OPTIONS = 8


def draw(explorer: Explorer, held: Held | None = None) -> None:
    """Pick a state, change what is to be changed, and see; `held`: under which limits."""
    states = explorer.states
    number = st.number_input(
        "State that the policy met",
        min_value=1,
        max_value=states.size,
        value=states.size // 2 + 1,
        step=1,
        key="inspect_state",
        help=f"1 to {states.size:,}: decisions of simulated episodes, in the order of steps.",
    )
    row = int(number) - 1
    mask = None if states.mask is None else states.mask[row]
    observation = _entered(explorer, states.observation[row], row)
    found = inspect(explorer.decide, explorer.words, observation, mask, explorer.cases)
    if held is not None:
        _held_by(held.why_here(observation, mask))
    _answer(explorer, observation, found)
    _flips(explorer, observation, mask)
    _neighbours(explorer, observation, found)


def _entered(explorer: Explorer, met: Array, row: int) -> Array:
    """The state as it was met, with what the analyst changed."""
    with st.expander("Change the state", icon=":material/edit:"), st.form(f"inspect_form_{row}"):
        observation = met
        columns = st.columns(3)
        for place, variable in enumerate(explorer.words.variables):
            value = float(variable.shown(met[None])[0])
            with columns[place % 3]:
                chosen = _asked(variable, value, f"inspect_{row}_{variable.name}")
            if chosen != value:
                observation = variable.put(observation[None], np.array([chosen]))[0]
        st.form_submit_button("Ask the policy", type="primary")
    return observation


def _asked(variable: StateVariable, value: float, key: str) -> float:
    if variable.levels:
        chosen = st.selectbox(
            errors.as_text(variable.label),
            range(len(variable.levels)),
            index=int(value),
            format_func=lambda level: variable.levels[level],
            help=variable.help,
            key=key,
        )
        return float(chosen)
    return st.number_input(
        errors.as_text(explore_pictures.axis_title(variable)),
        value=value,
        min_value=1e-3 if variable.logarithmic else None,
        format="%.4g",
        help=variable.help,
        key=key,
    )


def _held_by(reasons: tuple[str, ...]) -> None:
    """Why the limits step in here, if they do."""
    if reasons:
        listed = "; ".join(errors.as_text(one) for one in reasons)
        st.info(f"The limits step in here: {listed}.", icon=":material/shield:")


def _answer(explorer: Explorer, observation: Array, found: Inspection) -> None:
    told = explorer.words
    cards = [layout.Card(told.action.label, found.action, help=told.action.help)]
    if found.options:
        cards.append(
            layout.Card("Probability", words.share(found.options[0].probability),
                        help="How sure the policy is; the likeliest action is what it ships.")
        )  # fmt: skip
    elif found.low is not None and found.high is not None:
        cards.append(
            layout.Card("Explored around it",
                        f"{words.number(found.low)} to {words.number(found.high)}",
                        help="Where 95 % of its trials lay in training; it ships the middle.")
        )  # fmt: skip
    cards.append(
        layout.Card("Outlook", f"above {words.share(explorer.outlook(observation), 0)}",
                    help="The critic's estimate of what is still to be gained from here, ranked "
                    "among the states that the policy meets.")
    )  # fmt: skip
    layout.cards(cards)
    if found.outside:
        labels = ", ".join(one.label for one in found.outside)
        st.warning(
            f"The log has never seen this: {errors.as_text(labels)}. What the policy does here is "
            "extrapolated.",
            icon=":material/explore_off:",
        )
    if not found.options:
        return
    shown = found.options[:SHOWN_OPTIONS]
    table = pd.DataFrame(
        {
            "choice": one.choice,
            "probability": words.share(one.probability),
            "allowed": one.why_not or "yes",
        }
        for one in found.options
    ).set_index("choice")
    charts.show(
        explore_pictures.options_chart(shown),
        table,
        alt=f"Probability of the {len(shown)} likeliest choices: {shown[0].choice} first",
    )
    refused = [one for one in found.options if not one.allowed]
    if refused:
        st.markdown("**Not allowed here**")
        for one in refused[:SHOWN_OPTIONS]:
            st.caption(f"{errors.as_text(one.choice)}: {errors.as_text(one.why_not)}")


def _flips(explorer: Explorer, observation: Array, mask: Array | None) -> None:
    st.subheader(
        "The smallest change that would change its mind",
        anchor=False,
        help="One variable at a time, within what the log has seen; two at a time where one does "
        "not do it. An amount has changed where it moved by a tenth.",
    )
    found = smallest_flips(
        explorer.decide, explorer.words, observation, mask, seen=explorer.cases.observation
    )
    if not found:
        st.info("Nothing that the log has seen, in one or two variables, would change it.")
        return
    charts.write(pd.DataFrame(_flip_row(explorer, flip) for flip in found[:5]).set_index("if"))


def _flip_row(explorer: Explorer, flip: Flip) -> dict[str, str]:
    changes = [
        f"{one.variable.label} were {value_in_words(one.variable, one.to)} instead of "
        f"{value_in_words(one.variable, one.origin)}"
        for one in flip.changes
    ]
    return {
        "if": " and ".join(changes),
        "it would do": spoken(flip.after, explorer.words),
        "instead of": spoken(flip.before, explorer.words),
        "deviations": words.number(flip.size, 2),
    }


def _neighbours(explorer: Explorer, observation: Array, found: Inspection) -> None:
    st.subheader(
        "Cases like this one",
        anchor=False,
        help=f"The nearest of {explorer.cases.size:,} cases: {explorer.cases.source}. Distance "
        "counts deviations over all variables.",
    )
    columns = {"this state": in_words(explorer.words, observation)}
    columns |= {
        f"case {i + 1}, {words.number(one.distance, 2)} away": one.shown
        for i, one in enumerate(found.neighbours)
    }
    frame = pd.DataFrame(columns, index=[one.label for one in explorer.words.variables])
    done = {"this state": found.action}
    done |= {name: one.done for name, one in zip(list(columns)[1:], found.neighbours, strict=True)}
    frame = pd.concat([pd.DataFrame([done], index=["what was done"]), frame])
    st.dataframe(frame, width="stretch")
