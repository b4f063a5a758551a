"""What leaves the house: previewed as a difference of rows, then written whole and downloaded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from app import access, errors, layout, project, words
from app.layout import Card
from app.uploaded import LIMITS, held
from envs.core.decision import Decision
from ppo_marketing.access import Permission
from ppo_marketing.errors import UserError
from ppo_marketing.export.targets import DecisionPack
from ppo_marketing.jobs.downloads import export_folder, zipped
from ppo_marketing.jobs.exporting import export_bundle
from ppo_marketing.jobs.handing_over import (
    LARGEST_CHANGE,
    TARGETS,
    Order,
    hand_over,
    require_written,
)
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.uploads import MEGABYTE

BUNDLE = "bundle"
REPORT, PACKED = "export-report", "export-packed"
MOST_PROFILE_BYTES = 200_000
ALONE = (BUNDLE, DecisionPack.name)
NAMES: Mapping[str, str] = {
    BUNDLE: "Sealed bundle (ONNX policy, guardrails, model card)",
    DecisionPack.name: "Decision table (CSV)",
}


def draw(card: Decision, run: KeptRun) -> None:
    """Choose a target, preview, export."""
    target = st.selectbox(
        "Where to", (BUNDLE, *TARGETS), format_func=_named,
        help="Each file is held to its system's own limits; what breaks one is refused by row.",
        key="export-target",
    )  # fmt: skip
    files, most = _files(target), LARGEST_CHANGE
    if target != BUNDLE:
        percent = st.number_input(
            "Largest change since the last export, %", value=100 * LARGEST_CHANGE, min_value=0.0,
            format="%g", help="Of any amount, or of a table's rows: beyond, nothing is written.",
        )  # fmt: skip
        most = percent / 100
    place = (run.sha256, target)
    left, right, _ = st.columns((1, 1, 2))
    look = left.button("Preview", icon=":material/preview:", width="stretch")
    may = access.may_here(Permission.EXPORT)
    go = right.button(
        "Export", type="primary", icon=":material/output:", width="stretch", disabled=not may,
        help=None if may else "Viewers look; analysts and approvers export.",
    )  # fmt: skip
    if look or go:
        st.session_state.pop(REPORT, None)
        st.session_state.pop(PACKED, None)
        with st.spinner("Checking every row …"):
            report = _exported(card, run, target, files, most, dry_run=not go)
        st.session_state[REPORT] = (place, report)
        if go and report.get("stopped") is None:
            folder = export_folder(project.folder(), card.name, target)
            st.session_state[PACKED] = (place, zipped(folder))
    shown_place, report = st.session_state.get(REPORT, (None, None))
    if shown_place == place and report is not None:
        _report(report)
    packed_place, content = st.session_state.get(PACKED, (None, None))
    if packed_place == place and content is not None:
        st.success("Written whole and sealed.", icon=":material/task_alt:")
        st.download_button(
            "Download", content, file_name=f"{card.name}-{target}.zip", mime="application/zip",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip


def _named(target: str) -> str:
    return NAMES.get(target, target.replace("_", " "))


def _files(target: str) -> dict[str, bytes]:
    """What a target needs besides the policy."""
    if target in ALONE:
        return {}
    st.caption("This target takes what runs now, and changes it. Nothing of these files is kept.")
    asked = {
        "rows": ("Rows that run now (CSV or Parquet)", ["csv", "gz", "parquet", "txt", "tsv"]),
        "profile": ("Profile (YAML): columns, join, settings", ["yaml", "yml"]),
        "suppression": ("Ids to leave alone, dated (people need it)", ["csv", "txt"]),
        "consent": ("Ids that agreed, dated (people need it)", ["csv", "txt"]),
    }
    found = {}
    columns = st.columns(2)
    for place, (name, (label, kinds)) in enumerate(asked.items()):
        with columns[place % 2]:
            file = st.file_uploader(
                label, type=kinds, key=f"export-{name}",
                max_upload_size=LIMITS.bytes // MEGABYTE,
            )  # fmt: skip
        if file is not None:
            found[name] = file.getvalue()
    return found


def _exported(
    card: Decision,
    run: KeptRun,
    target: str,
    files: Mapping[str, bytes],
    most: float,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    desk = access.desk()
    output = export_folder(project.folder(), card.name, target)
    if target == BUNDLE:
        made_at = desk.now.isoformat(timespec="seconds")
        return export_bundle(run.folder, output, made_at=made_at, dry_run=dry_run, desk=desk)
    with _in_files(files) as paths:
        order = Order(
            target=target, output=output, now=desk.now, max_change=most, dry_run=dry_run,
            rows=paths.get("rows"), profile=paths.get("profile"),
            suppression=paths.get("suppression"), consent=paths.get("consent"),
        )  # fmt: skip
        report = hand_over(run.folder, order, desk)
    if not dry_run:
        require_written(report)
    return report


@contextmanager
def _in_files(files: Mapping[str, bytes]) -> Iterator[dict[str, Path]]:
    """The files under names of our own, gone afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ppo-marketing-")))
        paths = {}
        for name, content in files.items():
            if name == "rows":
                paths[name] = stack.enter_context(held(content, LIMITS))
                continue
            if name == "profile" and len(content) > MOST_PROFILE_BYTES:
                raise UserError("a profile is a page of settings, not a file of this size")
            paths[name] = folder / f"{name}.{'yaml' if name == 'profile' else 'csv'}"
            paths[name].write_bytes(content)
        yield paths


def _report(report: Mapping[str, Any]) -> None:
    if "given" not in report:
        _bundle(report)
        return
    layout.cards(
        [
            Card("Rows", words.number(report["rows"]), f"of {words.number(report['given'])} given"),
            Card("New", words.number(report["added"]), "not in the last export"),
            Card("Changed", words.number(report["changed"]),
                 f"{words.number(report['unchanged'])} as before"),
            Card("Gone", words.number(report["removed"]), "in the last export only"),
        ]
    )  # fmt: skip
    if report["stopped"] is not None:
        st.error(errors.as_text(f"Nothing is exported: {report['stopped']}"))
    if report["preview"]:
        st.markdown("**What differs from the last export**")
        st.dataframe(_difference(report["preview"]), width="stretch", hide_index=True)
        st.caption(f"The first {len(report['preview'])} rows that differ, cell by cell.")
    for title, counts in (("Refused", report["refused_because"]), ("Left out", report["left_out"])):
        for why, count in counts.items():
            st.warning(f"{title}: {words.number(count)} rows, {errors.as_text(why)}")
    for warning in report["warnings"]:
        st.info(errors.as_text(warning))


def _difference(preview: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {"row": one["key"], "change": one["change"], "cell": cell, "before": old, "after": new}
        for one in preview
        for cell, (old, new) in one["cells"].items()
    )


def _bundle(report: Mapping[str, Any]) -> None:
    st.dataframe(
        pd.DataFrame(
            {"file": name, "bytes": words.number(size)} for name, size in report["files"].items()
        ),
        width="stretch",
        hide_index=True,
    )
    for name, why in report["left_out"].items():
        st.info(errors.as_text(f"Without {name}: {why}"))
