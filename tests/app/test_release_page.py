"""Release: who may, who was faster, what is recorded; empty, refused and gone wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import access
from app.access import Identity
from app.decide_panel import APPROVE, REJECT, RELEASE
from ppo_marketing.audit_trail import Action, Line, read_trail
from ppo_marketing.jobs.downloads import export_folder
from ppo_marketing.jobs.release_book import desk_of, trail_of
from ppo_marketing.jobs.releasing import approve, promote
from ppo_marketing.releases import ReleaseRules
from tests.support.app_project import DECISION
from tests.support.released_project import passing_copy

Open = Callable[[str], AppTest]
CHANGE, DECIDE, EXPORT, RECORD, CARD = (
    ":material/compare_arrows: What would change",
    ":material/how_to_vote: Decide",
    ":material/output: Export",
    ":material/history: Record",
    ":material/description: Model card",
)


@pytest.fixture
def project(app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    passing_copy(app_project, tmp_path)
    return tmp_path


def run_of(project: Path) -> Path:
    return project / "data" / "runs" / "small"


def lines(project: Path) -> tuple[Line, ...]:
    return read_trail(trail_of(project))


def on_tab(page: AppTest, tab: str) -> AppTest:
    page.session_state["release-tab"] = tab
    return page.run()


def says(page: AppTest, choice: str, name: str = "", comment: str = "") -> AppTest:
    """Fill in the form and press its button."""
    page.radio[0].set_value(choice)
    for field in page.text_input:
        if field.label == "Your name" and name:
            field.set_value(name)
            break
    page.text_area[0].set_value(comment)
    return next(b for b in page.button if b.label == "Record it").click().run()


def told(page: AppTest) -> str:
    return "\n".join(one.value for one in (*page.success, *page.warning, *page.error, *page.info))


def test_a_policy_that_passed_is_released_rolled_back_to_nothing_and_all_is_recorded(
    project: Path, open_page: Open
) -> None:
    page = on_tab(open_page("release"), DECIDE)
    assert "may be released" in page.markdown[0].value
    page = says(page, RELEASE, "Ada", "ship it")
    assert not page.exception
    assert "Recorded as line 1: promote by Ada." in told(page).replace("\\", "")
    assert "This policy is the champion, version 1" in page.markdown[0].value
    (line,) = lines(project)
    assert (line.action, line.approver, line.reason) == (Action.PROMOTE, "Ada", "ship it")
    page = on_tab(page, RECORD)
    assert page.dataframe[0].value["what"].tolist() == ["promote"]
    next(b for b in page.button if b.label == "Verify the record").click().run()
    assert "All 1 lines are what was written" in told(page)


def test_a_rejection_and_an_approval_are_recorded_with_their_comments(
    project: Path, open_page: Open
) -> None:
    page = says(on_tab(open_page("release"), DECIDE), REJECT, "Ada", "too bold at night")
    assert "was rejected by Ada: too bold at night" in page.markdown[0].value
    page = says(page, RELEASE, "Grace", "now")
    assert "Ada rejected this policy" in told(page)
    says(page, APPROVE, "Grace", "I looked again")
    assert [(line.action, line.reason) for line in lines(project)] == [
        (Action.REJECT, "too bold at night"),
        (Action.APPROVE, "I looked again"),
    ]


def test_of_two_sessions_that_decide_on_the_same_page_one_wins_and_the_other_is_told(
    project: Path, open_page: Open
) -> None:
    first, second = (on_tab(open_page("release"), DECIDE) for _ in range(2))
    says(first, RELEASE, "Ada", "mine")
    late = says(second, REJECT, "Grace", "mine")
    assert "somebody was faster: Ada recorded promote" in told(late).replace("\\", "")
    assert [(line.action, line.approver) for line in lines(project)] == [(Action.PROMOTE, "Ada")]


def test_what_lacks_a_name_is_asked_for_and_nothing_is_recorded(
    project: Path, open_page: Open
) -> None:
    page = says(on_tab(open_page("release"), DECIDE), RELEASE)
    assert "approver is missing" in told(page)
    assert lines(project) == ()


def test_a_policy_that_did_not_pass_needs_a_reason_and_a_last_day(
    app_project: Path, project: Path, open_page: Open
) -> None:
    passing_copy(app_project, project, passed=False)
    page = on_tab(open_page("release"), DECIDE)
    page = says(page, RELEASE, "Ada")
    assert "The gate is not passed" in told(page)
    page = says(page, RELEASE, "Ada", "a pilot in one city")
    assert "expires" in told(page)
    assert lines(project) == ()


def test_four_eyes_wait_for_a_second_person(
    app_project: Path, project: Path, open_page: Open
) -> None:
    passing_copy(app_project, project, rules=ReleaseRules(four_eyes=True))
    page = on_tab(open_page("release"), DECIDE)
    assert "waits for a second person" in page.markdown[0].value
    page = says(page, RELEASE, "Ada")
    assert "need four eyes" in told(page)
    approve(run_of(project), desk_of(project), approver="Grace")
    page = says(on_tab(page, DECIDE), RELEASE, "Ada")
    assert [line.action for line in lines(project)] == [Action.APPROVE, Action.PROMOTE]


def signed_in_as(
    monkeypatch: pytest.MonkeyPatch, project: Path, email: str, role: str = "viewer"
) -> None:
    (project / "access.yaml").write_text(f"{email}: {role}\n")
    monkeypatch.delenv("PPO_MARKETING_ACCESS", raising=False)
    monkeypatch.setattr(access, "sign_in_is_set_up", lambda: True)
    monkeypatch.setattr(access, "signed_in", lambda: Identity(email, True))


def test_a_viewer_sees_everything_may_nothing_and_a_posted_approval_is_refused_and_recorded(
    project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in_as(monkeypatch, project, "eve@example.com")
    page = on_tab(open_page("release"), DECIDE)
    assert not page.exception
    button = next(b for b in page.button if b.label == "Record it")
    assert button.disabled
    assert "Approvers decide" in told(page)
    # What the page disables, a session can still post: the engine is what refuses.
    monkeypatch.setattr(access, "may_here", lambda permission: True)
    page = says(page.run(), RELEASE, comment="let me")
    assert "eve@example.com is a viewer, who may not approve" in told(page).replace("\\", "")
    (line,) = lines(project)
    assert (line.action, line.approver) == (Action.REFUSE, "eve@example.com")


def test_a_role_that_is_taken_away_between_two_clicks_is_gone(
    project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in_as(monkeypatch, project, "ada@example.com", "approver")
    page = on_tab(open_page("release"), DECIDE)
    (project / "access.yaml").write_text("ada@example.com: viewer\n")
    page = says(page, RELEASE, comment="quickly")
    assert "is a viewer, who may not approve" in told(page).replace("\\", "")
    assert [line.action for line in lines(project)] == [Action.REFUSE]


def test_an_approver_signs_with_the_address_that_was_signed_in_with(
    project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in_as(monkeypatch, project, "ada@example.com", "approver")
    page = on_tab(open_page("release"), DECIDE)
    assert "Your name" not in [field.label for field in page.text_input]
    says(page, RELEASE, comment="ship it")
    assert [(line.action, line.approver) for line in lines(project)] == [
        (Action.PROMOTE, "ada@example.com")
    ]


def test_the_table_is_previewed_exported_and_compared_with_the_last_one(
    project: Path, open_page: Open
) -> None:
    page = on_tab(open_page("release"), EXPORT)
    page.selectbox("export-target").set_value("table").run()
    next(b for b in page.button if b.label == "Preview").click().run()
    assert not page.exception, told(page)
    folder = export_folder(project, DECISION, "table")
    assert not folder.exists()
    shown = {card.label: card.value for card in page.metric}
    assert shown["New"] == shown["Rows"] != "0"
    next(b for b in page.button if b.label == "Export").click().run()
    assert "Written whole and sealed" in told(page)
    assert [button.label for button in page.download_button] == ["Download"]
    assert (folder / "manifest.json").is_file()
    next(b for b in page.button if b.label == "Preview").click().run()
    shown = {card.label: card.value for card in page.metric}
    assert (shown["New"], shown["Changed"], shown["Gone"]) == ("0", "0", "0")


def test_the_model_card_is_read_and_the_champion_has_nothing_to_change(
    project: Path, open_page: Open
) -> None:
    promote(run_of(project), desk_of(project), approver="Ada")
    page = on_tab(open_page("release"), CARD)
    assert not page.exception
    assert "Where it must not be trusted" in "\n".join(one.value for one in page.markdown)
    page = on_tab(page, CHANGE)
    assert "nothing would change" in told(page)


def test_without_a_judged_run_the_page_says_what_to_do(
    empty_project: Path, open_page: Open
) -> None:
    page = open_page("release")
    assert not page.exception
    assert [button.label for button in page.button] == ["Train and judge one"]


def test_a_record_that_was_changed_stops_the_page_in_words(project: Path, open_page: Open) -> None:
    promote(run_of(project), desk_of(project), approver="Ada")
    trail = trail_of(project)
    trail.write_bytes(trail.read_bytes().replace(b"Ada", b"Eve"))
    page = open_page("release")
    assert not page.exception
    assert "line 1 was changed" in told(page)
    assert str(project) not in told(page)
