"""Copy that leaves the house: a deck and a catalog of texts that keep every hard rule."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import access, charts, errors, words
from ppo_marketing.access import Permission
from ppo_marketing.content.places import Place
from ppo_marketing.errors import PpoMarketingError
from ppo_marketing.jobs.content_exporting import CATALOG, DECK, Exported, export_copy

EXPORTED, FAILED = "content-exported", "content-export-failed"
COUNT, SEED = "content-export-count", "content-export-seed"
LABELS = {DECK: "Download the copy deck (CSV)", CATALOG: "Download the Braze catalog (CSV)"}


def draw(place: Place) -> None:
    """Choose how many, write, look, download."""
    st.write(
        "Texts are written for the prompts that the model was judged by. One that breaks a hard "
        "rule is drawn again; a prompt without any text left is named."
    )
    may = access.may_here(Permission.EXPORT)
    with st.form("content-export"):
        left, right = st.columns(2)
        left.number_input("Texts of each prompt", 1, 20, 1, key=COUNT)
        right.number_input(
            "Seed", 0, 2**31 - 1, 0, key=SEED, help="The same seed writes the same texts again."
        )
        # Done before the page is drawn anew: a button that is greyed by then would do nothing, and
        # nobody would be told why.
        st.form_submit_button(
            "Write the copy", type="primary", icon=":material/output:", disabled=not may,
            help=None if may else "Viewers look; analysts and approvers export.",
            on_click=_write, args=(place,),
        )  # fmt: skip
    failed = st.session_state.pop(FAILED, None)
    if failed is not None:
        st.warning(failed, icon=":material/block:")
    of, found = st.session_state.get(EXPORTED, (None, None))
    if found is not None and of == str(place.folder):
        _show(found)


def _write(place: Place) -> None:
    given = st.session_state
    given.pop(EXPORTED, None)
    with errors.kindly():
        try:
            found = export_copy(
                place.folder, access.desk(), per_prompt=int(given[COUNT]), seed=int(given[SEED]),
            )  # fmt: skip
            given[EXPORTED] = (str(place.folder), found)
        except PpoMarketingError as error:
            given[FAILED] = errors.in_words(error)


def _show(found: Exported) -> None:
    st.success(
        f"{words.number(len(found.rows))} texts keep every hard rule; "
        f"{words.number(found.blocked)} drafts were blocked.",
        icon=":material/task_alt:",
    )
    if found.without:
        st.warning(errors.as_text(f"Without a text: {', '.join(found.without)}"))
    columns = st.columns(2)
    for column, (name, content) in zip(columns, found.files.items(), strict=True):
        column.download_button(
            LABELS[name], content, file_name=name, mime="text/csv", width="stretch",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    charts.write(pd.DataFrame(found.rows).head(charts.MOST_PLAIN_ROWS).set_index("prompt"))
