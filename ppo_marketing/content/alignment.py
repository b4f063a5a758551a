"""PPO on a language model: draw texts, score them, improve, and hold the model to its reference."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from ppo_marketing.content.agent import LanguageAgent
from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.drawing import draw
from ppo_marketing.content.kl import AdaptiveKL, k3
from ppo_marketing.content.language import measured
from ppo_marketing.content.models import LanguageModel
from ppo_marketing.content.score_model import ScoreModel
from ppo_marketing.content.token_rewards import (
    last_tokens,
    leave_one_out,
    token_rewards,
    whitened,
    with_end_penalty,
)
from ppo_marketing.content.tokens import Sequences
from ppo_marketing.errors import UserError
from ppo_marketing.ppo.adam import Adam
from ppo_marketing.ppo.advantages import gae
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.minibatches import TrainingRows
from ppo_marketing.ppo.networks import flatten_parameters
from ppo_marketing.ppo.update import UpdateStats, improve

Array = npt.NDArray[Any]


class Reward(Protocol):
    """What texts are worth: whole texts in, a number each out, in deviations of the reference."""

    def __call__(self, rows: Sequences, texts: Sequence[str], prompts: Sequence[str]) -> Array:
        """Return the scores, `[n]`."""
        ...


@dataclass(frozen=True)
class AlignmentRow:
    """One update: what its texts were before it, and what it did."""

    update: int  # counted from 1
    texts: int  # so far
    tokens: int  # generated so far
    kl: float  # nats a text, Σ k1 over tokens, before the update
    kl_k3: float  # the same by Σ k3: never negative, less noisy
    coefficient: float  # β of this update
    score: float  # mean, as the reward gave it
    length: float  # tokens, end token included
    ended: float  # share with an end token
    entropy: float  # nats a token
    learning: UpdateStats


@dataclass
class Alignment:
    """One training under way; `step` alone changes it."""

    language: LanguageModel
    reference: Any
    agent: LanguageAgent
    optimizer: Adam
    values: torch.Tensor  # every trained parameter, flat
    kl: AdaptiveKL
    rng: np.random.Generator
    config: AlignmentConfig
    history: list[AlignmentRow]

    def state(self) -> dict[str, Any]:
        """Return everything that the next update depends on."""
        return {
            "values": self.values.numpy().copy(),
            "optimizer": self.optimizer.state(),
            "kl": asdict(self.kl),
            "rng": self.rng.bit_generator.state,
            "history": [asdict(row) for row in self.history],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.values.copy_(torch.from_numpy(state["values"]))
        self.optimizer.load(state["optimizer"])
        self.kl = replace(self.kl, **state["kl"])
        self.rng.bit_generator.state = state["rng"]
        self.history = [
            AlignmentRow(**(row | {"learning": UpdateStats(**row["learning"])}))
            for row in state["history"]
        ]


def start_alignment(
    language: LanguageModel,
    reward_model: ScoreModel | None,
    prompts: Sequence[str],
    config: AlignmentConfig,
    rng: np.random.Generator,
) -> Alignment:
    """Return a training before its first update; the reference is the model as it stands.

    The critic is a copy of the reward model, which already tells good prefixes from bad ones; where
    there is none, the model's own trunk with a head of zeros. Only "gae" has a critic.

    Raises:
        UserError: prompts and responses are longer than the model reads.
    """
    width = max(map(len, language.prompts(prompts)))
    language.require_room(width + config.most_tokens)
    critic = None
    if config.advantage == "gae":
        critic = copy.deepcopy(reward_model or ScoreModel.from_language_model(language.model))
    reference = copy.deepcopy(language.model).requires_grad_(False)
    agent = LanguageAgent(
        language.model, critic, prompt_width=width, temperature=config.temperature
    )
    values, gradients = flatten_parameters(agent.parameters())
    return Alignment(
        language, reference, agent, Adam(values, gradients), values, config.kl, rng, config, []
    )


def step(run: Alignment, prompts: Sequence[str], reward: Reward) -> AlignmentRow:
    """Draw texts for `prompts`, score them and improve the policy in place.

    Source: Ziegler et al. 2019; Huang et al. 2023 and 2024 for the details.

    Raises:
        UserError: the reward gave a number that is not finite.
        TrainingDiverged: the loss or its gradient is not finite.
    """
    config = run.config
    asked = [
        prompts[place]
        for place in run.rng.integers(0, len(prompts), config.texts // config.per_prompt)
        for _ in range(config.per_prompt)
    ]
    drawn = draw(run.language, run.agent.policy, asked, config, run.rng, run.agent.prompt_width)
    texts = run.language.texts(drawn)
    score = np.asarray(reward(drawn, texts, asked), np.float64)
    if not np.isfinite(score).all():
        place = int(np.flatnonzero(~np.isfinite(score))[0])
        raise UserError(f"the reward of {texts[place]!r} is {score[place]}, not a finite number")
    policy, entropy = measured(run.agent.policy, drawn, config.temperature)
    reference, _ = measured(run.reference, drawn, config.temperature)
    ended = (drawn.response == run.language.end_token).any(dim=1)
    penalised = with_end_penalty(score, ended.numpy(), config.end_penalty)
    rows = training_rows(run.agent, drawn, penalised, policy, reference, run.kl, config)
    learning = improve(
        run.agent, run.optimizer, rows, config.ppo().trust_region, _settings(run), rng=run.rng
    )
    kl = float((policy - reference).sum(dim=1).mean())
    valid = drawn.valid
    done = run.history[-1] if run.history else None
    row = AlignmentRow(
        update=len(run.history) + 1,
        texts=len(drawn) + (done.texts if done else 0),
        tokens=int(valid.sum()) + (done.tokens if done else 0),
        kl=kl,
        kl_k3=float(k3((reference - policy)[valid]).sum() / len(drawn)),
        coefficient=run.kl.coefficient,
        score=float(score.mean()),
        length=float(drawn.lengths.double().mean()),
        ended=float(ended.double().mean()),
        entropy=float(entropy[valid].mean()),
        learning=learning,
    )
    run.kl = run.kl.updated(kl, len(drawn))
    run.history.append(row)
    return row


def _settings(run: Alignment) -> PPOConfig:
    """The learning rate falls linearly to zero where no KL is followed, as published."""
    ppo = run.config.ppo()
    if run.config.kl.target_kl is not None:
        return ppo
    return ppo.at(len(run.history) / run.config.updates)


def training_rows(
    agent: LanguageAgent,
    drawn: Sequences,
    score: Array,
    log_prob: torch.Tensor,
    log_prob_reference: torch.Tensor,
    kl: AdaptiveKL,
    config: AlignmentConfig,
) -> TrainingRows:
    """Return texts as the core's rows: rewards by token, advantages whitened over the update.

    A text's end is a termination, also where it was cut: what it is worth has been said. With
    "rloo" the whole reward is on the last token and the baseline is the value of every token, so
    that with γ = λ = 1 each token's advantage is R_i - mean of the others; with "reinforce" the
    value is 0, and each token's advantage R_i.
    """
    with torch.no_grad():
        value = agent.values(drawn.tokens)
    valid = drawn.valid.numpy().T
    rewards = token_rewards(
        score,
        log_prob.double().numpy().T,
        log_prob_reference.double().numpy().T,
        valid,
        kl.coefficient,
    )
    last = last_tokens(valid)
    value_old = np.where(valid, value.numpy().T, np.float32(0.0))
    if config.advantage != "gae":
        total = rewards.sum(axis=0)
        rewards = np.where(last, total, 0.0)
    if config.advantage == "rloo":
        baseline = leave_one_out(total.reshape(-1, config.per_prompt)).reshape(-1)
        value_old = np.where(valid, baseline.astype(np.float32), np.float32(0.0))
    next_value = np.concatenate([value_old[1:], np.zeros_like(value_old[:1])])
    ppo = config.ppo()
    advantage = gae(rewards, value_old, next_value, last, last, gamma=ppo.gamma, lam=ppo.gae_lambda)
    white = whitened(advantage, valid)
    return TrainingRows(
        inputs=drawn.tokens,
        action=drawn.response,
        allowed=None,
        log_prob_old=torch.empty(drawn.response.shape),
        log_prob_reference=None,
        advantage=torch.from_numpy(white.T.astype(np.float32)),
        target=torch.from_numpy((advantage + value_old).T.astype(np.float32)),
        value_old=torch.from_numpy(np.ascontiguousarray(value_old.T)),
        valid=drawn.valid,
    )
