"""Forms made of a configuration's own fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import errors
from ppo_marketing.form_fields import Field, written

COLUMNS = 2


def draw(fields: Sequence[Field], key: str) -> dict[str, Any]:
    """One widget a field, in columns; what is entered, by name."""
    columns = st.columns(COLUMNS)
    entered = {}
    for number, field in enumerate(fields):
        with columns[number % COLUMNS]:
            entered[field.name] = _widget(field, f"{key}-{field.name}")
    return entered


def _widget(field: Field, key: str) -> Any:
    help = errors.as_text(field.help) or None
    if field.kind == "switch":
        return st.toggle(field.label, bool(field.default), key=key, help=help)
    if field.kind == "choice":
        place = field.choices.index(str(field.default)) if field.default is not None else None
        return st.selectbox(field.label, field.choices, index=place, key=key, help=help)
    if field.kind == "whole":
        return st.number_input(
            field.label,
            value=field.default,
            min_value=None if field.low is None else int(field.low),
            step=1,
            key=key,
            help=help,
            placeholder="not set",
        )
    if field.kind == "number":
        return st.number_input(
            field.label,
            value=None if field.default is None else float(field.default),
            min_value=field.low,
            format="%.6g",
            key=key,
            help=help,
            placeholder="not set",
        )
    if field.kind == "text":
        return st.text_input(field.label, str(field.default), max_chars=200, key=key, help=help)
    return st.text_input(
        f"{field.label}: list or mapping",
        written(field.default),
        max_chars=1000,
        key=key,
        help=help,
        placeholder="not set",
    )
