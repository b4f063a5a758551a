"""Editing guardrails: a form from the engine's own settings, and what each limit would cost."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pandas as pd
import streamlit as st

from app import access, charts, errors, findings, layout, project, words
from app.layout import Card
from envs.core.decision import Decision
from ppo_marketing.access import Permission
from ppo_marketing.guardrails.form import ENTRIES, Entry, entries, section_values, shown
from ppo_marketing.guardrails.section import GuardrailsSection
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.jobs.limit_costs import (
    action_space,
    checked_section,
    keep_section,
    labels_of,
    last_section,
    section_text,
)
from ppo_marketing.shadow_prices import LimitPrice, ShadowPrices

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LABELS = {entry.name: entry.label for entry in ENTRIES}


def in_a_sentence(card: Decision, run: KeptRun) -> str:
    """What the limits that are shown cost, in a sentence."""
    section = _section(run)
    if section == GuardrailsSection():
        return (
            "Nothing is limited yet beyond what the actions allow. Set limits and see their price."
        )
    found = findings.costs(run, section)
    changed = words.share(found.changed / max(found.decisions, 1))
    cost = words.money(abs(found.cost.value), found.cost.unit)
    if found.cost.low <= 0 <= found.cost.high:
        return f"The limits change {changed} of decisions; what that costs cannot be told from 0."
    said = "cost" if found.cost.value > 0 else "save"
    return f"The limits change {changed} of decisions and {said} {cost} a {card.episode}."


def draw(card: Decision, run: KeptRun) -> None:
    """The form, the prices, the YAML."""
    parts = findings.parts(run)
    section = _section(run)
    _, kept = last_section(project.folder(), parts)
    st.caption(
        "These start from what was kept for the next run."
        if kept
        else "These start from the run's own limits. Editing changes nothing that is released."
    )
    _form(run, section)
    if section != GuardrailsSection():
        _prices(card, findings.costs(run, section))
    _keep(card, run, section)


def _section(run: KeptRun) -> GuardrailsSection:
    """What was last checked in this session, else what was kept, else the run's own."""
    edited = st.session_state.get(_key(run))
    if edited is not None:
        return GuardrailsSection.model_validate_json(edited)
    return last_section(project.folder(), findings.parts(run))[0]


def _key(run: KeptRun) -> str:
    return f"limits-{run.sha256}"


def _form(run: KeptRun, section: GuardrailsSection) -> None:
    parts = findings.parts(run)
    space, labels = action_space(parts), labels_of(parts)
    before = shown(section, space)
    given: dict[str, Any] = {}
    with st.form(f"form-{_key(run)}", border=True):
        for group, own in groupby(entries(space), key=lambda entry: entry.group):
            st.markdown(f"**{group}**")
            columns = st.columns(2)
            for place, entry in enumerate(own):
                with columns[place % 2]:
                    given[entry.name] = _asked(entry, before[entry.name], labels, _key(run))
        pressed = st.form_submit_button(
            "Check and price these limits", type="primary", icon=":material/price_check:"
        )
    if pressed:
        checked = checked_section(parts, section_values(given, space, section))
        st.session_state[_key(run)] = checked.model_dump_json()
        st.rerun()


def _asked(entry: Entry, value: Any, labels: tuple[str, ...], scope: str) -> Any:
    key, label = f"{scope}-{entry.name}", entry.label
    if entry.kind in ("amount", "share"):
        return st.number_input(
            label, value=None if value is None else float(value), format="%g", help=entry.help,
            key=key, placeholder="no limit", step=0.05,
        )  # fmt: skip
    if entry.kind == "whole":
        return st.number_input(
            label, value=value, min_value=0, step=1, help=entry.help, key=key,
            placeholder="no limit",
        )  # fmt: skip
    if entry.kind == "choice":
        numbers = list(range(len(labels)))
        return st.selectbox(
            label, numbers, index=value, format_func=lambda n: _named(labels, n), help=entry.help,
            key=key, placeholder="none",
        )  # fmt: skip
    if entry.kind in ("choices", "weekdays"):
        names = labels if entry.kind == "choices" else WEEKDAYS
        return tuple(
            st.multiselect(
                label, list(range(len(names))), default=list(value or ()), help=entry.help,
                format_func=lambda n: _named(names, n), key=key, placeholder="none",
            )
        )  # fmt: skip
    if entry.kind == "hours":
        return _hours(entry, value, key)
    if entry.kind == "ids":
        written = st.text_area(label, "\n".join(value or ()), help=entry.help, key=key, height=90)
        return tuple(line.strip() for line in written.splitlines() if line.strip())
    return st.text_input(label, value or "", help=entry.help, key=key).strip() or None


def _named(names: tuple[str, ...], number: int) -> str:
    return names[number] if number < len(names) else str(number)


def _hours(entry: Entry, value: Any, key: str) -> tuple[int, int] | None:
    hours = list(range(25))
    first, second = st.columns(2)
    start, end = value or (None, None)
    since = first.selectbox(
        f"{entry.label} from", hours, index=start, help=entry.help, key=f"{key}-from",
        placeholder="none",
    )  # fmt: skip
    until = second.selectbox(
        f"{entry.label} until", hours, index=end, help=entry.help, key=f"{key}-until",
        placeholder="none",
    )  # fmt: skip
    return None if since is None or until is None else (since, until)


def _prices(card: Decision, found: ShadowPrices) -> None:
    currency = found.cost.unit
    st.subheader(
        f"What the limits cost, a {card.episode}",
        help=f"The same {found.episodes:,} simulated {card.episode}s with and without them, those "
        "that the policy was judged on.",
        anchor=False,
    )
    layout.cards(
        [
            Card("Without any limit", words.money(found.unguarded.value, currency),
                 words.interval(found.unguarded, "currency", currency)),
            Card("With all limits", words.money(found.guarded.value, currency),
                 words.interval(found.guarded, "currency", currency)),
            Card("They cost", words.money(found.cost.value, currency),
                 words.interval(found.cost, "currency", currency),
                 help="Below 0, the limits keep the policy from harm."),
            Card("Violations avoided", words.number(found.changed),
                 f"of {words.number(found.decisions)} decisions, "
                 f"{words.share(found.changed / max(found.decisions, 1))}",
                 help="Decisions that the policy alone would have made otherwise."),
        ]
    )  # fmt: skip
    if found.limits:
        _by_limit(card, found.limits, currency)
    if found.not_simulated:
        listed = ", ".join(LABELS.get(name, name.replace("_", " ")) for name in found.not_simulated)
        st.info(
            f"Not priced here: {errors.as_text(listed)}. Simulated episodes cannot ask about "
            "these, which need earlier decisions or more of a date than they know; they hold where "
            "the policy is shipped.",
            icon=":material/info:",
        )


def _by_limit(card: Decision, limits: tuple[LimitPrice, ...], currency: str) -> None:
    frame = pd.DataFrame(
        {
            "limit": f"{LABELS.get(one.limit, one.limit)}: {one.allows}",
            "kind": "rule",
            "value": one.price.value,
            "low": one.price.low,
            "high": one.price.high,
            "violations avoided": one.changed,
            "cost alone": one.alone.value,
        }
        for one in limits
    )
    charts.show(
        charts.intervals(
            frame, "limit", f"earned more a {card.episode} without it, {words.short(currency)}"
        ),
        frame.drop(columns="kind"),
        alt="The shadow price of each limit: what lifting it alone would earn, beside all others, "
        "with 95 % intervals",
    )


def _keep(card: Decision, run: KeptRun, section: GuardrailsSection) -> None:
    text = section_text(section)
    with st.expander("As configuration"):
        st.code(text, language="yaml")
        st.caption("`ppo-marketing run --config FILE` judges and exports a policy behind these.")
    left, right, _ = st.columns((1, 1, 2))
    left.download_button(
        "Download", text.encode(), file_name=f"{card.name}-guardrails.yaml", mime="text/yaml",
        icon=":material/download:", on_click="ignore", width="stretch",
    )  # fmt: skip
    allowed = access.may_here(Permission.EDIT_GUARDRAILS)
    if right.button(
        "Keep for the next run", icon=":material/save:", disabled=not allowed, width="stretch",
        help=None if allowed else "Viewers look; analysts and approvers keep.",
        key=f"keep-{_key(run)}",
    ):  # fmt: skip
        keep_section(access.desk(), card.name, section)
        st.toast("Kept: the next training on this decision starts from these.")
