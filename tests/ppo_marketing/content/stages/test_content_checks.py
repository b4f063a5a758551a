from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ppo_marketing.cli import app
from ppo_marketing.content.models import tiny_gpt2
from ppo_marketing.content.release import Shipped, judge
from ppo_marketing.content.stages.files import write_lines
from ppo_marketing.content.stages.texts import Compared
from ppo_marketing.errors import GateNotPassed, Refused, UserError
from ppo_marketing.intervals import Bounds
from tests.support.language import tiny_language

RUN = CliRunner()
GOOD = Compared(
    "aligned", 4.0, 1.0, Bounds(0.5, 1.5), 0.7, Bounds(0.66, 0.74), broken=0.02, length=9.0
)
CLEAN = Shipped(texts=1000, violations=0, blocked=20, without_text=0)


def test_a_model_that_keeps_rules_wins_and_is_near_passes() -> None:
    assert judge(GOOD, CLEAN, 5.0).passed


@pytest.mark.parametrize(
    ("compared", "shipped", "failed"),
    [
        (GOOD, Shipped(1000, 1, 20, 0), "every text keeps every hard rule"),
        (GOOD, Shipped(0, 0, 20, 0), "every text keeps every hard rule"),
        (GOOD, Shipped(999, 0, 20, 1), "every prompt has a text"),
        (GOOD.__class__(**{**vars(GOOD), "kl": 5.1}), CLEAN, "near enough to the reference"),
        (GOOD.__class__(**{**vars(GOOD), "kl": float("nan")}), CLEAN, "near enough"),
        (
            GOOD.__class__(**{**vars(GOOD), "win_bounds": Bounds(0.49, 0.6)}),
            CLEAN,
            "better than the reference",
        ),
    ],
)
def test_each_test_of_the_gate_can_refuse(
    compared: Compared, shipped: Shipped, failed: str
) -> None:
    (test,) = [test for test in judge(compared, shipped, 5.0).tests if not test.passed]
    assert test.name.startswith(failed)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("content-checks")
    tiny_language(seed=0).save(folder / "old")
    tiny_language(seed=1).save(folder / "new")
    tiny_gpt2(["other", "words"], width=16, layers=1, room=32, seed=0).save(folder / "other")
    write_lines(folder / "prompts.jsonl", [{"prompt": "shoes :"}, {"prompt": "bags runners :"}])
    (folder / "now.yaml").write_text(
        "terms:\n- {kind: banned, phrases: [the], hard: true}\n"
        "- {kind: tone, lexicon: {warm: 1}, weight: 1}\n"
    )
    (folder / "then.yaml").write_text("terms:\n- {kind: banned, phrases: [boats], hard: true}\n")
    return folder


def regressed(folder: Path, new: str, *more: str) -> dict[str, object]:
    line = [
        "content", "regress", f"{folder}/old", f"{folder}/{new}", "--prompts",
        f"{folder}/prompts.jsonl", "--rules", f"{folder}/now.yaml", "--json", *more,
    ]  # fmt: skip
    found: dict[str, object] = json.loads(RUN.invoke(app, line, catch_exceptions=False).stdout)
    return found


def test_a_model_beside_itself_changes_nothing(models: Path) -> None:
    found = regressed(models, "old")
    assert (found["kl"], found["changed"]) == (0.0, 0)
    assert found["compliance_before"] == found["compliance_after"]


def test_new_rules_show_whom_they_hit_and_another_model_what_it_changes(models: Path) -> None:
    found = regressed(models, "new", "--old-rules", f"{models}/then.yaml", "--most-nats", "1000")
    assert found["compliance_before"] == 1.0  # nobody says "boats"
    assert isinstance(found["old_model_under_new_rules"], float)
    assert found["old_model_under_new_rules"] < 1.0
    assert found["changed"] == 2
    assert isinstance(found["kl"], float)
    assert found["kl"] > 0.0


def test_a_model_beyond_the_bound_and_one_of_another_tokenizer_are_refused(models: Path) -> None:
    with pytest.raises(Refused, match=r"nats a text from the old one and 0\.001 are"):
        regressed(models, "new", "--most-nats", "0.001")
    with pytest.raises(UserError, match="different tokenizers"):
        regressed(models, "other")


def test_the_gate_refuses_a_model_that_is_no_better_with_exit_code_4(models: Path) -> None:
    line = [
        "content", "gate", "--reference", f"{models}/old", "--model", f"{models}/old", "--prompts",
        f"{models}/prompts.jsonl", "--rules", f"{models}/now.yaml", "--texts", "64",
    ]  # fmt: skip
    done = RUN.invoke(app, line)
    assert isinstance(done.exception, GateNotPassed)
    assert done.exception.exit_code == 4
    assert "FAILED  better than the reference" in done.stdout
    assert "passed  near enough to the reference: 0.00 nats" in done.stdout
