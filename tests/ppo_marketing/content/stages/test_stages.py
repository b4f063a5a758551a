"""The stages on the made-up brand, tiny: what they write, refuse, resume and never let through."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.fitting import FitSettings
from ppo_marketing.content.kl import AdaptiveKL
from ppo_marketing.content.models import load_language_model
from ppo_marketing.content.rules.brand import read_brand
from ppo_marketing.content.stages import align, fits, texts
from ppo_marketing.content.stages.files import folder_sha256, read_preferences, write_lines
from ppo_marketing.content.stages.rating import rate
from ppo_marketing.errors import AlreadyRunning, Interrupted, UserError
from ppo_marketing.files import held_alone
from ppo_marketing.ppo.signals import StopSignal
from tests.support.content_project import FAST, QUIET, fitted_sample, unheard

SMALL = AlignmentConfig(
    updates=6, texts=32, minibatch=16, epochs=1, most_tokens=20, kl=AdaptiveKL(coefficient=0.1)
)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample with a model fitted to its corpus and two reward models."""
    return fitted_sample(tmp_path_factory.mktemp("content"))


def reward(made: Path, output: Path, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "members": 2,
        "prompts": made / "prompts.jsonl",
        "seed": 0,
        "reporter": QUIET,
    }
    return fits.reward(
        made / "sft" / "model", made / "preferences.jsonl", output, FAST, **asked | more
    )


def aligned(made: Path, output: Path, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "rules": made / "reward.yaml",
        "models": made / "reward",
        "how": None,
        "held_out": None,
        "gold": None,
        "patience": None,
        "seed": 0,
        "reporter": QUIET,
        "on_update": unheard,
    }
    config = more.pop("config", SMALL)
    return align.ppo(made / "sft" / "model", made / "prompts.jsonl", output, config, **asked | more)


def test_reward_models_are_judged_on_pairs_held_out(made: Path) -> None:
    found = reward(made, made / "reward")
    assert len(found["members"]) == 2
    assert found["held_out"]["pairs"] == pytest.approx(12, abs=2)
    low, high = found["held_out"]["accuracy_bounds"]
    assert low <= found["held_out"]["accuracy"] <= high
    pairs = read_preferences(made / "preferences.jsonl")
    learned, held = fits.split_pairs(pairs, 0)
    assert sorted(map(repr, [*learned, *held])) == sorted(map(repr, pairs))


def test_a_finished_stage_is_not_made_again_and_one_of_other_inputs_is_refused(made: Path) -> None:
    before = folder_sha256(made / "sft" / "model")
    settings = FitSettings(epochs=8, batch=32, learning_rate=1e-2)
    fits.sft(made / "model", made / "corpus.jsonl", made / "sft", settings, 0, QUIET)
    assert folder_sha256(made / "sft" / "model") == before
    with pytest.raises(UserError, match=r"what differs: settings, seed"):
        fits.sft(made / "model", made / "corpus.jsonl", made / "sft", FAST, 1, QUIET)
    with held_alone(made / "sft"), pytest.raises(AlreadyRunning):
        fits.sft(made / "model", made / "corpus.jsonl", made / "sft", settings, 0, QUIET)


class _StopsAfter:
    """A reporter that asks for a stop once a stage has come as far as this."""

    def __init__(self, stop: StopSignal, far: float) -> None:
        self._stop, self._far = stop, far

    def stage(self, title: str, total: float = 1.0) -> Any:
        return self

    def __enter__(self) -> _StopsAfter:
        return self

    def __exit__(self, *nothing: object) -> None:
        pass

    def reach(self, done: float, note: str = "") -> None:
        if done >= self._far:
            self._stop.number = 15


def stopping(monkeypatch: pytest.MonkeyPatch, module: Any) -> StopSignal:
    from contextlib import nullcontext

    stop = StopSignal()
    monkeypatch.setattr(module, "stop_on_signals", lambda: nullcontext(stop))
    return stop


def test_an_interrupted_alignment_goes_on_to_the_same_model(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = aligned(made, tmp_path / "whole", held_out=made / "reward", how=None)
    with monkeypatch.context() as patched:
        stop = stopping(patched, align)
        with pytest.raises(Interrupted, match="the same command goes on"):
            aligned(made, tmp_path / "cut", held_out=made / "reward", reporter=_StopsAfter(stop, 3))
    rest = aligned(made, tmp_path / "cut", held_out=made / "reward")
    assert folder_sha256(tmp_path / "cut" / "model") == folder_sha256(tmp_path / "whole" / "model")
    assert rest == whole
    assert not (tmp_path / "cut" / "checkpoint.pt").exists()


def test_an_interrupted_fit_goes_on_to_the_same_model(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fitted(output: Path, reporter: Any = QUIET) -> None:
        fits.dpo(
            made / "sft" / "model", made / "preferences.jsonl", output, FAST,
            beta=0.1, seed=0, reporter=reporter,
        )  # fmt: skip

    fitted(tmp_path / "whole")
    with monkeypatch.context() as patched:
        stop = stopping(patched, fits)
        with pytest.raises(Interrupted):
            fitted(tmp_path / "cut", _StopsAfter(stop, 1))
    fitted(tmp_path / "cut")
    assert folder_sha256(tmp_path / "cut" / "model") == folder_sha256(tmp_path / "whole" / "model")


def test_an_alignment_says_what_it_did_and_keeps_the_best_held_out_update(
    made: Path, tmp_path: Path
) -> None:
    found = aligned(made, tmp_path / "ppo", held_out=made / "reward")
    assert found["kept_update"] in (5, 6)
    assert [one["update"] for one in found["held_out"]] == [5, 6]
    assert found["kl_nats"] > 0.0
    assert {sign["name"] for sign in found["audit"]} >= {"length, words", "ensemble disagreement"}
    history = json.loads((tmp_path / "ppo" / "history.json").read_text())["updates"]
    assert history[0]["kl"] == 0.0
    assert all(row["learning"]["first_ratio_deviation"] == 0.0 for row in history)


def test_gold_looks_on_in_the_references_deviations_and_changes_nothing(
    made: Path, tmp_path: Path
) -> None:
    blind = aligned(made, tmp_path / "blind", held_out=made / "reward")
    seen = aligned(made, tmp_path / "seen", held_out=made / "reward", gold=f"{made}/gold.py:gold")
    assert folder_sha256(tmp_path / "seen" / "model") == folder_sha256(tmp_path / "blind" / "model")
    assert [one["score"] for one in seen["held_out"]] == [x["score"] for x in blind["held_out"]]
    assert [one["update"] for one in seen["gold"]] == [5, 6]
    assert all(abs(one["score"]) < 2.0 for one in seen["gold"])
    assert blind["gold"] == []
    alone = aligned(made, tmp_path / "alone", gold=f"{made}/gold.py:gold")
    assert (alone["kept_update"], alone["held_out"]) == (6, [])
    assert len(alone["gold"]) == 2


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def gold(text, prompt):\n    return 1.0\n", "scores every text of the reference alike"),
        ("def gold(text, prompt):\n    return float('nan')\n", "not finite"),
        ("def gold(text, prompt):\n    raise ValueError('no words')\n", "failed on .*no words"),
        ("def other(text, prompt):\n    return 1.0\n", r"has no function gold\(text, prompt\)"),
    ],
)
def test_a_gold_function_that_cannot_be_used_is_named(
    made: Path, tmp_path: Path, code: str, said: str
) -> None:
    (tmp_path / "own.py").write_text(code)
    with pytest.raises(UserError, match=said):
        aligned(made, tmp_path / "ppo", gold=f"{tmp_path}/own.py:gold")


def test_training_ends_once_the_held_out_score_has_not_risen_for_long_enough(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = iter([5.0, 4.0, 3.0, 2.0, 1.0])
    monkeypatch.setattr(align, "judge_of", lambda folder: lambda *texts: next(falling))
    config = dataclasses.replace(SMALL, updates=25)
    found = aligned(made, tmp_path / "ppo", held_out=made / "reward", patience=2, config=config)
    assert (found["updates"], found["kept_update"]) == (15, 5)


def test_no_text_that_breaks_a_hard_rule_leaves_the_house(made: Path, tmp_path: Path) -> None:
    """Ten thousand texts of a model that does say what is banned, also into a CSV."""
    rules = read_brand(made / "reward.yaml")
    language = load_language_model(made / "sft" / "model")
    prompts = ["shoes runners :", "bags parents :"] * 5000
    written = texts.allowed_texts(language, rules, prompts, SMALL, np.random.default_rng(0))
    assert sum(len(one.blocked) for one in written) > 100
    shown = [one.text for one in written if one.text is not None]
    assert len(shown) > 9000
    assert not any("free" in text.split() for text in shown)
    assert not any(rules.problems(text, "") for text in shown)

    deck = tmp_path / "deck.csv"
    found = texts.generate(
        made / "sft" / "model", made / "prompts.jsonl", deck,
        rules=made / "reward.yaml", per_prompt=20, config=SMALL, seed=1,
    )  # fmt: skip
    rows = list(csv.DictReader(deck.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == found["texts"]
    assert found["blocked"] > 0
    assert not any(rules.problems(row["text"], row["prompt"]) for row in rows)


def test_rules_that_no_text_keeps_leave_prompts_without_text(made: Path, tmp_path: Path) -> None:
    strict = tmp_path / "reward.yaml"
    strict.write_text("terms:\n- {kind: required, phrases: [Acme], hard: true}\n")
    found = texts.generate(
        made / "sft" / "model", made / "prompts.jsonl", tmp_path / "deck.csv",
        rules=strict, per_prompt=1, config=SMALL, seed=1,
    )  # fmt: skip
    assert found["texts"] == 0
    assert len(found["without_text"]) == 24
    assert "does not say 'Acme'" in found["reasons"]


def test_the_reference_beside_itself_wins_half_and_is_at_no_distance(made: Path) -> None:
    reference = made / "sft" / "model"
    rows = texts.compare(
        reference, [reference], made / "prompts.jsonl",
        rules=made / "reward.yaml", reward=made / "reward", best_of=4, chosen_by=None, texts=200,
        config=SMALL, seed=0,
    )  # fmt: skip
    own, again, best = rows
    assert (own.kl, own.win_rate) == (0.0, 0.5)
    assert again.kl == 0.0
    assert again.win_bounds.holds(0.5)
    assert again.gain.holds(0.0)
    assert best.name == "best of 4"
    assert best.gain.low > 0.0
    assert best.win_rate == pytest.approx(0.8, abs=0.1)  # n / (n + 1)


def test_reward_models_named_twice_or_nowhere_are_refused(made: Path, tmp_path: Path) -> None:
    twice = tmp_path / "reward.yaml"
    twice.write_text("terms:\n- {kind: preference, folder: models, weight: 1}\n")
    with pytest.raises(UserError, match="name one"):
        aligned(made, tmp_path / "a", rules=twice)
    with pytest.raises(UserError, match="nothing says what a good text is"):
        aligned(made, tmp_path / "b", rules=None, models=None)
    with pytest.raises(UserError, match="holds 0 reward models"):
        aligned(made, tmp_path / "c", models=tmp_path)


def test_rating_goes_on_with_the_pairs_that_are_left_and_hides_which_text_is_which(
    tmp_path: Path,
) -> None:
    pairs = [{"prompt": f"p{i}", "a": f"good {i}", "b": f"bad {i}"} for i in range(40)]
    write_lines(tmp_path / "pairs.jsonl", pairs)
    shown: list[tuple[str, str]] = []

    def ask(prompt: str, first: str, second: str) -> str:
        shown.append((first, second))
        if len(shown) == 11:
            return "q"
        return "s" if len(shown) == 3 else ("1" if first.startswith("good") else "2")

    output = tmp_path / "ratings" / "ratings.jsonl"
    assert rate(pairs, output, ask, 0) == {"rated_now": 9, "rated": 9, "pairs": 40}
    assert rate(pairs, output, ask, 0)["rated"] == 40
    rated = read_preferences(output)
    assert all(pair.chosen.startswith("good") for pair in rated)
    firsts: Sequence[str] = [first.split()[0] for first, _ in shown]
    assert 5 < firsts.count("good") < len(firsts) - 5
