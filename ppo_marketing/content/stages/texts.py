"""`content generate` and `content compare`: what models write, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.best_of_n import best_of_n
from ppo_marketing.content.drawing import draw
from ppo_marketing.content.kl import best_of_n_kl, k3
from ppo_marketing.content.language import measured
from ppo_marketing.content.models import LanguageModel, load_language_model
from ppo_marketing.content.rules.brand import Brand, read_brand
from ppo_marketing.content.scoring import BrandReward, brand_reward
from ppo_marketing.content.stages.files import read_prompts
from ppo_marketing.errors import UserError
from ppo_marketing.export.cells import csv_bytes, unusable
from ppo_marketing.files import made, write_atomically
from ppo_marketing.intervals import Bounds, normal, wilson

ATTEMPTS = 16


@dataclass(frozen=True)
class Written:
    """A text that may be shown, or a prompt that no attempt found one for."""

    prompt: str
    text: str | None
    attempts: int
    blocked: tuple[str, ...]  # why the attempts before it were not shown


def generate(
    model: Path,
    prompts: Path,
    output: Path,
    *,
    rules: Path | None,
    per_prompt: int,
    config: AlignmentConfig,
    seed: int,
) -> dict[str, Any]:
    """Write texts as a copy deck, a CSV of prompt and text; none breaks a hard rule.

    A text that breaks one is drawn again, up to 16 times; a prompt without any text left is told.

    Raises:
        UserError: an input cannot be used.
    """
    if output.suffix != ".csv":
        raise UserError(f"a copy deck is a CSV: name a file {output.stem}.csv")
    language = load_language_model(model)
    brand = None if rules is None else read_brand(rules)
    asked = [prompt for prompt in read_prompts(prompts) for _ in range(per_prompt)]
    written = allowed_texts(language, brand, asked, config, np.random.default_rng(seed))
    deck = [{"prompt": one.prompt, "text": one.text} for one in written if one.text is not None]
    made(output.parent)
    write_atomically(output, deck_of(deck))
    return {
        "deck": str(output),
        "texts": len(deck),
        "rows": deck,
        "blocked": sum(len(one.blocked) for one in written),
        "without_text": [one.prompt for one in written if one.text is None],
        "reasons": _most_frequent([why for one in written for why in one.blocked]),
    }


def deck_of(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Return rows `{"prompt", "text"}` as a CSV that no spreadsheet runs a formula of."""
    return csv_bytes(["prompt", "text"], rows, mode="spreadsheet")


def allowed_texts(
    language: LanguageModel,
    brand: Brand | None,
    prompts: Sequence[str],
    config: AlignmentConfig,
    rng: np.random.Generator,
    attempts: int = ATTEMPTS,
) -> list[Written]:
    """Return for every prompt a text that breaks no hard rule, was ended and can be exported."""
    blocked: list[list[str]] = [[] for _ in prompts]
    found: dict[int, str] = {}
    tried = [0] * len(prompts)
    for _ in range(attempts):
        left = [place for place in range(len(prompts)) if place not in found]
        if not left:
            break
        rows = draw(language, language.model, [prompts[p] for p in left], config, rng)
        ended = (rows.response == language.end_token).any(dim=1).tolist()
        for place, text, whole in zip(left, language.texts(rows), ended, strict=True):
            tried[place] += 1
            why = blocking(brand, text, prompts[place], whole)
            if why:
                blocked[place] += why
            else:
                found[place] = text
    return [
        Written(prompt, found.get(place), tried[place], tuple(blocked[place]))
        for place, prompt in enumerate(prompts)
    ]


def blocking(brand: Brand | None, text: str, prompt: str, ended: bool) -> list[str]:
    """Return why a text may not be shown: no words, no end, unusable characters, hard rules."""
    if not text.strip():
        return ["is empty"]
    why = [] if ended else ["was cut before its end"]
    unfit = unusable(text)
    why += [] if unfit is None else [unfit]
    return why + ([] if brand is None else list(brand.problems(text, prompt)))


@dataclass(frozen=True)
class Compared:
    """One model's texts beside the reference's, prompt by prompt."""

    name: str
    kl: float  # nats a text; best-of-n by its formula
    score: float  # mean, as the reward gives it
    gain: Bounds  # 95 % interval of the mean difference from the reference
    win_rate: float  # share of prompts on which it scores above the reference; ties count half
    win_bounds: Bounds
    broken: float | None  # share of texts that break a hard rule
    length: float  # words


def compare(
    reference: Path,
    models: Sequence[Path],
    prompts: Path,
    *,
    rules: Path | None,
    reward: Path | None,
    best_of: int,
    chosen_by: Path | None,
    texts: int,
    config: AlignmentConfig,
    seed: int,
) -> list[Compared]:
    """Compare models with their reference on the same prompts, and with the reference's best of n.

    Scores are those of the reward that is given: use one that no model was trained on. The best of
    n is chosen by the reward models in `chosen_by`, or by that very reward.

    Raises:
        UserError: an input cannot be used.
    """
    base = load_language_model(reference)
    brand = None if rules is None else read_brand(rules)
    worth = brand_reward(brand, Path() if rules is None else rules.parent, reward)
    pool = read_prompts(prompts)
    asked = [pool[p] for p in np.random.default_rng([seed, 0]).integers(0, len(pool), texts)]
    own = _Texts.of(base, base, asked, worth, config, seed)
    rows = [own.beside(own, reference.name, brand)]
    for place, folder in enumerate(models, 1):
        model = load_language_model(folder)
        found = _Texts.of(model, base, asked, worth, config, seed + place)
        rows.append(found.beside(own, str(folder), brand))
    if best_of > 1:
        chooser = worth if chosen_by is None else brand_reward(None, Path(), chosen_by)
        found = _best_of(base, asked, worth, chooser, config, seed, best_of)
        rows.append(found.beside(own, f"best of {best_of}", brand))
    return rows


@dataclass(frozen=True)
class _Texts:
    texts: list[str]
    prompts: list[str]
    score: Any
    kl: float

    @classmethod
    def of(
        cls,
        language: LanguageModel,
        reference: LanguageModel,
        prompts: list[str],
        worth: BrandReward,
        config: AlignmentConfig,
        seed: int,
    ) -> _Texts:
        rng = np.random.default_rng([seed, 1])
        rows = draw(language, language.model, prompts, config, rng)
        texts = language.texts(rows)
        policy, _ = measured(language.model, rows, config.temperature)
        anchor, _ = measured(reference.model, rows, config.temperature)
        kl = float(k3((anchor - policy)[rows.valid]).sum() / len(rows))
        return cls(texts, prompts, worth(rows, texts, prompts), kl)

    def beside(self, other: _Texts, name: str, brand: Brand | None) -> Compared:
        difference = self.score - other.score
        wins = float(np.where(difference == 0, 0.5, difference > 0).sum())
        n = len(difference)
        broken = None
        if brand is not None:
            pairs = zip(self.texts, self.prompts, strict=True)
            broken = float(np.mean([bool(brand.problems(*pair)) for pair in pairs]))
        return Compared(
            name=name,
            kl=self.kl,
            score=float(self.score.mean()),
            gain=normal(float(difference.mean()), float(difference.var(ddof=1)) / n),
            win_rate=wins / n,
            win_bounds=wilson(round(wins), n),
            broken=broken,
            length=float(np.mean([len(text.split()) for text in self.texts])),
        )


def _best_of(
    base: LanguageModel,
    prompts: list[str],
    worth: BrandReward,
    chooser: BrandReward,
    config: AlignmentConfig,
    seed: int,
    n: int,
) -> _Texts:
    """For every prompt, of n texts of the reference the one that the chooser scores highest."""
    asked = [prompt for prompt in prompts for _ in range(n)]
    rows = draw(base, base.model, asked, config, np.random.default_rng([seed, 2]))
    every = base.texts(rows)
    best = best_of_n(np.asarray(chooser(rows, every, asked)).reshape(len(prompts), n))
    places = np.arange(len(prompts)) * n + best
    texts = [every[place] for place in places]
    score = worth(rows.take(torch.from_numpy(places)), texts, prompts)
    return _Texts(texts, prompts, score, best_of_n_kl(n))


def _most_frequent(reasons: Sequence[str]) -> dict[str, int]:
    count: dict[str, int] = {}
    for reason in reasons:
        count[reason] = count.get(reason, 0) + 1
    return dict(sorted(count.items(), key=lambda one: -one[1])[:10])
