"""What the pages name is there: files, links between pages, and commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ppo_marketing.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if page.parent.name != "adr"  # those tell what was so when they were written
)
CODE = ("app", "benchmarks", "envs", "ppo_marketing", "tests")
FILES = {path.relative_to(ROOT).as_posix() for part in CODE for path in (ROOT / part).rglob("*")}


def named(page: Path, pattern: str) -> list[Any]:
    return re.findall(pattern, page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_and_pages_that_are_named_are_there(page: Path) -> None:
    missing = [
        name
        for name in named(page, r"`((?:[\w-]+/)*[\w-]+\.py)`")
        if not any(f"/{path}".endswith(f"/{name}") for path in FILES)
    ]
    missing += [
        name
        for name in named(page, rf"`((?:{'|'.join(CODE)})/[\w/-]*[\w-])/?`")
        if name not in FILES
    ]
    missing += [
        link
        for link in named(page, r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
        if not (page.parent / link).exists()
    ]
    assert missing == []


def test_every_package_of_the_engine_has_its_place_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Where things are")[2].partition("\n## ")[0]
    packages = {path.parent.name for path in (ROOT / "ppo_marketing").glob("*/__init__.py")}
    assert {name for name in packages if f"`{name}/`" not in table} == set()


def commands(group: Any, before: str = "") -> Iterator[str]:
    for name, command in getattr(group, "commands", {}).items():
        yield f"{before}{name}"
        yield from commands(command, f"{before}{name} ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_that_are_named_are_there(page: Path) -> None:
    known = set(commands(typer.main.get_command(app)))
    assert {"run", "content sft"} <= known
    groups = {name.split()[0] for name in known if " " in name}
    unknown = []
    for first, second in named(page, r"\bppo-marketing ([a-z][a-z-]*)(?: ([a-z][a-z-]+)\b)?"):
        said = f"{first} {second}" if first in groups and second else first
        unknown += [] if said in known else [said]
    assert unknown == []
