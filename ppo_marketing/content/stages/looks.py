"""Looks at an alignment under way: fresh texts, held against what it does not follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppo_marketing.content.alignment import Alignment
from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.drawing import draw
from ppo_marketing.content.kl import k1, k3
from ppo_marketing.content.language import measured
from ppo_marketing.content.models import LanguageModel
from ppo_marketing.content.rules.brand import own_function
from ppo_marketing.content.scoring import load_members
from ppo_marketing.content.tokens import Sequences
from ppo_marketing.errors import UserError

LOOK_EVERY = 5
LOOKED_AT = 512
Judge = Callable[[Sequences, Sequence[str], Sequence[str]], float]
Truth = Callable[[Sequence[str], Sequence[str]], Any]
Look = dict[str, float]
"""update, kl in nats, and what was asked: the held-out "score", "gold"; both in deviations of the
reference's texts."""


@dataclass(frozen=True)
class Judges:
    """Who looks on: reward models of other pairs, which choose the update that is kept, and a score
    that is trusted, in deviations of the reference's texts, which chooses nothing.
    """

    held_out: Judge | None
    gold: Truth | None

    def __bool__(self) -> bool:
        """Whether anybody looks."""
        return self.held_out is not None or self.gold is not None

    def look(self, run: Alignment, prompts: Sequence[str]) -> Look:
        """Draw fresh texts, with a generator of their own, and judge them."""
        rng = np.random.default_rng([len(run.history), 7])
        rows, texts, asked = drawn(run.language, run.agent.policy, prompts, run.config, rng)
        found: Look = {"update": len(run.history), "kl": distance(run, rows)[0]}
        if self.held_out is not None:
            found["score"] = self.held_out(rows, texts, asked)
        if self.gold is not None:
            found["gold"] = float(np.mean(self.gold(texts, asked)))
        return found


def in_deviations(truth: Truth, run: Alignment, prompts: Sequence[str]) -> Truth:
    """Return a score less its mean on the reference's texts, over its deviation there.

    Raises:
        UserError: it scores all of them alike.
    """
    rng = np.random.default_rng([0, 7])
    _, texts, asked = drawn(run.language, run.reference, prompts, run.config, rng)
    scores = np.asarray(truth(texts, asked), np.float64)
    mean, deviation = float(scores.mean()), float(scores.std())
    if not deviation > 0:
        raise UserError(
            "the gold function scores every text of the reference alike: it tells nothing"
        )
    return lambda texts, prompts: (np.asarray(truth(texts, prompts)) - mean) / deviation


def judge_of(folder: Path) -> Judge:
    """Return the mean score by the reward models in a folder.

    Raises:
        UserError: there is none.
    """
    members = load_members(folder)

    def judge(rows: Sequences, texts: Sequence[str], prompts: Sequence[str]) -> float:
        return float(np.mean([member.scored(rows).mean() for member in members]))

    return judge


def drawn(
    language: LanguageModel,
    model: Any,
    prompts: Sequence[str],
    config: AlignmentConfig,
    rng: np.random.Generator,
    n: int = LOOKED_AT,
) -> tuple[Sequences, list[str], list[str]]:
    """Return n texts of a model for prompts drawn with replacement: rows, texts, prompts."""
    asked = [prompts[place] for place in rng.integers(0, len(prompts), n)]
    rows = draw(language, model, asked, config, rng)
    return rows, language.texts(rows), asked


def distance(run: Alignment, rows: Sequences) -> tuple[float, float]:
    """Return the KL to the reference of texts drawn from the policy, nats a text, by k1 and k3.

    k3 is the better one near the reference. Far from it a few tokens that the reference hardly ever
    says make k3 swing, and k1 is steady; at 0 at least here.
    """
    policy, _ = measured(run.agent.policy, rows, run.config.temperature)
    reference, _ = measured(run.reference, rows, run.config.temperature)
    log_ratio = (reference - policy)[rows.valid]
    n = len(rows)
    return max(0.0, float(k1(log_ratio).sum() / n)), float(k3(log_ratio).sum() / n)


def truth_of(named: str) -> Truth:
    """Return a team's own score of texts, FILE.py:NAME, a function of text and prompt.

    Raises:
        UserError: there is no such function; when it is asked: it failed, or gave no finite number.
    """
    if ":" not in named:
        raise UserError(f"{named!r} names no function: write FILE.py:NAME")
    file, name = named.rsplit(":", 1)
    function = own_function(f"{Path(file).name}:{name}", Path(file).parent)

    def gold(texts: Sequence[str], prompts: Sequence[str]) -> list[float]:
        scores = []
        for text, prompt in zip(texts, prompts, strict=True):
            try:
                scores.append(float(function(text, prompt)))
            except Exception as error:  # a team's own code may raise anything
                raise UserError(
                    f"{named} failed on {text!r}: {type(error).__name__}: {error}"
                ) from error
        if not np.isfinite(scores).all():
            raise UserError(f"{named} returned a number that is not finite")
        return scores

    return gold
