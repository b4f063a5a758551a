"""One key for one data, one configuration, one code; another for anything else."""

from __future__ import annotations

from pathlib import Path

from ppo_marketing.retraining.run_key import run_key, sources_sha256


def test_a_key_follows_from_data_configuration_and_code_alone() -> None:
    key = run_key("d", {"a": 1, "b": [1, 2]}, "c")
    assert key == run_key("d", {"b": [1, 2], "a": 1}, "c"), "not from the order of settings"
    others = {
        run_key("e", {"a": 1, "b": [1, 2]}, "c"),
        run_key("d", {"a": 2, "b": [1, 2]}, "c"),
        run_key("d", {"a": 1, "b": [2, 1]}, "c"),
        run_key("d", {"a": 1, "b": [1, 2]}, "d"),
    }
    assert len(others | {key}) == 5


def test_the_code_is_its_sources_and_its_libraries(tmp_path: Path) -> None:
    root = tmp_path / "package"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "a.py").write_text("x = 1\n")
    before = sources_sha256([root], {"numpy": "2"})
    (root / "inner" / "notes.txt").write_text("no code")
    assert sources_sha256([root], {"numpy": "2"}) == before
    assert sources_sha256([root], {"numpy": "3"}) != before
    (root / "inner" / "a.py").write_text("x = 2\n")
    changed = sources_sha256([root], {"numpy": "2"})
    assert changed != before
    (root / "inner" / "a.py").rename(root / "inner" / "b.py")
    assert sources_sha256([root], {"numpy": "2"}) != changed
