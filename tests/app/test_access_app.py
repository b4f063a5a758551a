"""Who is let in: everybody locally, somebody with a role where people sign in, else nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ppo_marketing.jobs import background

MAIN = Path(__file__).resolve().parents[2] / "app" / "main.py"


@pytest.fixture(autouse=True)
def _own_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PPO_MARKETING_ACCESS", raising=False)


def opened(user: dict[str, object]) -> AppTest:
    """The first page, as Streamlit draws it for `st.user`; no `is_logged_in`: no sign-in at all."""
    page = AppTest.from_file(str(MAIN), default_timeout=60)
    page.user = user
    return page.run()


def somebody(email: str = "ada@example.com", **claims: object) -> dict[str, object]:
    return {"is_logged_in": True, "email": email, **claims}


def shown(page: AppTest) -> str:
    return "\n".join(
        str(one.value) for one in (*page.title, *page.warning, *page.error, *page.sidebar.caption)
    )


def test_nobody_signs_in_locally(empty_project: Path) -> None:
    page = opened({})
    assert not page.exception
    assert "Sign" not in " ".join(button.label for button in page.button)


def test_whoever_is_not_signed_in_sees_a_door_and_nothing_else(
    empty_project: Path,
) -> None:
    page = opened({"is_logged_in": False})
    assert not page.exception
    assert [button.label for button in page.button] == ["Sign in"]
    assert not page.sidebar.selectbox


@pytest.mark.parametrize(
    ("roles", "user", "said"),
    [
        (None, somebody(), "cannot be read"),
        ("bob@example.com: viewer\n", somebody(), "has no role here"),
        ("ada@example.com: viewer\n", somebody(email_verified=False), "is not verified"),
        ("ada@example.com: viewer\n", somebody(email_verified="no"), "is not verified"),
        ("ada@example.com: king\n", somebody(), "there is no role"),
        ("ada@example.com: viewer\n", somebody(""), "no usable e-mail address"),
        ("ada@example.com: viewer\n", {"is_logged_in": True}, "no usable e-mail address"),
    ],
)
def test_whoever_has_no_role_is_told_why_and_can_only_leave(
    empty_project: Path, roles: str | None, user: dict[str, object], said: str
) -> None:
    if roles is not None:
        (empty_project / "access.yaml").write_text(roles)
    page = opened(user)
    assert not page.exception
    assert said in shown(page)
    assert str(empty_project) not in shown(page)
    assert [button.label for button in page.button] == ["Sign out"]


def test_roles_without_a_sign_in_let_nobody_in_by_mistake(
    empty_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_project / "access.yaml").write_text("ada@example.com: approver\n")
    page = opened({})
    assert "signing in is not set up" in shown(page)
    assert not page.button
    (empty_project / "access.yaml").unlink()
    monkeypatch.setenv("PPO_MARKETING_ACCESS", str(empty_project / "elsewhere.yaml"))
    assert "signing in is not set up" in shown(opened({}))


def test_a_viewer_looks_and_a_job_that_is_posted_all_the_same_is_refused(
    empty_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_project / "access.yaml").write_text("eve@example.com: viewer\n")
    page = opened(somebody("Eve@Example.com", email_verified=True))
    assert "Signed in as eve@example.com, viewer" in shown(page)
    launched: list[object] = []
    monkeypatch.setattr(background, "_launched", lambda *given: launched.append(given))
    page = next(b for b in page.button if b.label.startswith("Train on the built-in")).click().run()
    assert "is a viewer, who may not start jobs" in shown(page)
    assert launched == []
    assert not (empty_project / "data" / "jobs").exists()
