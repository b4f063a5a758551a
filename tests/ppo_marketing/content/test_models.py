from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ppo_marketing.content.language import measured
from ppo_marketing.content.models import load_language_model
from ppo_marketing.content.score_model import ScoreModel
from ppo_marketing.errors import UserError
from ppo_marketing.ppo.networks import flatten_parameters
from tests.support.language import tiny_language


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_language().save(tmp_path)
    return tmp_path


def test_a_model_comes_back_as_it_was_saved_also_from_a_flat_buffer(tmp_path: Path) -> None:
    language = tiny_language(seed=3)
    flatten_parameters(language.model.parameters())
    language.save(tmp_path)
    back = load_language_model(tmp_path)
    rows = language.rows(["shoes :"], ["try our lamps ."])
    assert back.texts(rows) == ["try our lamps ."]
    assert torch.equal(measured(back.model, rows)[0], measured(language.model, rows)[0])
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix != ".json"] == [
        ".safetensors"
    ]


def test_a_reward_model_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    language = tiny_language()
    model = ScoreModel.from_language_model(language.model, np.random.default_rng(0))
    rows = language.rows(["shoes :", "bags :"], ["try our lamps .", "meet"])
    model.normalise_on(rows)
    flatten_parameters(model.parameters())
    model.save(tmp_path)
    assert torch.equal(ScoreModel.load(tmp_path).scored(rows), model.scored(rows))


def test_a_pickle_in_the_folder_is_refused_and_so_is_code(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    (folder / "modeling_own.py").write_text("raise SystemExit")
    with pytest.raises(UserError, match=r"pytorch_model.bin is a pickle[\s\S]*is code") as refused:
        load_language_model(folder)
    assert refused.value.exit_code == 3


def test_a_tokenizer_without_an_end_token_is_refused(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings["eos_token"]
    path.write_text(json.dumps(settings))
    with pytest.raises(UserError, match="no end token, so no text would ever end"):
        load_language_model(folder)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it is no folder"):
        load_language_model(tmp_path / "gpt2")
    with pytest.raises(UserError, match=r"config.json is missing[\s\S]*no weights"):
        load_language_model(tmp_path)


def test_what_does_not_fit_into_the_model_is_refused() -> None:
    language = tiny_language()
    with pytest.raises(UserError, match="take 36 tokens and the model reads 32"):
        language.rows(["shoes"], ["try " * 34])
    with pytest.raises(UserError, match="prompts without a word"):
        language.rows([" "], ["try"])
