"""The model card: what the policy is, what it rests on, where it must not be trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from app import errors, findings, words
from ppo_marketing.export.model_card import as_markdown
from ppo_marketing.jobs.kept_runs import KeptRun


def draw(run: KeptRun) -> None:
    """The card, section by section, and its downloads."""
    card = findings.card_of_run(run)
    decision, data = card["decision"], card["data"]
    st.markdown(f"**{errors.as_text(decision['question'])}**")
    st.caption(
        errors.as_text(
            f"Policy {card['policy_sha256'][:12]}, from {words.number(data['rows'])} rows of "
            f"{data['source']} (SHA-256 {str(data['sha256'])[:12]})"
        )
    )
    _fidelity(card["fidelity"])
    st.markdown("**The gate**")
    _table([{n: one[n] for n in ("test", "outcome", "found", "allowed")}
            for one in card["verdict"]["findings"]])  # fmt: skip
    _limits(card["limits"], decision.get("not_modelled", ""))
    left, right, _ = st.columns((1, 1, 2))
    left.download_button(
        "As a page", as_markdown(card).encode(), file_name=f"{run.name}-model-card.md",
        mime="text/markdown", icon=":material/download:", on_click="ignore", width="stretch",
    )  # fmt: skip
    right.download_button(
        "As data", json.dumps(card, indent=1, default=str).encode(),
        file_name=f"{run.name}-model-card.json", mime="application/json",
        icon=":material/data_object:", on_click="ignore", width="stretch",
    )  # fmt: skip


def _fidelity(fidelity: Mapping[str, Any]) -> None:
    st.markdown("**The simulator**")
    if fidelity["passed"]:
        st.success("It reproduces the held-out part of the log.", icon=":material/check_circle:")
    else:
        st.warning("It does not reproduce the held-out part of the log.", icon=":material/warning:")
        if fidelity["accepted_because"]:
            st.write(f"Accepted all the same: {errors.as_text(fidelity['accepted_because'])}")
    _table(
        [
            {
                "check": one["name"],
                "value": words.number(one["value"]),
                "allowed": f"{words.number(one['low'])} to {words.number(one['high'])}",
                "": "passed" if one["passed"] else "failed",
            }
            for one in fidelity["checks"]
        ]
    )


def _limits(limits: Mapping[str, Any], not_modelled: str) -> None:
    st.markdown("**Where it must not be trusted**")
    for note in limits["notes"]:
        st.markdown(f"* {errors.as_text(note)}")
    if not_modelled:
        with st.expander("What is not modelled"):
            st.text(not_modelled)


def _table(rows: list[dict[str, Any]]) -> None:
    st.dataframe(pd.DataFrame(rows), width="stretch", hide_index=True)
