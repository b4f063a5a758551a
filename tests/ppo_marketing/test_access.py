"""Who may do what, by a file of roles; whoever has no role is let in nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppo_marketing.access import GRANTED, Permission, Role, User, may, read_roles
from ppo_marketing.errors import Refused, UserError


def written(folder: Path, text: str) -> Path:
    path = folder / "access.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, set()),
        (
            Role.ANALYST,
            {
                Permission.START,
                Permission.KEEP_SCENARIOS,
                Permission.EDIT_GUARDRAILS,
                Permission.EXPORT,
            },
        ),
        (Role.APPROVER, set(Permission)),
    ],
)
def test_each_role_may_exactly_what_is_written_here(role: Role, allowed: set[Permission]) -> None:
    user = User("ada@example.com", role)
    assert {one for one in Permission if user.may(one)} == allowed
    assert set(GRANTED) == set(Role), "a role without a row would raise where it acts"


def test_local_use_needs_no_role() -> None:
    assert all(may(None, permission) for permission in Permission)


def test_an_address_is_the_same_in_any_case_and_with_spaces_around_it(tmp_path: Path) -> None:
    roles = read_roles(written(tmp_path, "Ada@Example.com: approver\n"))
    assert roles.user(" ADA@example.COM ") == User("ada@example.com", Role.APPROVER)


def test_whoever_is_not_named_has_no_role_unless_everyone_is_a_viewer(tmp_path: Path) -> None:
    roles = read_roles(written(tmp_path, "ada@example.com: approver\n"))
    with pytest.raises(Refused, match=r"eve@example\.com has no role here: ask"):
        roles.user("eve@example.com")
    roles = read_roles(written(tmp_path, "ada@example.com: approver\n'*': viewer\n"))
    assert roles.user("eve@example.com").role is Role.VIEWER


@pytest.mark.parametrize("email", ["", "nobody", "*", "a\nb@example.com", "x" * 300 + "@e.com"])
def test_what_is_no_address_is_nobodys(tmp_path: Path, email: str) -> None:
    roles = read_roles(written(tmp_path, "'*': viewer\n"))
    with pytest.raises(Refused, match="no usable e-mail address"):
        roles.user(email)


def test_an_address_that_the_provider_did_not_verify_has_no_role(tmp_path: Path) -> None:
    roles = read_roles(written(tmp_path, "ada@example.com: approver\n"))
    with pytest.raises(Refused, match="is not verified"):
        roles.user("ada@example.com", verified=False)


def test_a_file_is_refused_with_every_problem_at_once(tmp_path: Path) -> None:
    text = "ada: approver\nbob@e.com: aprover\n'*': analyst\nC@e.com: viewer\nc@e.com: approver\n"
    with pytest.raises(UserError) as refused:
        read_roles(written(tmp_path, text))
    said = str(refused.value)
    for part in (
        "'ada': no e-mail address",
        "there is no role 'aprover'; did you mean approver?",
        "whoever is not named can be a viewer only",
        "'c@e.com': named twice",
    ):
        assert part in said
    assert str(tmp_path) not in said, "users see this: it holds no path"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a@e.com: viewer\na@e.com: approver\n", "named twice: a@e.com"),
        ("[approver]\n", "must hold a line"),
        ("", "must hold a line"),
        ("a@e.com: {approver\n", "cannot be read"),
        ("a@e.com: [approver]\n", "there is no role"),
        ("a@e.com: !!python/object/apply:os.system [id]\n", "cannot be read"),
    ],
)
def test_a_damaged_file_opens_no_door(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_roles(written(tmp_path, text))


def test_a_missing_file_opens_no_door(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read: access\.yaml"):
        read_roles(tmp_path / "access.yaml")
