from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ppo_marketing.content import brand_world
from ppo_marketing.content.agent import LanguageAgent
from ppo_marketing.content.alignment import Alignment, start_alignment, step, training_rows
from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.kl import AdaptiveKL
from ppo_marketing.content.language import measured
from ppo_marketing.content.score_model import ScoreModel
from ppo_marketing.content.tokens import PAD, Sequences
from ppo_marketing.errors import UserError
from ppo_marketing.ppo.adam import Adam
from ppo_marketing.ppo.networks import flatten_parameters
from ppo_marketing.ppo.update import improve
from tests.support.language import tiny_language

PROMPTS = brand_world.PROMPTS[:4]
SMALL = AlignmentConfig(updates=3, texts=16, minibatch=8, epochs=2, most_tokens=6)


def likes_warmth(rows: Sequences, texts: Sequence[str], prompts: Sequence[str]) -> Any:
    return np.array([text.split().count("warm") for text in texts], np.float64)


def started(config: AlignmentConfig = SMALL, seed: int = 0) -> Alignment:
    language = tiny_language()
    critic = ScoreModel.from_language_model(language.model, np.random.default_rng(1))
    return start_alignment(language, critic, PROMPTS, config, np.random.default_rng(seed))


@pytest.mark.parametrize("advantage", ["gae", "rloo", "reinforce"])
def test_the_first_update_starts_at_a_kl_of_zero_and_every_one_at_a_ratio_of_one(
    advantage: Any,
) -> None:
    run = started(replace(SMALL, advantage=advantage, per_prompt=4))
    first = step(run, PROMPTS, likes_warmth)
    assert (first.kl, first.kl_k3) == (0.0, 0.0)
    later = step(run, PROMPTS, likes_warmth)
    assert later.kl_k3 > 0.0
    assert first.learning.first_ratio_deviation == later.learning.first_ratio_deviation == 0.0


def test_the_reference_stays_as_it_was_and_the_critic_is_not_the_reward_model() -> None:
    language = tiny_language()
    reward_model = ScoreModel.from_language_model(language.model, np.random.default_rng(1))
    run = start_alignment(language, reward_model, PROMPTS, SMALL, np.random.default_rng(0))
    rows = language.rows(PROMPTS, ["try our lamps ."] * 4)
    before = measured(run.reference, rows)[0], reward_model.scored(rows)
    assert run.agent.critic is not None
    assert torch.equal(run.agent.critic.scored(rows), before[1])
    step(run, PROMPTS, likes_warmth)
    assert torch.equal(measured(run.reference, rows)[0], before[0])
    assert torch.equal(reward_model.scored(rows), before[1])
    assert not torch.equal(run.agent.critic.scored(rows), before[1])
    assert not torch.equal(measured(language.model, rows)[0], before[0])


def test_a_resumed_training_is_the_one_that_never_stopped() -> None:
    whole = started()
    for _ in range(3):
        step(whole, PROMPTS, likes_warmth)
    first = started()
    step(first, PROMPTS, likes_warmth)
    state = first.state()
    second = started(seed=99)
    second.load(state)
    for _ in range(2):
        step(second, PROMPTS, likes_warmth)
    assert torch.equal(second.values, whole.values)
    assert second.history == whole.history


@pytest.mark.parametrize("advantage", ["gae", "rloo", "reinforce"])
def test_what_is_rewarded_becomes_more_frequent(advantage: Any) -> None:
    config = AlignmentConfig(
        updates=12,
        texts=64,
        minibatch=32,
        most_tokens=6,
        learning_rate=1e-2,
        advantage=advantage,
        per_prompt=4,
        end_penalty=0.0,
        kl=AdaptiveKL(coefficient=0.0),
    )
    run = started(config)
    scores = [step(run, PROMPTS, likes_warmth).score for _ in range(12)]
    assert scores[-1] > scores[0] + 1.0


def test_a_price_on_the_kl_keeps_the_model_nearer() -> None:
    def distance(coefficient: float) -> float:
        config = replace(SMALL, updates=8, texts=64, minibatch=32, learning_rate=1e-2)
        run = started(replace(config, kl=AdaptiveKL(coefficient=coefficient)))
        return [step(run, PROMPTS, likes_warmth).kl_k3 for _ in range(8)][-1]

    assert distance(5.0) < distance(0.0) / 2


def test_rows_of_texts_train_like_their_tokens_one_by_one() -> None:
    """Padding has no part in an update: more of it gives the same parameters."""
    generator = np.random.default_rng(5)
    language = tiny_language()
    rows = language.rows(list(PROMPTS), ["try", "meet our bags .", "so new", "order now !"])
    wider = Sequences(torch.nn.functional.pad(rows.tokens, (0, 5), value=PAD), rows.prompt_width)
    score = generator.normal(size=4)

    def trained(texts: Sequences) -> torch.Tensor:
        model = tiny_language().model
        critic = ScoreModel.from_language_model(model, np.random.default_rng(1))
        agent = LanguageAgent(model, critic, prompt_width=texts.prompt_width, temperature=1.0)
        values, gradients = flatten_parameters(agent.parameters())
        policy, _ = measured(model, texts)
        made = training_rows(agent, texts, score, policy, policy - 0.1, AdaptiveKL(), SMALL)
        ppo = replace(SMALL.ppo(), minibatch_size=4)
        region = ppo.trust_region
        improve(agent, Adam(values, gradients), made, region, ppo, rng=np.random.default_rng(2))
        return values

    torch.testing.assert_close(trained(wider), trained(rows), atol=2e-5, rtol=0)


def test_leaving_one_out_gives_every_token_its_texts_whole_surprise() -> None:
    config = replace(SMALL, advantage="rloo", texts=4, per_prompt=2, minibatch=4)
    language = tiny_language()
    rows = language.rows([PROMPTS[0]] * 2 + [PROMPTS[1]] * 2, ["try", "so new", "meet", "now !"])
    agent = LanguageAgent(language.model, None, prompt_width=rows.prompt_width, temperature=1.0)
    policy, _ = measured(language.model, rows)
    score = np.array([3.0, 1.0, 0.0, 10.0])
    made = training_rows(agent, rows, score, policy, policy, AdaptiveKL(), config)
    for row, surprise in enumerate([2.0, -2.0, -10.0, 10.0]):
        target = made.target[row][rows.valid[row]]
        baseline = made.value_old[row][rows.valid[row]]
        assert (target - baseline).tolist() == pytest.approx([surprise] * len(target), abs=1e-5)
        assert len(set(made.advantage[row][rows.valid[row]].tolist())) == 1


def test_reinforce_gives_every_token_its_texts_whole_reward() -> None:
    config = replace(SMALL, advantage="reinforce", texts=4, minibatch=4)
    language = tiny_language()
    rows = language.rows([PROMPTS[0]] * 4, ["try", "so new", "meet", "now !"])
    agent = LanguageAgent(language.model, None, prompt_width=rows.prompt_width, temperature=1.0)
    policy, _ = measured(language.model, rows)
    score = np.array([3.0, 1.0, 0.0, 10.0])
    made = training_rows(agent, rows, score, policy, policy, AdaptiveKL(), config)
    for row, reward in enumerate(score):
        assert set(made.target[row][rows.valid[row]].tolist()) == {reward}
    assert not made.value_old.any()


def test_a_reward_that_is_no_number_is_refused() -> None:
    with pytest.raises(UserError, match="not a finite number"):
        step(started(), PROMPTS, lambda rows, texts, prompts: np.full(len(texts), np.nan))


def test_settings_that_contradict_are_refused() -> None:
    with pytest.raises(UserError, match="at least 2 with rloo"):
        AlignmentConfig(advantage="rloo")
    with pytest.raises(UserError, match=r"minibatch is 999[\s\S]*from 1 to texts"):
        AlignmentConfig(minibatch=999)
