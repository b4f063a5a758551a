"""Content: rating by buttons, agreement, curves, samples, releases and exports; who may not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import access
from app.access import Identity
from app.content_rating_panel import SKIP
from app.decide_panel import RELEASE
from ppo_marketing.audit_trail import Action, read_trail
from ppo_marketing.content.curve import curve_of
from ppo_marketing.content.judged import BUNDLE
from ppo_marketing.content.places import content_folder, found_in
from ppo_marketing.content.rules.brand import read_brand
from ppo_marketing.jobs.content_exporting import CATALOG, DECK
from ppo_marketing.jobs.release_book import trail_of
from tests.support.content_project import content_copy, content_project

__all__ = ["content_project"]

Open = Callable[[str], AppTest]
RATE = ":material/thumbs_up_down: Rate"
AGREE = ":material/handshake: Agreement"
CURVE = ":material/trending_up: Over-optimisation"
SAMPLES = ":material/compare: Side by side"
DECIDE = ":material/how_to_vote: Decide"
EXPORT = ":material/output: Export"
RECORD = ":material/history: Record"


@pytest.fixture
def project(content_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project whose model passed the gate, as the one that the app shows."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    content_copy(content_project, tmp_path)
    return tmp_path


def on_tab(page: AppTest, tab: str) -> AppTest:
    page.session_state["content-tab"] = tab
    return page.run()


def press(page: AppTest, label: str) -> AppTest:
    return next(button for button in page.button if button.label == label).click().run()


def told(page: AppTest) -> str:
    kinds = (*page.success, *page.warning, *page.error, *page.info, *page.markdown)
    return "\n".join(one.value for one in kinds).replace("\\", "")


def as_a(role: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "access.yaml").write_text(f"vera@example.com: {role}\n")
    monkeypatch.setattr(access, "sign_in_is_set_up", lambda: True)
    monkeypatch.setattr(access, "signed_in", lambda: Identity("vera@example.com", True))


def test_without_any_content_the_page_says_what_to_do_and_writes_the_made_up_brand(
    empty_project: Path, open_page: Open
) -> None:
    page = open_page("content")
    assert "There is no content yet" in page.markdown[0].value
    page = press(page, "Write the made-up brand")
    assert not page.exception
    assert (content_folder(empty_project) / "demo" / "pairs.jsonl").is_file()
    assert "Which is the better text for" in told(page)


def test_a_pair_is_rated_by_a_button_with_a_key_and_the_next_one_is_shown(
    project: Path, open_page: Open
) -> None:
    page = on_tab(open_page("content"), RATE)
    assert [b.proto.shortcut for b in page.button if b.proto.shortcut] == ["1", "2", "s"]
    before = told(page)
    page = press(page, "The second is better")
    assert not page.exception
    (line,) = (content_folder(project) / "demo" / "ratings.jsonl").read_text().splitlines()
    rating = json.loads(line)
    assert rating["prompt"] in before
    assert rating["chosen"] in before
    assert rating["chosen"] not in told(page)
    shown = told(page)
    assert told(press(page, SKIP)) != shown
    assert len((content_folder(project) / "demo" / "ratings.jsonl").read_text().splitlines()) == 1


def test_a_pair_that_somebody_else_rated_meanwhile_is_not_rated_twice(
    project: Path, open_page: Open
) -> None:
    first, second = (on_tab(open_page("content"), RATE) for _ in range(2))
    press(first, "The first is better")
    late = press(second, "The second is better")
    assert "rated meanwhile" in told(late)
    assert len((content_folder(project) / "demo" / "ratings.jsonl").read_text().splitlines()) == 1


def test_agreement_and_its_calibration_are_the_engines(project: Path, open_page: Open) -> None:
    page = on_tab(open_page("content"), AGREE)
    held = json.loads((content_folder(project) / "demo" / "reward" / "result.json").read_text())
    assert f"{100 * held['held_out']['accuracy']:.1f} %" in [m.value for m in page.metric]
    assert "agrees with the raters" in told(page)
    bins, members = page.table[0].value, page.table[1].value
    assert len(bins) == len(held["calibration"])
    assert len(members) == 2


def test_the_curve_has_both_scores_the_fitted_form_and_an_audit(
    project: Path, open_page: Open
) -> None:
    page = on_tab(open_page("content"), CURVE)
    curve = curve_of(found_in(project).alignments[0])
    assert curve.sentence in told(page)
    assert curve.fit is not None
    values = page.dataframe[0].value if len(page.dataframe) else page.table[0].value
    assert set(values["line"]) == {
        "the score that PPO followed", "held-out score", "gold", "fitted form",
    }  # fmt: skip
    assert (values["line"] == "the score that PPO followed").sum() == 20
    assert "length, words" in page.table[-1].value.index.tolist()


def test_samples_say_which_rules_each_text_breaks(project: Path, open_page: Open) -> None:
    page = on_tab(open_page("content"), SAMPLES)
    assert "of the aligned model's break a rule" in told(page)
    table = page.table[0].value
    assert list(table.columns) == [
        "reference", "reference breaks", "aligned", "aligned breaks",
    ]  # fmt: skip
    assert "1. banned" in told(page)


def test_a_model_is_released_and_the_record_shows_it(project: Path, open_page: Open) -> None:
    page = on_tab(open_page("content"), DECIDE)
    assert "This model passed the gate and may be released." in told(page)
    page.radio[0].set_value(RELEASE)
    next(field for field in page.text_input if field.label == "Your name").set_value("Ada")
    page = press(page, "Record it")
    assert "Recorded as line 1: promote by Ada." in told(page)
    assert "This model is the champion, version 1" in told(page)
    page = on_tab(page, RECORD)
    assert page.dataframe[0].value["what"].tolist() == ["promote"]


def test_what_is_exported_keeps_the_rules_and_can_be_downloaded(
    project: Path, open_page: Open
) -> None:
    page = press(on_tab(open_page("content"), EXPORT), "Write the copy")
    assert not page.exception
    assert "keep every hard rule" in told(page)
    brand = read_brand(content_folder(project) / "demo" / "judged" / BUNDLE / "reward.yaml")
    rows = page.table[0].value
    assert len(rows)
    assert not [t for p, t in rows["text"].items() if brand.problems(t, p.replace("\\", ""))]
    assert {b.proto.label for b in page.get("download_button")} == {
        "Download the copy deck (CSV)", "Download the Braze catalog (CSV)",
    }  # fmt: skip
    assert {DECK, CATALOG} == set(page.session_state["content-exported"][1].files)


def test_a_viewer_looks_and_cannot_rate_release_or_export(
    project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_a("viewer", project, monkeypatch)
    page = open_page("content")
    for tab, label in (
        (RATE, "The first is better"),
        (DECIDE, "Record it"),
        (EXPORT, "Write the copy"),
    ):
        page = on_tab(page, tab)
        assert next(b for b in page.button if b.label == label).disabled, tab


def test_a_role_that_was_taken_away_meanwhile_is_refused_and_recorded(
    project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_a("analyst", project, monkeypatch)
    page = on_tab(open_page("content"), EXPORT)
    rating = on_tab(open_page("content"), RATE)
    as_a("viewer", project, monkeypatch)
    page = press(page, "Write the copy")
    assert "is a viewer" in told(page)
    rating = press(rating, "The first is better")
    assert "is a viewer" in told(rating)
    lines = read_trail(trail_of(project))
    assert [line.action for line in lines] == [Action.REFUSE] * 2
    assert not (content_folder(project) / "demo" / "ratings.jsonl").exists()


def test_a_bundle_that_was_changed_is_told_without_folders_and_the_rest_still_works(
    project: Path, open_page: Open
) -> None:
    rules = content_folder(project) / "demo" / "judged" / BUNDLE / "reward.yaml"
    rules.write_text("terms: []\n")
    page = on_tab(open_page("content"), EXPORT)
    assert "is not the bundle that was judged" in told(page)
    assert str(project) not in told(page)
    assert not page.exception
    page = on_tab(page, RATE)
    assert "Which is the better text for" in told(page)
