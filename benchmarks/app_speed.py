"""How soon the app answers: first page, changes of page, what-ifs, ten sessions and their memory.

A small run of the built-in sample is trained first, twice under two names, so that ten sessions can
be seen to look at their own. Chromium opens the app as people do; times are what they wait: from
asking for an address, or a click, until the page is drawn and nothing runs any more. Needs Debian's
Chromium and a quiet machine. Writes results/app_speed.json.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from playwright.async_api import Browser, Page, async_playwright

from benchmarks.report import write_result
from tests.support.app_project import RUN, small_run
from tests.support.served_app import SETTLED, served

SESSIONS, REPEATS, EPISODES, BEGINS_MS, PATIENCE_MS = 10, 5, 200, 100, 300_000
BARS = {
    "first page, s": 3.0,
    "page switch, s": 1.0,
    "what-if, s": 2.0,
    "memory of ten sessions, MB": 2048.0,
}
OTHER = "another"


async def opened(browser: Browser, address: str) -> tuple[Page, float]:
    """A new person's tab at an address, and the seconds until it can be used."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    began = time.perf_counter()
    await page.goto(address)
    await page.get_by_role("heading").first.wait_for(timeout=PATIENCE_MS)
    await page.wait_for_function(SETTLED, timeout=PATIENCE_MS)
    return page, time.perf_counter() - began


async def titles(page: Page) -> list[str]:
    """The pages of the menu."""
    texts = await page.get_by_test_id("stSidebarNavLink").all_inner_texts()
    return [text.split("\n")[-1] for text in texts]


async def switched(page: Page, title: str) -> float:
    """The seconds from following a link of the menu until the page can be used."""
    link = page.get_by_test_id("stSidebarNavLink").filter(has_text=title).first
    began = time.perf_counter()
    await link.click()
    await page.wait_for_function(f"document.title === {title!r}", timeout=PATIENCE_MS)
    await page.wait_for_function(SETTLED, timeout=PATIENCE_MS)
    return time.perf_counter() - began


async def one_at_a_time(browser: Browser, url: str) -> dict[str, Any]:
    """First pages of new sessions, and every page from every other, by one person."""
    firsts = []
    for _ in range(REPEATS):
        page, seconds = await opened(browser, url)
        firsts.append(seconds)
        await page.context.close()
    page, _ = await opened(browser, url)
    pages = await titles(page)
    switches: dict[str, list[float]] = {title: [] for title in pages}
    for _ in range(REPEATS):
        for title in pages:
            switches[title].append(await switched(page, title))
    await page.context.close()
    return {
        "first page, s": {"first of all": firsts[0], "median": statistics.median(firsts)},
        "page switch, s": {
            title: {"first": seconds[0], "median": statistics.median(seconds[1:])}
            for title, seconds in switches.items()
        },
    }


async def what_ifs(browser: Browser, url: str) -> dict[str, Any]:
    """What new questions take, each a scenario played in so many simulated episodes."""
    page, _ = await opened(browser, f"{url}/what_if?run={RUN}&episodes={EPISODES}")
    await page.get_by_text("Make or change a scenario").first.click()
    took = []
    for number in range(REPEATS + 1):
        knob = page.get_by_test_id("stNumberInputField").first
        await knob.fill(f"{0.7 + number / 50:.2f}")
        await knob.press("Tab")
        began = time.perf_counter()
        await page.get_by_role("button", name="Play it").click()
        # It takes the server a moment to say that it has begun.
        await page.wait_for_timeout(BEGINS_MS)
        await page.wait_for_function(SETTLED, timeout=PATIENCE_MS)
        took.append(time.perf_counter() - began)
    await page.context.close()
    return {"episodes": EPISODES, "first": took[0], "median": statistics.median(took[1:])}


async def session(browser: Browser, url: str, number: int) -> list[str]:
    """One of ten people, each with a run of their own choice; what they saw of another's."""
    run = RUN if number % 2 else OTHER
    page, _ = await opened(browser, f"{url}/?run={run}")
    wrong, pages = [], await titles(page)
    first = number % len(pages)
    for title in pages[first:] + pages[:first]:
        await switched(page, title)
        if f"run={run}" not in page.url:
            wrong.append(f"session {number} on {title}: {page.url}")
    await page.context.close()
    return wrong


async def at_once(browser: Browser, url: str, server: psutil.Process) -> dict[str, Any]:
    """Ten people at once, each through all pages, and the server's largest memory meanwhile."""
    largest = 0.0
    done = asyncio.Event()

    async def watch() -> None:
        nonlocal largest
        while not done.is_set():
            parts = [server, *server.children(recursive=True)]
            largest = max(largest, sum(part.memory_info().rss for part in parts) / 2**20)
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    leaks = await asyncio.gather(*(session(browser, url, i) for i in range(SESSIONS)))
    seconds = time.perf_counter() - began
    done.set()
    await watching
    return {
        "sessions": SESSIONS,
        "finished": len(leaks),
        "leaks": [leak for found in leaks for leak in found],
        "seconds": seconds,
        "memory of ten sessions, MB": largest,
    }


async def measured(url: str, server: psutil.Process) -> dict[str, Any]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"))
        alone = await one_at_a_time(browser, url)
        asked = await what_ifs(browser, url)
        together = await at_once(browser, url, server)
        await browser.close()
    return {**alone, "what-if, s": asked, "ten at once": together}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        run = small_run(project)
        shutil.copytree(run, run.with_name(OTHER))
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        with served(project) as (url, process):
            found = asyncio.run(measured(url, psutil.Process(process)))
    slowest = max(times["median"] for times in found["page switch, s"].values())
    reached = {
        "first page, s": found["first page, s"]["median"],
        "page switch, s": slowest,
        "what-if, s": found["what-if, s"]["median"],
        "memory of ten sessions, MB": found["ten at once"]["memory of ten sessions, MB"],
    }
    for name, bar in BARS.items():
        met = "met" if reached[name] < bar else "MISSED"
        print(f"{name:<32}{reached[name]:>10.2f}  bar {bar:g}: {met}")
    print(f"leaks between sessions: {found['ten at once']['leaks'] or 'none'}")
    write_result("app_speed", {"sessions": SESSIONS, "repeats": REPEATS, "bars": BARS}, found)


if __name__ == "__main__":
    main()
