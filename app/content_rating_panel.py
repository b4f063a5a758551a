"""Rating pairs: two texts, three keys."""

from __future__ import annotations

import streamlit as st

from app import access, content_project, errors, words
from ppo_marketing.access import Permission
from ppo_marketing.content.places import Found, Place
from ppo_marketing.content.stages.rating import Choice, Question
from ppo_marketing.errors import PpoMarketingError
from ppo_marketing.jobs.content_rating import questions, rate_at

SKIPPED, FAILED = "content-skipped", "content-rating-failed"
FIRST, SECOND, SKIP = "The first is better", "The second is better", "Skip"


def draw(found: Found) -> None:
    """One pair at a time, until none is left."""
    if not found.tasks:
        st.info(
            "There are no pairs to rate yet. Write some of a model's texts with "
            "`ppo-marketing content pairs --model FOLDER --prompts FILE -o "
            "data/content/NAME/pairs.jsonl`."
        )
        return
    task = content_project.chosen(found.tasks, "Pairs", "content-task")
    left, total = questions(task)
    skipped: set[tuple[str, int]] = st.session_state.setdefault(SKIPPED, set())
    asked = [question for question in left if (task.name, question.place) not in skipped]
    done = total - len(left)
    st.progress(done / total, f"{words.number(done)} of {words.number(total)} pairs are rated")
    failed = st.session_state.pop(FAILED, None)
    if failed is not None:
        st.warning(failed, icon=":material/block:")
    if not asked:
        _nothing_left(task, skipped, bool(left))
        return
    _ask(task, asked[0])


def _ask(task: Place, question: Question) -> None:
    may = access.may_here(Permission.START)
    st.markdown(f"**Which is the better text for** {errors.as_text(question.prompt)}")
    sides = zip(st.columns(2), (question.first, question.second), strict=True)
    for number, (column, text) in enumerate(sides, 1):
        with column, st.container(border=True, height="stretch"):
            st.caption(f"Text {number}")
            st.markdown(f"##### {errors.as_text(text)}")
    help = None if may else "Viewers look; analysts and approvers rate."
    first, second, skip = st.columns(3)
    choices: tuple[tuple[str, str, Choice], ...] = (
        (FIRST, "1", "first"),
        (SECOND, "2", "second"),
    )
    for column, (label, key, choice) in zip((first, second), choices, strict=True):
        column.button(
            label, key=f"content-rate-{choice}", shortcut=key, type="primary", width="stretch",
            disabled=not may, help=help, on_click=_rate, args=(task, question, choice),
        )  # fmt: skip
    skip.button(
        SKIP, key="content-skip", shortcut="S", width="stretch", on_click=_skip,
        args=(task, question),
    )  # fmt: skip
    st.caption(
        "Keys: 1, 2 and S. The order of the two is drawn, so that nobody knows which is which; "
        "what you choose is kept at once, under your name."
    )


def _rate(task: Place, question: Question, choice: Choice) -> None:
    with errors.kindly():
        try:
            rate_at(access.desk(), task, question, choice)
        except PpoMarketingError as error:
            st.session_state[FAILED] = errors.in_words(error)


def _skip(task: Place, question: Question) -> None:
    st.session_state[SKIPPED].add((task.name, question.place))


def _nothing_left(task: Place, skipped: set[tuple[str, int]], some: bool) -> None:
    if some:
        st.info("You skipped all that is left.")
        if st.button("Show them again"):
            skipped.difference_update({one for one in skipped if one[0] == task.name})
            st.rerun()
        return
    st.success(
        "Every pair is rated. Fit reward models to the ratings with `ppo-marketing content reward "
        f"--preferences data/content/{errors.as_text(task.name)}/ratings.jsonl`.",
        icon=":material/task_alt:",
    )
