from __future__ import annotations

from pathlib import Path

import gymnasium

import envs


def test_every_decision_folder_registers_its_environment() -> None:
    for name in envs.decision_names():
        title = name.title().replace("_", "")
        assert f"marketing/{title}-v0" in gymnasium.registry
        assert envs.environments()[f"marketing/{title}-v0"] == (f"envs.{name}.env", title)


def test_further_environments_of_a_folder_are_found_by_file_name_and_not_imported(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "price_choice"
    folder.mkdir()
    for name in ("__init__", "env", "weekly_env", "environment"):
        (folder / f"{name}.py").write_text("raise AssertionError('imported')\n")
    assert envs.environments(tmp_path) == {
        "marketing/PriceChoice-v0": ("envs.price_choice.env", "PriceChoice"),
        "marketing/PriceChoiceWeekly-v0": ("envs.price_choice.weekly_env", "PriceChoiceWeekly"),
    }


def test_registered_environments_are_those_found() -> None:
    registered = {name for name in gymnasium.registry if name.startswith("marketing/")}
    assert registered == set(envs.environments())
