"""The Data page: a sound log is kept, every problem is listed, hostile files leave nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.csv as pa_csv
import pytest
from streamlit.testing.v1 import AppTest

from app import words
from envs import load_decision
from ppo_marketing.jobs import background
from ppo_marketing.jobs.kept_runs import run_named
from ppo_marketing.jobs.run_log import log_of
from ppo_marketing.uploads import kept_logs, uploads_folder
from tests.support.app_project import DECISION

Open = Callable[[str], AppTest]
CARD = load_decision(DECISION)


def _sound() -> bytes:
    out = io.BytesIO()
    table = CARD.generate("default", 1, np.random.default_rng(1))
    pa_csv.write_csv(table.slice(0, 3000), out)
    return out.getvalue()


def test_the_log_of_the_run_is_summed_up(shown_project: Path, open_page: Open) -> None:
    page = open_page("data")
    run = run_named(shown_project, DECISION, None)
    assert run is not None
    log = log_of(run, CARD, shown_project)
    shown = {card.label: card.value for card in page.metric}
    assert not page.exception
    assert not page.error
    assert shown["Rows"] == words.number(log.rows)
    assert (shown["From"], shown["To"]) == (words.day(log.first), words.day(log.last))


def test_a_log_is_handed_in_mapped_checked_kept_and_fitted(
    empty_project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page("data")
    assert "hand one in" in page.markdown[0].value
    page.file_uploader(key="upload").upload("../../March.csv", _sound(), "text/csv").run()
    assert page.selectbox(key="map-bid_cpm").value == "bid_cpm"
    next(one for one in page.button if one.label == "Check the log").click().run()
    assert not page.error
    assert page.success[0].value.startswith("March.csv")
    assert "is sound and kept" in page.success[0].value
    (kept,) = kept_logs(empty_project, DECISION)
    assert kept.path.is_relative_to(uploads_folder(empty_project))

    ordered = []
    monkeypatch.setattr(background, "start", lambda project, **order: ordered.append(order))
    page = open_page("data")
    next(one for one in page.button if one.label == "Fit the simulator").click().run()
    (order,) = ordered
    assert order["command"] == "calibrate"
    assert order["config"]["log"]["path"] == str(kept.path)


def test_every_problem_of_a_log_is_listed_and_nothing_is_stored(
    empty_project: Path, open_page: Open
) -> None:
    lines = _sound().decode().splitlines()
    cells = lines[1].split(",")
    lines[1] = ",".join([*cells[:2], *["much"] * len(cells[2:])])
    page = open_page("data")
    page.file_uploader(key="upload").upload("x.csv", "\n".join(lines).encode(), "text/csv").run()
    next(one for one in page.button if one.label == "Check the log").click().run()
    assert "Nothing was stored" in page.error[0].value
    assert len(page.table[-1].value) > 2
    assert kept_logs(empty_project, DECISION) == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("large.csv", b"x" * (51 << 20)),
        ("../../../etc/passwd", b"\x7fELF" + b"\0" * 5000),
        ("table.xlsx", b"PK\x03\x04" + b"\0" * 100),
        ("utf16.csv", "time,bid\n1,2\n".encode("utf-16")),
        ("empty.csv", b""),
    ],
    ids=["too large", "a program", "a spreadsheet", "UTF-16", "nothing"],
)
def test_a_hostile_file_is_told_and_the_app_goes_on(
    empty_project: Path, open_page: Open, name: str, content: bytes
) -> None:
    page = open_page("data")
    page.file_uploader(key="upload").upload(name, content, "text/csv").run()
    assert not page.exception
    assert "Nothing was stored" in page.error[0].value
    assert [path for path in empty_project.rglob("*") if path.is_file()] == []
    assert not page.switch_page("pages_/overview.py").run().exception
