"""The app's entry: what Streamlit runs for every session, on every change."""

from __future__ import annotations

import streamlit as st

from app import access, errors, layout, session

# (file in pages_, title, icon), in the order that an analyst thinks.
PAGES = {
    "Today": (("overview", "Overview", "dashboard"),),
    "Learn": (
        ("data", "Data", "table_view"),
        ("simulator", "Simulator", "science"),
        ("train", "Train", "model_training"),
    ),
    "Understand": (
        ("explore", "Policy explorer", "travel_explore"),
        ("what_if", "What-if", "tune"),
    ),
    "Decide": (
        ("evidence", "Evidence", "gavel"),
        ("guardrails", "Guardrails and fairness", "shield"),
        ("release", "Release", "rocket_launch"),
    ),
    "Write": (("content", "Content", "edit_note"),),
}


def main() -> None:
    """Settle what is looked at, then draw the page."""
    st.set_page_config(page_icon=str(layout.ICON), layout="wide")
    access.enter()
    page = st.navigation(
        {
            section: [
                st.Page(f"pages_/{name}.py", title=title, icon=f":material/{icon}:", url_path=name)
                for name, title, icon in pages
            ]
            for section, pages in PAGES.items()
            if pages
        }
    )
    with errors.kindly():
        session.choose()
        page.run()


main()
