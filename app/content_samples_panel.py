"""Reference and aligned model side by side, and the rules that each text keeps or breaks."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import charts, errors
from ppo_marketing.content.judged import Judgement, Sample, broken_rules

MOST_SHOWN = 8


def draw(judgement: Judgement) -> None:
    """The samples as they were drawn: nothing is blocked here, so that one sees what would be."""
    st.markdown(errors.as_text(judgement.sample_sentence))
    every = st.toggle("Only prompts where a rule is broken", key="content-only-broken")
    samples = [s for s in judgement.samples if not every or any(s.broken)]
    if not samples:
        st.info("No text of these samples breaks a rule.")
        return
    charts.write(
        pd.DataFrame(
            {
                "prompt": sample.prompt,
                "reference": sample.reference,
                "reference breaks": broken_rules(sample.reference_rules),
                "aligned": sample.aligned,
                "aligned breaks": broken_rules(sample.aligned_rules),
            }
            for sample in samples[:MOST_SHOWN]
        ).set_index("prompt")
    )
    if len(samples) > MOST_SHOWN:
        st.caption(f"The first {MOST_SHOWN} of {len(samples)}.")
    by_prompt = {sample.prompt: sample for sample in samples}
    prompt = st.selectbox("Rule by rule", tuple(by_prompt), key="content-sample")
    _rules(by_prompt[prompt])


def _rules(sample: Sample) -> None:
    left, right = st.columns(2)
    sides = (
        (left, "Reference", sample.reference, sample.reference_rules),
        (right, "Aligned", sample.aligned, sample.aligned_rules),
    )
    for column, title, text, rules in sides:
        with column, st.container(border=True, height="stretch"):
            st.caption(title)
            st.markdown(f"##### {errors.as_text(text or '(empty)')}")
            for rule, said in rules.items():
                kept = said == "kept"
                icon = ":material/check_circle:" if kept else ":material/cancel:"
                st.markdown(f"{icon} {errors.as_text(f'{rule}: {said}')}")
