"""The two rules that carry the rest: imports point one way, a decision type is one folder."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import envs

ROOT = Path(__file__).resolve().parents[2]
ENGINE = [
    *(
        path
        for folder in ("ppo_marketing", "envs/core", "app")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ),
    ROOT / "envs" / "__init__.py",
]


@pytest.mark.parametrize("name", envs.decision_names())
def test_no_code_outside_its_folder_names_a_decision(name: str) -> None:
    word = re.compile(rf"\b{name}\b", re.IGNORECASE)
    naming = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in ENGINE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if word.search(line)
    ]
    assert naming == []


def test_test_files_have_names_of_their_own() -> None:
    """Python would take the second of a name for the first, and pytest refuse to collect it."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("name", envs.decision_names())
def test_siblings_never_import_each_other(name: str) -> None:
    others = {other for other in envs.decision_names() if other != name}
    for path in (ROOT / "envs" / name).rglob("*.py"):
        for module in _imported(path):
            parts = module.split(".")
            assert not (parts[0] == "envs" and len(parts) > 1 and parts[1] in others), path
            assert parts[0] != "ppo_marketing", path


@pytest.mark.parametrize(
    ("library", "owners"),
    [
        ("mlflow", ("ppo_marketing/tracking/",)),
        ("streamlit", ("app/",)),
        ("stable_baselines3", ("ppo_marketing/rivals/",)),
        ("sb3_contrib", ("ppo_marketing/rivals/",)),
        ("optuna", ("ppo_marketing/jobs/study.py",)),
        ("onnxruntime", ("ppo_marketing/export/",)),
        ("starlette", ("ppo_marketing/serve/",)),
        ("uvicorn", ("ppo_marketing/serve/",)),
        ("prometheus_client", ("ppo_marketing/serve/",)),
        ("transformers", ("ppo_marketing/content/",)),
        ("tokenizers", ("ppo_marketing/content/",)),
    ],
)
def test_heavy_libraries_have_one_importer(library: str, owners: tuple[str, ...]) -> None:
    for path in [*(ROOT / "ppo_marketing").rglob("*.py"), *(ROOT / "envs").rglob("*.py")]:
        place = path.relative_to(ROOT).as_posix()
        if not place.startswith(owners):
            assert not any(m.split(".")[0] == library for m in _imported(path)), place


@cache
def _imported(path: Path) -> tuple[str, ...]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return tuple(found)
