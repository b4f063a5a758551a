"""`content gate` and `content regress`: may a model be used, and what would it change?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.drawing import draw
from ppo_marketing.content.kl import k3
from ppo_marketing.content.language import measured
from ppo_marketing.content.models import LanguageModel, load_language_model
from ppo_marketing.content.release import ContentVerdict, Measured, Shipped, judge
from ppo_marketing.content.rules.brand import Brand, read_brand
from ppo_marketing.content.stages.files import read_prompts
from ppo_marketing.content.stages.texts import allowed_texts, compare
from ppo_marketing.errors import UserError

LIKELIEST = 1e-3
"""A temperature so low that the likeliest token is drawn, unless two are as likely."""


def gate(
    reference: Path,
    model: Path,
    prompts: Path,
    *,
    rules: Path,
    reward: Path | None,
    texts: int,
    most_nats: float,
    config: AlignmentConfig,
    seed: int,
) -> ContentVerdict:
    """Judge an aligned model by its texts, beside its reference's on the same prompts.

    Raises:
        UserError: an input cannot be used.
    """
    row, shipped = measured_for_gate(
        reference, model, prompts,
        rules=rules, reward=reward, texts=texts, config=config, seed=seed,
    )  # fmt: skip
    return judge(row, shipped, most_nats)


def measured_for_gate(
    reference: Path,
    model: Path,
    prompts: Path,
    *,
    rules: Path,
    reward: Path | None,
    texts: int,
    config: AlignmentConfig,
    seed: int,
) -> tuple[Measured, Shipped]:
    """Measure what the gate judges: a model beside its reference, and its texts as they would ship.

    Raises:
        UserError: an input cannot be used.
    """
    _, row = compare(
        reference, [model], prompts,
        rules=rules, reward=reward, best_of=1, chosen_by=None, texts=texts, config=config,
        seed=seed,
    )  # fmt: skip
    language, brand = load_language_model(model), read_brand(rules)
    pool = read_prompts(prompts)
    asked = [pool[place % len(pool)] for place in range(max(texts, len(pool)))]
    written = allowed_texts(language, brand, asked, config, np.random.default_rng([seed, 9]))
    shown = [(one.text, one.prompt) for one in written if one.text is not None]
    shipped = Shipped(
        texts=len(shown),
        violations=sum(bool(brand.problems(text, prompt)) for text, prompt in shown),
        blocked=sum(len(one.blocked) for one in written),
        without_text=len({one.prompt for one in written if one.text is None}),
    )
    return Measured(row.kl, row.win_rate, row.win_bounds), shipped


@dataclass(frozen=True)
class PromptChange:
    """What another model, or other rules, do to one prompt."""

    prompt: str
    old_text: str  # the likeliest of each model
    new_text: str
    kept_before: float  # share of the old model's texts that keep the old rules
    kept_after: float  # share of the new model's texts that keep the new rules
    kl: float  # nats a text from the old model to the new

    @property
    def changed(self) -> bool:
        """Whether the likeliest text is another one."""
        return self.old_text != self.new_text


@dataclass(frozen=True)
class Regression:
    """What changes, prompt by prompt, the farthest first."""

    prompts: tuple[PromptChange, ...]
    old_under_new_rules: float  # share of the old model's texts: why the change was needed

    @property
    def kl(self) -> float:
        """Nats a text, the mean over prompts."""
        return float(np.mean([one.kl for one in self.prompts]))

    def as_values(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "kl": self.kl,
            "changed": sum(one.changed for one in self.prompts),
            "compliance_before": float(np.mean([one.kept_before for one in self.prompts])),
            "compliance_after": float(np.mean([one.kept_after for one in self.prompts])),
            "old_model_under_new_rules": self.old_under_new_rules,
            "prompts": [asdict(one) | {"changed": one.changed} for one in self.prompts],
        }


def regress(
    old: Path,
    new: Path,
    prompts: Path,
    *,
    rules: Path,
    old_rules: Path | None,
    texts: int,
    config: AlignmentConfig,
    seed: int,
) -> Regression:
    """Compare two models prompt by prompt: likeliest texts, compliance of drawn ones, KL.

    Compliance is of texts as the models write them, before anything is blocked. Where no old rules
    are given, the new ones are asked of both.

    Raises:
        UserError: an input cannot be used, or the models' tokenizers differ.
    """
    before, after = load_language_model(old), load_language_model(new)
    if before.tokenizer.get_vocab() != after.tokenizer.get_vocab():
        raise UserError(
            f"{old} and {new} have different tokenizers, so that no KL between them can be taken: "
            "compare models that were aligned from one reference"
        )
    now = read_brand(rules)
    then = now if old_rules is None else read_brand(old_rules)
    pool = read_prompts(prompts)
    likeliest = AlignmentConfig(most_tokens=config.most_tokens, temperature=LIKELIEST)
    first, second = (_drawn(model, pool, likeliest, seed)[0] for model in (before, after))
    asked = [prompt for prompt in pool for _ in range(texts)]
    old_texts, _ = _drawn(before, asked, config, seed)
    new_texts, rows = _drawn(after, asked, config, seed)
    policy, _ = measured(after.model, rows, config.temperature)
    anchor, _ = measured(before.model, rows, config.temperature)
    kl = (k3(anchor - policy) * rows.valid).sum(dim=1).double().numpy().reshape(-1, texts)
    kept = [
        _kept(brand, written, asked).reshape(-1, texts)
        for brand, written in ((then, old_texts), (now, new_texts), (now, old_texts))
    ]
    changes = [
        PromptChange(
            prompt, first[place], second[place],
            float(kept[0][place].mean()), float(kept[1][place].mean()), float(kl[place].mean()),
        )
        for place, prompt in enumerate(pool)
    ]  # fmt: skip
    return Regression(tuple(sorted(changes, key=lambda one: -one.kl)), float(kept[2].mean()))


def _drawn(
    language: LanguageModel, prompts: Sequence[str], config: AlignmentConfig, seed: int
) -> tuple[list[str], Any]:
    """Texts from the same random numbers for every model, so that equal models write the same."""
    rows = draw(language, language.model, prompts, config, np.random.default_rng([seed, 4]))
    return language.texts(rows), rows


def _kept(brand: Brand, texts: Sequence[str], prompts: Sequence[str]) -> np.ndarray[Any, Any]:
    return np.array([not brand.problems(*pair) for pair in zip(texts, prompts, strict=True)])
