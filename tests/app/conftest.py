"""The app as AppTest runs it: without a server, on the small trained project or on an empty one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.support.app_project import app_project, empty_project, shown_project

__all__ = ["app_project", "empty_project", "open_page", "shown_project"]

MAIN = Path(__file__).resolve().parents[2] / "app" / "main.py"


@pytest.fixture
def open_page() -> Callable[[str], AppTest]:
    """Opens a page of the app by its name."""

    def opened(name: str) -> AppTest:
        page = AppTest.from_file(str(MAIN), default_timeout=60).run()
        return page if name == "overview" else page.switch_page(f"pages_/{name}.py").run()

    return opened
