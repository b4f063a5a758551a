"""One file configures a run; flags and variables override it; nothing wrong passes silently."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from envs import load_decision
from ppo_marketing import config
from ppo_marketing.config import build, load_config, read_columns
from ppo_marketing.errors import UserError, below_one, meant
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.trust_region import KLPenalty


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_beat_variables_beat_the_file_beat_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(
        tmp_path,
        "decision: bidding\nseed: 1\ntraining: {copies: 8, total_steps: 1000, episodes: 9}\n",
    )
    monkeypatch.setenv("PPO_MARKETING_TRAINING__COPIES", "16")
    monkeypatch.setenv("PPO_MARKETING_TRAINING__TOTAL_STEPS", "2000")
    merged = load_config(path, {"training": {"total_steps": 3000}})
    assert (merged.training.total_steps, merged.training.copies) == (3000, 16)
    assert (merged.training.episodes, merged.seed) == (9, 1)
    assert merged.evaluation.episodes == 60


def test_every_wrong_entry_is_listed_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "decision: bidding\nsed: 1\ntraining: {copies: none, steps: 5}\n")
    with pytest.raises(UserError) as refused:
        load_config(path, {})
    for place in ("sed", "did you mean seed?", "training.copies", "training.steps"):
        assert place in str(refused.value)


@pytest.mark.parametrize("text", ["- a list", "decision: [", "just words"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="configuration file"):
        load_config(write(tmp_path, text), {})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_config(tmp_path / "absent.yaml", {})


def test_a_column_mapping_must_map_names_to_names(tmp_path: Path) -> None:
    assert read_columns(write(tmp_path, "won: is_won\n")) == {"won": "is_won"}
    with pytest.raises(UserError, match="won"):
        read_columns(write(tmp_path, "won: [1, 2]\n"))


@dataclass(frozen=True)
class _Settings:
    budget: float = 1.0
    levels: tuple[float, ...] = ()


def test_unknown_settings_come_with_a_guess_and_wrong_types_beside_them() -> None:
    with pytest.raises(UserError) as refused:
        build(_Settings, {"budgt": 2, "levels": "many"}, "a decision")
    assert "did you mean budget?" in str(refused.value)
    assert "levels" in str(refused.value)
    assert build(_Settings, {"budget": 2, "levels": [1, 2]}, "x") == _Settings(2.0, (1.0, 2.0))


def test_contradictions_that_a_settings_type_finds_are_reported() -> None:
    with pytest.raises(UserError, match="gamma is 2"):
        build(PPOConfig, {"gamma": 2.0}, "training.ppo")


def test_a_trust_region_is_chosen_by_its_kind_and_misspellings_are_refused() -> None:
    chosen = {"trust_region": {"kind": "kl_penalty", "target_kl": 0.02}}
    assert build(PPOConfig, chosen, "x").trust_region == KLPenalty(target_kl=0.02)
    for wrong in ({"kind": "clips"}, {"kind": "clip", "lo": 0.1}, {"low": 0.1}):
        with pytest.raises(UserError, match="trust_region"):
            build(PPOConfig, {"trust_region": wrong}, "x")


def test_the_decisions_own_values_lie_below_every_other_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = replace(
        load_decision("bidding"),
        run_defaults={"training": {"copies": 7, "episodes": 8, "total_steps": 9}},
    )
    monkeypatch.setattr(config, "load_decision", lambda name: card)
    monkeypatch.setenv("PPO_MARKETING_TRAINING__EPISODES", "80")
    path = write(tmp_path, "decision: bidding\ntraining: {copies: 70}\n")
    training = load_config(path, {}).training
    assert (training.copies, training.episodes, training.total_steps) == (70, 80, 9)


def test_a_variable_that_is_no_section_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPO_MARKETING_TRAINING", "abc")
    with pytest.raises(UserError, match="PPO_MARKETING_SECTION__NAME"):
        load_config(None, {"decision": "bidding"})


def test_an_unknown_decision_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match="choose one of"):
        load_config(None, {"decision": "biding"})


def test_an_unknown_name_is_met_with_what_was_meant_or_with_all_there_is() -> None:
    assert meant("Budgett", ("budget", "caps")) == "did you mean budget?"
    assert meant("quite", ("budget", "caps")) == "known: budget, caps"


def test_every_count_below_one_is_named() -> None:
    assert below_one({"--seeds": 0, "--steps": 1, "--trials": -2}) == [
        "--seeds is 0: it must be at least 1",
        "--trials is -2: it must be at least 1",
    ]
