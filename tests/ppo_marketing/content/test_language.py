from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ppo_marketing.content.language import log_probs, measured, sample
from ppo_marketing.content.models import LanguageModel, load_language_model
from ppo_marketing.content.score_model import ScoreModel
from ppo_marketing.content.tokens import PAD, Sequences, left_padded
from tests.support.language import tiny_language

PROMPTS = ["shoes runners :", "shoes :"]
TEXTS = ["meet our warm shoes .", "try"]


@pytest.fixture(scope="module")
def language() -> LanguageModel:
    return tiny_language()


def padded(rows: Sequences, before: int, after: int) -> Sequences:
    tokens = torch.nn.functional.pad(rows.tokens, (before, after), value=PAD)
    return Sequences(tokens, rows.prompt_width + before)


def test_log_probabilities_do_not_depend_on_padding(language: LanguageModel) -> None:
    together = language.rows(PROMPTS, TEXTS)
    chosen, entropy = measured(language.model, together)
    wide, wide_entropy = measured(language.model, padded(together, 3, 4))
    torch.testing.assert_close(wide[:, : chosen.shape[1]], chosen, atol=1e-5, rtol=0)
    torch.testing.assert_close(wide_entropy[:, : chosen.shape[1]], entropy, atol=1e-5, rtol=0)
    assert not wide[:, chosen.shape[1] :].any()
    for row, (prompt, text) in enumerate(zip(PROMPTS, TEXTS, strict=True)):
        alone, _ = measured(language.model, language.rows([prompt], [text]))
        torch.testing.assert_close(chosen[row, : alone.shape[1]], alone[0], atol=1e-5, rtol=0)


def test_a_texts_probability_is_the_product_over_its_words_and_its_end(
    language: LanguageModel,
) -> None:
    (ids,) = language.encode(["shoes : try"])
    whole = torch.tensor([[*ids, language.end_token]])
    every = torch.log_softmax(language.model(input_ids=whole).logits[0], dim=-1)
    expected = every[1, ids[2]] + every[2, language.end_token]
    chosen, _ = measured(language.model, language.rows(["shoes :"], ["try"]))
    assert float(chosen.sum()) == pytest.approx(float(expected.detach()), abs=1e-5)


def test_temperature_divides_the_logits(language: LanguageModel) -> None:
    rows = language.rows(PROMPTS, TEXTS)
    hot, entropy = measured(language.model, rows, 1e6)
    assert float(hot[0, 0]) == pytest.approx(-np.log(len(language.tokenizer)), abs=1e-3)
    assert float(entropy[0, 0]) == pytest.approx(np.log(len(language.tokenizer)), abs=1e-3)


def test_gradients_are_finite_beside_padding(language: LanguageModel) -> None:
    chosen, _ = log_probs(language.model, padded(language.rows(PROMPTS, TEXTS), 2, 2))
    slopes = torch.autograd.grad(chosen.sum(), list(language.model.parameters()))
    assert all(bool(torch.isfinite(slope).all()) for slope in slopes)


def test_draws_follow_the_models_distribution(language: LanguageModel) -> None:
    prompts = left_padded(language.prompts(["shoes :"] * 20_000))
    drawn = sample(
        language.model,
        prompts,
        end_token=language.end_token,
        most_tokens=1,
        temperature=0.7,
        rng=np.random.default_rng(3),
    )
    logits = language.model(input_ids=prompts[:1]).logits[0, -1].detach() / 0.7
    expected = torch.softmax(logits, dim=-1).numpy()
    found = np.bincount(drawn.response[:, 0].numpy(), minlength=len(expected)) / 20_000
    deviation = np.sqrt(expected * (1 - expected) / 20_000)
    assert (np.abs(found - expected) < 5 * deviation + 1e-4).all()


def test_a_drawn_text_stops_at_its_end_token_and_is_the_same_beside_any_other(
    language: LanguageModel,
) -> None:
    def drawn(prompts: list[str]) -> Sequences:
        return sample(
            language.model,
            left_padded(language.prompts(prompts), 3),
            end_token=language.end_token,
            most_tokens=20,
            temperature=1.0,
            rng=np.random.default_rng(1),
        )

    rows = drawn(PROMPTS * 100)
    ends = rows.response == language.end_token
    assert (ends.sum(dim=1) <= 1).all()
    for tokens, valid in zip(rows.response, rows.valid, strict=True):
        after = (tokens == language.end_token).nonzero()
        assert not len(after) or not valid[int(after[0]) + 1 :].any()
    assert torch.equal(drawn(PROMPTS * 100).tokens, rows.tokens)


def test_drawing_with_a_cache_gives_the_probabilities_that_a_whole_pass_gives(
    language: LanguageModel,
) -> None:
    """A greedy draw (cold) must be the likeliest token of the whole pass, at every place."""
    rows = sample(
        language.model,
        left_padded(language.prompts(PROMPTS)),
        end_token=language.end_token,
        most_tokens=8,
        temperature=1e-4,
        rng=np.random.default_rng(0),
    )
    chosen, _ = measured(language.model, rows, 1e-4)
    assert float(chosen[rows.valid].min()) > -1e-2


def test_scores_do_not_depend_on_padding_and_are_read_at_the_last_token(
    language: LanguageModel,
) -> None:
    model = ScoreModel.from_language_model(language.model, np.random.default_rng(0))
    rows = language.rows(PROMPTS, TEXTS)
    scores = model.scored(rows)
    torch.testing.assert_close(model.scored(padded(rows, 2, 3)), scores, atol=1e-5, rtol=0)
    every = model.by_token(language.rows(["shoes :"], ["try"]).tokens)
    assert float(every[0, -1].detach()) == pytest.approx(float(scores[1]), abs=1e-5)


def test_scores_are_normalised_on_the_texts_given(language: LanguageModel) -> None:
    model = ScoreModel.from_language_model(language.model, np.random.default_rng(0))
    rows = language.rows(PROMPTS * 3, [*TEXTS, "enjoy the lamps", "order now !", "so new", "."])
    model.normalise_on(rows)
    scores = model.scored(rows)
    assert float(scores.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(scores.std(correction=0)) == pytest.approx(1.0, abs=1e-4)


def test_another_architecture_than_gpt2_is_read_drawn_from_and_scored(
    language: LanguageModel, tmp_path: Path
) -> None:
    import transformers

    words = len(language.tokenizer)
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=words,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=40,
        )
    ).save_pretrained(tmp_path)
    language.tokenizer.save_pretrained(tmp_path)
    other = load_language_model(tmp_path)
    assert other.room == 40
    rows = other.rows(PROMPTS, TEXTS)
    chosen, _ = measured(other.model, rows)
    wide, _ = measured(other.model, padded(rows, 3, 2))
    torch.testing.assert_close(wide[:, : chosen.shape[1]], chosen, atol=1e-5, rtol=0)
    drawn = sample(
        other.model,
        left_padded(other.prompts(PROMPTS)),
        end_token=other.end_token,
        most_tokens=8,
        temperature=1e-4,
        rng=np.random.default_rng(0),
    )
    again, _ = measured(other.model, drawn, 1e-4)
    assert float(again[drawn.valid].min()) > -1e-2
    model = ScoreModel.from_language_model(other.model, np.random.default_rng(0))
    torch.testing.assert_close(
        model.scored(padded(rows, 2, 3)), model.scored(rows), atol=1e-5, rtol=0
    )
