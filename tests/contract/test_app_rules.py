"""What every file of the app keeps to: it shows and computes nothing, and shares no state."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "app").rglob("*.py"))


def _named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=_named)
def test_no_html_is_let_through(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "unsafe_allow_html" not in text
    assert "components.v1" not in text


@pytest.mark.parametrize("path", FILES, ids=_named)
def test_nothing_that_can_change_lives_outside_a_session(path: Path) -> None:
    """Sessions share a process: what a module holds must be a constant."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lists = [
        node.lineno
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.List | ast.Set | ast.ListComp | ast.SetComp)
        and "__all__" not in ast.unparse(node)
    ]
    changing = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Global)]
    assert lists + changing == []


def test_the_engine_imports_neither_the_app_nor_its_libraries() -> None:
    for path in sorted((ROOT / "ppo_marketing").rglob("*.py")):
        imported = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                imported.add(node.module.split(".")[0])
        assert not imported & {"app", "streamlit", "altair"}, _named(path)


@pytest.mark.parametrize("path", FILES, ids=_named)
def test_the_app_computes_nothing_itself(path: Path) -> None:
    """No statistics: numbers come from the engine; arrays are laid out for pictures at most."""
    text = path.read_text(encoding="utf-8")
    for library in ("scipy", "sklearn", "torch", "statistics"):
        assert f"import {library}" not in text, library
    assert (
        re.findall(r"np\.(?:mean|median|quantile|percentile|average|std|var|unique)\b", text) == []
    )
