"""The record of all releases: read, verified, downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import streamlit as st

from app import access, errors, words
from ppo_marketing.audit_trail import Line, encoded, head
from ppo_marketing.jobs.released import verify


def draw(decision: str, lines: Sequence[Line]) -> None:
    """The lines of this decision, the newest first, and whether the record can be believed."""
    own = [line for line in reversed(lines) if line.decision in (decision, "")]
    if not own:
        st.info("Nothing was recorded yet: the first approval or release will be line 1.")
        return
    st.dataframe(
        pd.DataFrame(
            {
                "line": line.sequence,
                "when": words.time(datetime.fromisoformat(line.time)),
                "what": str(line.action),
                "version": _versions(line),
                "by": line.approver,
                "gate": line.verdict or "–",
                "why": line.reason,
                "account": line.actor,
            }
            for line in own
        ),
        width="stretch",
        hide_index=True,
    )
    with st.form("record-verify"):
        kept = st.text_input(
            "A head that you kept elsewhere", placeholder="optional",
            help="Whoever cuts the record's end off leaves a sound, shorter one: only a head that "
            "is kept elsewhere shows that.",
        )  # fmt: skip
        pressed = st.form_submit_button("Verify the record", icon=":material/verified:")
    if pressed:
        with st.spinner("Holding every line against the one before it, and the registry …"):
            found = verify(access.desk(), kept.strip() or None)
        st.success(
            f"All {words.number(len(found.lines))} lines are what was written, held against "
            f"{words.number(found.anchors)} heads kept elsewhere.",
            icon=":material/verified:",
        )
    st.caption("The head of the record now; keep it somewhere else (a ticket, a mail):")
    st.code(head(lines), language=None)
    st.download_button(
        "Download the record", b"".join(encoded(line) for line in lines),
        file_name="audit.jsonl", mime="application/x-ndjson", icon=":material/download:",
        on_click="ignore",
    )  # fmt: skip


def _versions(line: Line) -> str:
    if line.to_version is None:
        return "–"
    before = "" if line.from_version is None else f"{line.from_version} → "
    return errors.as_text(f"{before}{line.to_version}")
