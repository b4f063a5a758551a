"""What people are told when something goes wrong: words, never a path, a trace or markup."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest

from app import errors
from ppo_marketing.errors import UserError


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("/srv/data/runs/first holds no verdict.json", "first holds no verdict.json"),
        ("in '/srv/my project/data/runs/a b/x.csv'", "in 'data/runs/a b/x.csv'"),
        ("the file C:\\data\\log.csv is", "the file log.csv is"),
        ("wait or stop; 3/4 of rows, 1/2", "wait or stop; 3/4 of rows, 1/2"),
    ],
)
def test_a_message_names_no_folder_of_the_server(
    monkeypatch: pytest.MonkeyPatch, said: str, shown: str
) -> None:
    monkeypatch.setenv("PPO_MARKETING_PROJECT", "/srv/my project")
    assert errors.in_words(UserError(said)).replace("\\", "") == shown


def test_data_cannot_format_a_page() -> None:
    hostile = "<script>x</script> :material/home: :red[y] ![i](http://h) $x$ **b** `c` # d | e"
    text = errors.as_text(hostile)
    assert re.findall(r"(?<!\\)(?:[<>`*_\[\]$#|]|:[\w/])", text) == []
    assert text.replace("\\", "") == hostile


def _failing() -> None:
    from app import errors
    from ppo_marketing.errors import Refused

    def refused() -> None:
        raise Refused("Ada may not approve /srv/secret/run")

    def unexpected() -> None:
        raise KeyError("secret of the server")

    for failing in (refused, unexpected):
        with errors.kindly():
            failing()


def test_refusals_are_told_and_the_unexpected_has_a_reference_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = AppTest.from_function(_failing).run()
    assert not page.exception
    assert page.warning[0].value == "Ada may not approve run"
    (told,) = page.error
    assert "secret" not in told.value
    reference = told.value.split("**")[1]
    assert reference in caplog.text
    assert "secret of the server" in caplog.text
