"""Who is let in: everybody locally, somebody with a role where people sign in, else nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import access
from app.access import Identity
from ppo_marketing.jobs import background

Open = Callable[[str], AppTest]


def sign_in(monkeypatch: pytest.MonkeyPatch, identity: Identity | None) -> None:
    monkeypatch.delenv("PPO_MARKETING_ACCESS", raising=False)
    monkeypatch.setattr(access, "sign_in_is_set_up", lambda: True)
    monkeypatch.setattr(access, "signed_in", lambda: identity)


def shown(page: AppTest) -> str:
    return "\n".join(
        str(one.value) for one in (*page.title, *page.warning, *page.error, *page.sidebar.caption)
    )


def test_nobody_signs_in_locally(empty_project: Path, open_page: Open) -> None:
    page = open_page("overview")
    assert not page.exception
    assert "Sign" not in " ".join(button.label for button in page.button)


def test_whoever_is_not_signed_in_sees_a_door_and_nothing_else(
    empty_project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, None)
    page = open_page("overview")
    assert not page.exception
    assert [button.label for button in page.button] == ["Sign in"]
    assert not page.sidebar.selectbox


@pytest.mark.parametrize(
    ("roles", "identity", "said"),
    [
        (None, Identity("ada@example.com", True), "cannot be read"),
        ("bob@example.com: viewer\n", Identity("ada@example.com", True), "has no role here"),
        ("ada@example.com: viewer\n", Identity("ada@example.com", False), "is not verified"),
        ("ada@example.com: king\n", Identity("ada@example.com", True), "there is no role"),
        ("ada@example.com: viewer\n", Identity("", True), "no usable e-mail address"),
    ],
)
def test_whoever_has_no_role_is_told_why_and_can_only_leave(
    empty_project: Path,
    open_page: Open,
    monkeypatch: pytest.MonkeyPatch,
    roles: str | None,
    identity: Identity,
    said: str,
) -> None:
    if roles is not None:
        (empty_project / "access.yaml").write_text(roles)
    sign_in(monkeypatch, identity)
    page = open_page("overview")
    assert not page.exception
    assert said in shown(page)
    assert str(empty_project) not in shown(page)
    assert [button.label for button in page.button] == ["Sign out"]


def test_roles_without_a_sign_in_let_nobody_in_by_mistake(
    empty_project: Path, open_page: Open
) -> None:
    (empty_project / "access.yaml").write_text("ada@example.com: approver\n")
    page = open_page("overview")
    assert "signing in is not set up" in shown(page)
    assert not page.button


def test_a_viewer_looks_and_a_job_that_is_posted_all_the_same_is_refused(
    empty_project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_project / "access.yaml").write_text("eve@example.com: viewer\n")
    sign_in(monkeypatch, Identity("Eve@Example.com", True))
    page = open_page("overview")
    assert "Signed in as eve@example.com, viewer" in shown(page)
    launched: list[object] = []
    monkeypatch.setattr(background, "_launched", lambda *given: launched.append(given))
    page = next(b for b in page.button if b.label.startswith("Train on the built-in")).click().run()
    assert "is a viewer, who may not start jobs" in shown(page)
    assert launched == []
    assert not (empty_project / "data" / "jobs").exists()
