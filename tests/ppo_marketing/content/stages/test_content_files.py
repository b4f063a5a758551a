from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from ppo_marketing.content.preferences import Pair
from ppo_marketing.content.stages.files import (
    read_corpus,
    read_dialogues,
    read_preferences,
    read_prompts,
    write_lines,
)
from ppo_marketing.errors import UserError

GOOD = {"prompt": "shoes :", "chosen": "meet our shoes", "rejected": "so new"}


def file(folder: Path, *rows: Mapping[str, object]) -> Path:
    path = folder / "rows.jsonl"
    write_lines(path, rows)
    return path


def test_preferences_are_read_as_they_were_written(tmp_path: Path) -> None:
    pairs = read_preferences(file(tmp_path, GOOD), known_prompts={"shoes :"})
    assert pairs == [Pair("shoes :", "meet our shoes", "so new")]


def test_every_wrong_row_is_listed_at_once(tmp_path: Path) -> None:
    path = file(
        tmp_path,
        {**GOOD, "rejected": "meet  our shoes "},
        {**GOOD, "prompt": "boats :"},
        {**GOOD, "chosen": " "},
        {"prompt": "shoes :", "chosen": 3},
    )
    with pytest.raises(UserError) as refused:
        read_preferences(path, known_prompts={"shoes :"})
    assert refused.value.exit_code == 3
    for said in (
        "line 1: chosen and rejected are the same text",
        "line 2: the prompt 'boats :' is not in the prompts file",
        "line 3: chosen is empty",
        "line 4: chosen, rejected must be given, as text",
    ):
        assert said in str(refused.value)


def test_what_is_no_file_of_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_prompts(tmp_path / "absent.jsonl")
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "shoes :"}\nshoes\n["shoes"]\n')
    with pytest.raises(UserError, match=r"line 2: no JSON[\s\S]*line 3: must be an object"):
        read_prompts(path)
    path.write_text("\n")
    with pytest.raises(UserError, match="there is no line"):
        read_corpus(path)


def test_prompts_are_each_kept_once(tmp_path: Path) -> None:
    path = file(tmp_path, {"prompt": "b"}, {"prompt": "a"}, {"prompt": "b"})
    assert read_prompts(path) == ["b", "a"]


def test_dialogues_become_pairs_where_they_share_all_but_the_last_answer(tmp_path: Path) -> None:
    asked = "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Help me\n\nAssistant:"
    rows = [
        {"chosen": f"{asked} Gladly.", "rejected": f"{asked} No."},
        {"chosen": f"{asked} Same", "rejected": f"{asked} Same"},
        {"chosen": f"{asked} Gladly.", "rejected": "\n\nHuman: Other\n\nAssistant: No."},
        {"chosen": f"{asked} Gladly.", "rejected": f"{asked} "},
    ]
    path = tmp_path / "test.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    assert read_dialogues(path) == [Pair(asked, "Gladly.", "No.")]


def test_the_real_preference_set_is_read(shared_data: Path) -> None:
    pairs = read_dialogues(shared_data / "hh_rlhf_harmless_test" / "test.jsonl.gz")
    assert 2000 < len(pairs) <= 2312
    assert all(pair.prompt.endswith("Assistant:") for pair in pairs)
