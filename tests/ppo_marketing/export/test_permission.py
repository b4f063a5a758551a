"""Lists that are missing, undated or stale mean that nobody is written to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ppo_marketing.errors import Refused
from ppo_marketing.export.permission import Permissions, permissions

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(hours=24)


def written(path: Path, *ids: str, as_of: str = "2026-11-21T06:00:00Z") -> Path:
    path.write_text("\n".join([f"# as of {as_of}", *ids]) + "\n")
    return path


def test_only_who_agreed_and_is_not_suppressed_is_written_to(tmp_path: Path) -> None:
    lists = {
        "suppression": written(tmp_path / "s", "b@x.de", " C@X.de "),
        "consent": written(tmp_path / "c", "a@x.de", "b@x.de", "c@x.de"),
    }
    found = permissions(dict(lists), now=NOW, largest_age=DAY)
    assert found.why_not("a@x.de") is None
    assert found.why_not("A@x.DE ") is None
    assert found.why_not("b@x.de") == "is on the suppression list"
    assert found.why_not("c@x.de") == "is on the suppression list"
    assert found.why_not("d@x.de") == "has not consented"
    assert found.why_not("") == "names no person"
    assert found.why_not(None) == "names no person"


def test_every_problem_with_the_lists_is_listed_and_refused(tmp_path: Path) -> None:
    stale = written(tmp_path / "s", as_of="2026-11-20T11:59:59Z")
    with pytest.raises(Refused) as error:
        permissions({"suppression": stale, "consent": None}, now=NOW, largest_age=DAY)
    assert error.value.exit_code == 5
    assert "older than 24 hours" in str(error.value)
    assert "no consent list" in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read"),
        ("a@x.de\n", "first line must be"),
        ("# as of yesterday\na\n", "cannot be read"),
        ("# as of 2026-11-21T12:06:00Z\n", "to come"),
    ],
)
def test_a_list_without_a_date_of_its_own_is_no_list(
    tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "s").write_text(content)
    good = written(tmp_path / "c")
    with pytest.raises(Refused, match=said):
        permissions({"suppression": tmp_path / "s", "consent": good}, now=NOW, largest_age=DAY)


def test_a_list_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"# as of 2026-11-21T06:00:00Z\n\xff\xfe")
    lists: dict[str, Path | None] = {"suppression": tmp_path / "s", "consent": tmp_path / "no"}
    with pytest.raises(Refused) as error:
        permissions(lists, now=NOW, largest_age=DAY)
    assert str(error.value).count("cannot be read") == 2


def test_an_empty_consent_list_permits_nobody() -> None:
    assert Permissions(frozenset(), frozenset()).why_not("a") == "has not consented"
