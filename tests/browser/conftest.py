"""A headless Chromium, the app as people start it, and visits that notice everything untoward."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    TimeoutError,
    sync_playwright,
)

from tests.support.app_project import app_project
from tests.support.served_app import SETTLED

__all__ = ["app_project"]

PATIENCE_MS = 240_000
# A change of the page is answered by a run of its script; a press that changes nothing, by none.
NO_ANSWER_MS = 1_000
COUNT_RUNS = """
window.runs = 0;
new MutationObserver(changes => {
  for (const one of changes)
    if (one.target.dataset.testScriptState === 'running') window.runs += 1;
}).observe(document, {subtree: true, attributeFilter: ['data-test-script-state']});
"""
ANSWERED = f"""([runs, since]) =>
  (window.runs > runs || performance.now() - since > {NO_ANSWER_MS}) && {SETTLED}"""
# Charts are drawn anew after the window's width: nothing has moved for a fifth of a second.
STEADY = """() => new Promise(done => {
  let last = '', same = 0;
  const look = () => {
    const main = document.querySelector('[data-testid=stMain]');
    const sizes = [...main.querySelectorAll('canvas, svg')].map(one => one.clientWidth);
    const now = [innerWidth, main.scrollHeight, ...sizes].join();
    same = now === last ? same + 1 : 0;
    last = now;
    if (same >= 12) done(); else requestAnimationFrame(look);
  };
  look();
})"""
# Opened below the root, Streamlit's page looks for its server in two places; the first has none.
PROBES = ("/_stcore/health", "/_stcore/host-config")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; the test is skipped, saying so, where there is none.

    Playwright leaves an event loop running in the thread: tests elsewhere must not meet it.
    """
    path = shutil.which("chromium")
    if path is None:
        pytest.skip(
            "Chromium is absent: apt-get install --no-install-recommends chromium (.ci/run does it "
            "where it may)"
        )
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, headless=True)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the pages go: the folder named by SCREENSHOTS, or one of this run."""
    named = os.environ.get("SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.getbasetemp() / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass
class Visit:
    """One person's tab: what they see, and what went wrong behind it."""

    page: Page
    url: str
    pictures: Path
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._asked)

    def _heard(self, message: ConsoleMessage) -> None:
        probing = urlsplit(str(message.location.get("url", ""))).path
        if message.type == "error" and not (probing.endswith(PROBES) and probing.count("/") > 2):
            self.errors.append(f"{message.text} {message.location}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.url, self.url.replace("http", "ws"), "data:", "blob:")):
            self.elsewhere.append(request.url)

    def open(self, address: str = "") -> None:
        """Open an address of the app as a new arrival."""
        self.page.goto(self.url + address)
        self.settled()

    def go(self, title: str) -> None:
        """Follow a link of the menu."""
        self.page.get_by_test_id("stSidebarNavLink").filter(has_text=title).first.click()
        self.page.wait_for_function(f"document.title === {title!r}")
        self.settled()

    def press(self, label: str, role: Literal["button", "tab", "radio"] = "button") -> None:
        """Press a button, a tab or one of several, and wait until the page has answered."""
        named = self.page.get_by_role(role, name=label, exact=role == "button")
        with self._answered():
            named.first.click()

    def choose(self, label: str, option: str) -> None:
        """Choose an option of a list."""
        self.page.get_by_role("combobox", name=label).first.click()
        with self._answered():
            self.page.get_by_role("option", name=option, exact=True).click()

    def write(self, label: str, text: str) -> None:
        """Write into a field of text or of a number."""
        field = self.page.locator(f"input[aria-label='{label}']").first
        field.fill(text)
        field.press("Tab")

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Wait until the page has answered what is done in the block, and is drawn."""
        before = self.page.evaluate("[window.runs, performance.now()]")
        yield
        self.page.wait_for_function(ANSWERED, arg=before)

    def settled(self) -> None:
        """Wait until the page is drawn and nothing runs any more."""
        self.page.wait_for_function(SETTLED)

    def sees(self, text: str) -> None:
        """Wait until a text is on the page."""
        try:
            self.page.get_by_text(text).first.wait_for()
        except TimeoutError as error:
            self.page.screenshot(path=str(self.pictures / "failed.png"), full_page=True)
            shown = self.page.get_by_test_id("stMain").inner_text()
            raise AssertionError(f"{text!r} is not on the page, which says:\n{shown}") from error

    def picture(self, name: str, width: int = 1280) -> None:
        """Keep a picture of the whole page; it is nowhere wider than the window."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.settled()
        self.page.evaluate(STEADY)
        height = self.page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        self.page.set_viewport_size({"width": width, "height": min(int(height) + 20, 4000)})
        self.page.evaluate(STEADY)
        self.page.screenshot(path=str(self.pictures / f"{name}-{width}.png"))
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} pixels wide in a window of {width}"
        self.page.set_viewport_size({"width": 1280, "height": 900})

    def went_well(self) -> None:
        """Nothing on the console, no request to another host, no error on the page."""
        assert self.errors == []
        assert self.elsewhere == []
        assert self.page.get_by_test_id("stException").count() == 0


@pytest.fixture
def visit(browser: Browser, screenshots: Path) -> Iterator[Visit]:
    """A tab of its own, not yet anywhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.add_init_script(COUNT_RUNS)
    yield Visit(context.new_page(), "", screenshots)
    context.close()
