"""What is refused, as a person meets it: one message, exit code 3, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ppo_marketing.cli import app
from ppo_marketing.content.stages.files import read_preferences, write_lines
from ppo_marketing.errors import UserError
from tests.support.language import tiny_language

RUN = CliRunner()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, prompts, and preferences of which one row is of equal texts."""
    folder = tmp_path_factory.mktemp("content-cli")
    tiny_language().save(folder / "model")
    write_lines(folder / "prompts.jsonl", [{"prompt": "shoes runners :"}])
    row = {"prompt": "shoes runners :", "chosen": "try our shoes", "rejected": "try our shoes"}
    write_lines(folder / "equal.jsonl", [row])
    write_lines(folder / "good.jsonl", [{**row, "rejected": f"so new {'!' * i}"} for i in range(9)])
    (folder / "pickled").mkdir()
    (folder / "pickled" / "pytorch_model.bin").write_bytes(b"")
    (folder / "rules.yaml").write_text(
        "terms:\n- {kind: banned, phrases: [free], hard: true}\n"
        "- {kind: required, phrases: [free today], hard: true}\n"
    )
    return folder


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "reward --model {f}/model --preferences {f}/equal.jsonl -o {f}/out",
            "chosen and rejected are the same text",
        ),
        (
            "reward --model {f}/model --preferences {f}/good.jsonl -o {f}/out",
            "has 9 pairs: 20 are needed",
        ),
        (
            "sft --model {f}/pickled --corpus {f}/equal.jsonl -o {f}/out",
            "pytorch_model.bin is a pickle",
        ),
        (
            "generate --model {f}/model --prompts {f}/prompts.jsonl --rules {f}/rules.yaml "
            "-o {f}/deck.csv",
            "required 'free today' holds the banned phrase 'free'",
        ),
        ("generate --model {f}/model --prompts {f}/prompts.jsonl -o {f}/deck.txt", "deck.csv"),
        ("ppo --model {f}/model --prompts {f}/prompts.jsonl -o {f}/out", "nothing says what a"),
        (
            "ppo --model {f}/model --prompts {f}/prompts.jsonl -o {f}/out --combine best "
            "--reward {f}/reward",
            "combine",
        ),
        (
            "ppo --model {f}/model --prompts {f}/prompts.jsonl -o {f}/out --combine mean",
            "speak of --reward",
        ),
        (
            "ppo --model {f}/model --prompts {f}/prompts.jsonl -o {f}/out --reward {f}/reward "
            "--target-kl 4 --beta 0",
            "zero times anything stays zero",
        ),
        ("dpo --model {f}/model --preferences {f}/good.jsonl -o {f}/out --beta 0", "positive"),
        ("sft --model {f}/model --corpus {f}/none.jsonl -o {f}/out --epochs 0", "at least 1"),
    ],
)
def test_bad_input_is_refused_with_one_message(files: Path, line: str, said: str) -> None:
    done: Result = RUN.invoke(app, ["content", *line.format(f=files).split()])
    assert isinstance(done.exception, UserError), done.output
    assert done.exception.exit_code == 3
    assert said in str(done.exception)
    assert not (files / "out").exists()


def test_settings_of_a_file_are_overridden_by_flags_and_misspelt_ones_are_listed(
    files: Path, tmp_path: Path
) -> None:
    config = tmp_path / "ppo.yaml"
    config.write_text("updtes: 3\ntemperature: hot\nkl: {target: 4}\n")
    line = (
        f"ppo --model {files}/model --prompts {files}/prompts.jsonl -o {tmp_path}/out -c {config}"
    )
    done = RUN.invoke(app, ["content", *line.split()])
    assert isinstance(done.exception, UserError)
    for name in ("updtes", "temperature", "kl.target"):
        assert name in str(done.exception)

    from ppo_marketing.content.settings import alignment_config

    config.write_text("updates: 3\nkl: {coefficient: 0.5, target_kl: 2}\n")
    found = alignment_config(config, {"updates": 7}, {"target_kl": 4.0, "coefficient": None})
    assert (found.updates, found.kl.coefficient, found.kl.target_kl) == (7, 0.5, 4.0)


def test_two_models_beside_their_reference_as_json(files: Path) -> None:
    (files / "tone.yaml").write_text("terms:\n- {kind: tone, lexicon: {warm: 1}, weight: 1}\n")
    line = (
        f"compare --reference {files}/model --model {files}/model --prompts {files}/prompts.jsonl "
        f"--rules {files}/tone.yaml --texts 16 --best-of 4 --most-tokens 5 --json"
    )
    done = RUN.invoke(app, ["content", *line.split()], catch_exceptions=False)
    rows = json.loads(done.stdout)["models"]
    assert [row["name"] for row in rows][2] == "best of 4"
    assert rows[0]["kl"] == rows[1]["kl"] == 0.0


def test_rating_by_keys_writes_what_was_chosen_and_ignores_other_keys(
    tmp_path: Path,
) -> None:
    pairs = [{"prompt": "shoes :", "a": f"try {i}", "b": f"meet {i}"} for i in range(3)]
    write_lines(tmp_path / "pairs.jsonl", pairs)
    line = ["content", "rate", f"{tmp_path}/pairs.jsonl", "-o", f"{tmp_path}/ratings.jsonl"]
    done = RUN.invoke(app, line, input="x12q", catch_exceptions=False)
    assert "2 rated now, 2 in all, of 3 pairs" in done.stdout
    rated = read_preferences(tmp_path / "ratings.jsonl")
    assert [{pair.chosen, pair.rejected} for pair in rated] == [
        {"try 0", "meet 0"},
        {"try 1", "meet 1"},
    ]
    write_lines(tmp_path / "equal.jsonl", [{"prompt": "shoes :", "a": "try", "b": "try "}])
    refused = RUN.invoke(app, ["content", "rate", f"{tmp_path}/equal.jsonl", "-o", "x.jsonl"])
    assert "a and b are the same text" in str(refused.exception)
