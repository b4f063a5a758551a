"""Content: rate pairs, see if reward models are right and what alignment did, release, export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from app import (
    access,
    content_agreement_panel,
    content_curve_panel,
    content_export_panel,
    content_project,
    content_rating_panel,
    content_samples_panel,
    decide_panel,
    errors,
    history_panel,
    layout,
    project,
)
from ppo_marketing.access import Permission
from ppo_marketing.audit_trail import read_trail
from ppo_marketing.content.judged import Judgement
from ppo_marketing.content.places import Found, Place
from ppo_marketing.errors import PpoMarketingError
from ppo_marketing.jobs.content_rating import start_sample
from ppo_marketing.jobs.releasable import LANGUAGE_MODEL
from ppo_marketing.jobs.release_book import desk_of, trail_of
from ppo_marketing.release_state import GatesWord, release_state

RATE = ":material/thumbs_up_down: Rate"
AGREE = ":material/handshake: Agreement"
CURVE = ":material/trending_up: Over-optimisation"
SAMPLES = ":material/compare: Side by side"
DECIDE = ":material/how_to_vote: Decide"
EXPORT = ":material/output: Export"
RECORD = ":material/history: Record"

HELP = """\
ppo-marketing content sft    --model FOLDER --corpus FILE -o data/content/NAME/sft
ppo-marketing content pairs  --model data/content/NAME/sft/model --prompts FILE \\
                             -o data/content/NAME/pairs.jsonl"""


def page() -> None:
    """Draw the page."""
    found = content_project.found()
    if found.empty:
        _empty()
        return
    layout.headline("Content", _sentence(found))
    judged = found.judged
    layout.tabs(
        "content-tab",
        {
            RATE: lambda: content_rating_panel.draw(found),
            AGREE: lambda: content_agreement_panel.draw(found),
            CURVE: lambda: content_curve_panel.draw(found),
            SAMPLES: lambda: _with_judged(judged, lambda _, one: content_samples_panel.draw(one)),
            DECIDE: lambda: _with_judged(judged, _decide),
            EXPORT: lambda: _with_judged(judged, lambda place, _: content_export_panel.draw(place)),
            RECORD: lambda: history_panel.draw(LANGUAGE_MODEL, read_trail(_trail())),
        },
    )


def _sentence(found: Found) -> str:
    """Where content stands, in a sentence of the engine's."""
    if not found.judged:
        return "No model was judged yet: rate pairs, fit reward models, align, then judge."
    try:
        return content_project.judgement(found.judged[0]).verdict.sentence
    except PpoMarketingError:  # told in full where the model itself is shown
        return "The model that was judged last cannot be believed any more: judge it again."


def _empty() -> None:
    layout.headline(
        "Content", "There is no content yet: nothing to rate, nothing aligned, nothing to release."
    )
    sample, own = st.columns(2)
    with sample, st.container(border=True, height="stretch"):
        st.subheader("Try it on a made-up brand", anchor=False)
        st.write(
            "Writes a corpus, prompts, rated pairs, pairs for you to rate, rules and a tiny model "
            "of random weights."
        )
        may = access.may_here(Permission.START)
        pressed = st.button(
            "Write the made-up brand", type="primary", icon=":material/play_arrow:",
            disabled=not may,
        )  # fmt: skip
        if pressed:
            with errors.kindly(), st.spinner("Writing …"):
                start_sample(access.desk())
                st.rerun()
    with own, st.container(border=True, height="stretch"):
        st.subheader("Bring your own copy", anchor=False)
        st.write("Fit a model to your copy, then let it write pairs for people to choose between:")
        st.code(HELP, language="bash")


def _with_judged(places: tuple[Place, ...], draw: Callable[[Place, Judgement], None]) -> None:
    """What needs a judged model, of the one that is chosen."""
    if not places:
        st.info(
            "No model was judged yet. Judge one with `ppo-marketing content gate --reference "
            "FOLDER --model FOLDER --prompts FILE --rules reward.yaml -o data/content/NAME/judged`."
        )
        return
    place = content_project.chosen(places, "Judged model", "content-judged")
    draw(place, content_project.judgement(place))


def _decide(place: Place, judgement: Judgement) -> None:
    now = desk_of(project.folder()).now
    verdict = judgement.verdict
    state = release_state(
        read_trail(_trail()), LANGUAGE_MODEL, judgement.bundle_sha256,
        GatesWord(verdict.passed, verdict.sentence, "model"), judgement.release, now,
    )  # fmt: skip
    st.markdown(errors.as_text(state.text))
    decide_panel.cards(state, now)
    with st.expander("What the gate asked", expanded=not verdict.passed):
        for test in verdict.tests:
            icon = ":material/check_circle:" if test.passed else ":material/cancel:"
            st.markdown(f"{icon} **{errors.as_text(test.name)}**: {errors.as_text(test.said)}")
    decide_panel.draw(place.folder, state)


def _trail() -> Path:
    return trail_of(project.folder())


page()
