"""Best-of-n, DPO and SFT on the best, on one pool of the reference's texts with their scores."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.content_distance import kl_of_texts, stop_between, weights_of
from benchmarks.content_parts import Contestant, gold_of
from ppo_marketing.content import brand_world
from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.best_of_n import best_of_n, n_of_kl
from ppo_marketing.content.drawing import draw
from ppo_marketing.content.fitting import Fit, FitSettings
from ppo_marketing.content.kl import best_of_n_kl
from ppo_marketing.content.models import LanguageModel
from ppo_marketing.content.objectives import direct_preference, next_token
from ppo_marketing.content.score_model import ScoreModel
from ppo_marketing.content.tokens import Sequences

CHUNK = 1024
"""Rows between two looks at the KL."""
LOOKED_AT = 2048
"""Texts of a look, at most: where to stop is then found with all that are judged."""


@dataclass(frozen=True)
class Pace:
    """How fast a rival learns, and how often it may see its texts before it gives up."""

    learning_rate: float
    passes: int


DPO = Pace(learning_rate=1e-4, passes=6)
SFT = Pace(learning_rate=5e-4, passes=60)
DPO_BETA = 0.5
"""Of .1 and .5 the one with more gold at 4 nats on a trial's seed: .53 and .68."""


@dataclass(frozen=True)
class Pool:
    """Texts of the reference, `[prompts, draws]` in a row, with the reward model's scores."""

    rows: Sequences
    texts: list[str]
    prompts: list[str]
    score: np.ndarray[Any, Any]  # [prompts, draws]

    @property
    def draws(self) -> int:
        """Texts of each prompt."""
        return int(self.score.shape[1])

    def groups(self, n: int) -> np.ndarray[Any, Any]:
        """Return the places of the best of every n texts of a prompt, without overlap."""
        whole = self.draws // n * n
        best = best_of_n(self.score[:, :whole].reshape(-1, n))
        first = np.arange(len(self.score))[:, None] * self.draws + np.arange(0, whole, n)
        return np.asarray(first.reshape(-1) + best)


def drawn_pool(
    language: LanguageModel, judge: ScoreModel, config: AlignmentConfig, texts: int, seed: int
) -> Pool:
    """Draw as many texts as a PPO training did, the same number for every prompt."""
    draws = max(2, texts // len(brand_world.PROMPTS) // 2 * 2)
    prompts = [prompt for prompt in brand_world.PROMPTS for _ in range(draws)]
    rows = draw(language, language.model, prompts, config, np.random.default_rng([seed, 7]))
    score = judge.scored(rows).double().numpy().reshape(-1, draws)
    return Pool(rows, language.texts(rows), prompts, score)


def best_of_pool(pool: Pool, scale: tuple[float, float], kl: float) -> Contestant:
    """Best-of-n at the n whose KL is nearest."""
    n = min(n_of_kl(kl), pool.draws)
    places = pool.groups(n)
    gold = brand_world.golds(
        [pool.texts[place] for place in places], [pool.prompts[place] for place in places]
    )
    gold = (gold - scale[0]) / scale[1]
    error = float(gold.std() / math.sqrt(len(gold)))
    return Contestant("best of n", best_of_n_kl(n), float(gold.mean()), error, len(pool.texts))


def direct(
    language: LanguageModel,
    pool: Pool,
    scale: tuple[float, float],
    config: AlignmentConfig,
    kl: float,
    judged: int,
    seed: int,
) -> Contestant:
    """DPO on the pool's texts in pairs, the reward model's choice; stopped at the KL."""
    own = LanguageModel(copy.deepcopy(language.model), language.tokenizer)
    flat = pool.score.reshape(-1)
    even = np.arange(0, len(flat), 2)
    better = np.where(flat[even] >= flat[even + 1], even, even + 1)
    worse = np.where(flat[even] >= flat[even + 1], even + 1, even)
    order = np.random.default_rng([seed, 8]).permutation(len(even))

    def objective(chunk: np.ndarray[Any, Any]) -> Callable[[Tensor], Tensor]:
        chosen, rejected = (
            pool.rows.take(torch.from_numpy(side[order[chunk]])) for side in (better, worse)
        )
        return direct_preference(own.model, language.model, chosen, rejected, beta=DPO_BETA)

    reached = until(own, language, objective, len(even), DPO, kl, config, judged, seed)
    return gold_of("DPO", own, language, scale, config, seed, judged, reached=reached)


def on_best(
    language: LanguageModel,
    pool: Pool,
    scale: tuple[float, float],
    config: AlignmentConfig,
    kl: float,
    judged: int,
    seed: int,
) -> Contestant:
    """SFT on what best-of-n would show at that KL; stopped at the KL."""
    own = LanguageModel(copy.deepcopy(language.model), language.tokenizer)
    places = pool.groups(min(n_of_kl(kl), pool.draws))
    order = np.random.default_rng([seed, 8]).permutation(places)

    def objective(chunk: np.ndarray[Any, Any]) -> Callable[[Tensor], Tensor]:
        return next_token(own.model, pool.rows.take(torch.from_numpy(order[chunk])))

    reached = until(own, language, objective, len(places), SFT, kl, config, judged, seed)
    return gold_of("SFT on the best", own, language, scale, config, seed, judged, reached=reached)


def until(
    own: LanguageModel,
    reference: LanguageModel,
    objective: Callable[[np.ndarray[Any, Any]], Callable[[Tensor], Tensor]],
    rows: int,
    pace: Pace,
    kl: float,
    config: AlignmentConfig,
    texts: int,
    seed: int,
) -> bool:
    """Fit chunk by chunk until the KL is met, on the line between the two looks around it.

    Return whether it was; where the passes did not lead so far, the last model stays.
    """
    size = min(CHUNK, rows)
    chunks = max(1, pace.passes * rows // size)
    fit = Fit(
        list(own.model.parameters()), size,
        # A rate that hardly falls: where to stop is the KL's to say.
        FitSettings(epochs=10 * chunks, batch=min(64, size), learning_rate=pace.learning_rate),
        np.random.default_rng([seed, 9]),
    )  # fmt: skip
    for chunk in range(chunks):
        before = weights_of(own.model)
        fit.epoch(objective(np.arange(chunk * size, (chunk + 1) * size) % rows))
        rng = np.random.default_rng([seed, 10])
        if kl_of_texts(own, reference, config, min(texts, LOOKED_AT), rng) >= kl:
            after = weights_of(own.model)
            stop_between(own, reference, before, after, kl, config, texts, seed)
            return True
    return False
