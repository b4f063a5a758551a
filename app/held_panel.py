"""The explored policy as it learned to act, or as it would act under the limits in force."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import asked, charts, errors, explore_pictures, findings, layout, project, words
from app.limits_panel import LABELS
from ppo_marketing.explore.explorer import Explorer
from ppo_marketing.explore.guarded import Held
from ppo_marketing.explore.mix import mix_beside
from ppo_marketing.guardrails.section import GuardrailsSection
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.jobs.limit_costs import last_section

LEARNED, HELD = "As learned", "Under today's limits"
ICONS = {LEARNED: ":material/school:", HELD: ":material/shield:"}


def choose(run: KeptRun) -> Held | None:
    """Let the analyst choose; None: as learned, which is also where nothing is limited."""
    chosen = st.segmented_control(
        "Whose decisions",
        tuple(ICONS),
        default=LEARNED,
        required=True,
        key="explore_as",
        format_func=lambda one: f"{ICONS[one]} {one}",
        help="Today's limits are those kept for the next run under Guardrails and fairness, or "
        "else the run's own.",
    )
    if chosen != HELD:
        return None
    section, kept = last_section(project.folder(), findings.parts(run))
    found = None if section == GuardrailsSection() else asked.held(run, section)
    if found is None:
        st.info(
            "Nothing is limited yet: this is the policy as it learned to act.",
            icon=":material/shield:",
        )
        if st.button("Set limits", icon=":material/arrow_forward:"):
            layout.go_to("guardrails")
        return None
    whose = "kept for the next run" if kept else "of the run itself"
    st.caption(f"These are the limits {whose}, in the decisions that the policy met.")
    return found


def draw(learned: Explorer, found: Held) -> None:
    """What the limits change, why, and what is done before and after."""
    with st.expander("What the limits change", icon=":material/shield:", expanded=True):
        if not found.why:
            st.write("Nothing: in all of these decisions the policy stays within them by itself.")
        else:
            st.write(f"They change **{words.share(found.changed)}** of these decisions:")
            charts.write(
                pd.DataFrame(
                    {"why": one.why, "decisions": words.share(one.states / learned.states.size)}
                    for one in found.why
                ).set_index("why")
            )
        mix = mix_beside(learned.answers, found.explorer.answers, (LEARNED, HELD))
        frame = explore_pictures.mix_frame(mix, learned.words)
        charts.show(
            explore_pictures.mix_chart(mix, learned.words, frame, ""),
            frame,
            alt=f"{learned.words.action.label}, as learned and under today's limits",
        )
        if found.not_asked:
            names = ", ".join(LABELS.get(one, one.replace("_", " ")) for one in found.not_asked)
            st.caption(
                f"Not asked here: {errors.as_text(names)}. Simulated decisions have neither ids "
                "nor dates; these hold where the policy is shipped."
            )
