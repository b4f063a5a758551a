"""Measurements are kept one by one, and only for the code and settings that made them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cells import Cells, digest_of


def counted(cells: Cells, settings: dict[str, int], calls: list[int]) -> object:
    return cells.measured("a, b/c", settings, lambda: calls.append(1) or [1.5, "x"])  # type: ignore[func-returns-value]


def test_a_measurement_is_made_once(tmp_path: Path) -> None:
    calls: list[int] = []
    assert counted(Cells(tmp_path, "code"), {"n": 1}, calls) == [1.5, "x"]
    assert counted(Cells(tmp_path, "code"), {"n": 1}, calls) == [1.5, "x"]
    assert len(calls) == 1


def test_other_code_other_settings_or_again_measure_anew(tmp_path: Path) -> None:
    calls: list[int] = []
    counted(Cells(tmp_path, "code"), {"n": 1}, calls)
    counted(Cells(tmp_path, "code"), {"n": 2}, calls)
    counted(Cells(tmp_path, "changed"), {"n": 2}, calls)
    counted(Cells(tmp_path, "changed", again=True), {"n": 2}, calls)
    assert len(calls) == 4
    assert Cells(tmp_path, "changed").kept("a, b/c", {"n": 2}) == [1.5, "x"]
    assert Cells(tmp_path, "code").kept("a, b/c", {"n": 2}) is None


def test_the_digest_follows_the_sources_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "one.py").write_text("x = 1\n")
    before = digest_of(tmp_path, ["package"])
    (tmp_path / "package" / "notes.md").write_text("not code")
    assert digest_of(tmp_path, ["package"]) == before
    (tmp_path / "package" / "one.py").write_text("x = 2\n")
    assert digest_of(tmp_path, ["package"]) != before
    assert digest_of(tmp_path, ["package/one.py"]) == digest_of(tmp_path, ["package"])
