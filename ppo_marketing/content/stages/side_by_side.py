"""What a reference and an aligned model write for the same prompts, rule by rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.drawing import draw
from ppo_marketing.content.judged import Sample
from ppo_marketing.content.models import LanguageModel
from ppo_marketing.content.rules.brand import Brand

MOST_SAMPLES = 24


def samples_of(
    reference: LanguageModel,
    aligned: LanguageModel,
    prompts: Sequence[str],
    brand: Brand,
    config: AlignmentConfig,
    rng: np.random.Generator,
) -> tuple[Sample, ...]:
    """Return a text of each model for the first prompts, as drawn: nothing is blocked here."""
    asked = list(prompts[:MOST_SAMPLES])
    texts = [
        language.texts(draw(language, language.model, asked, config, rng))
        for language in (reference, aligned)
    ]
    return tuple(
        Sample(prompt, before, after, brand.standing(before, prompt), brand.standing(after, prompt))
        for prompt, before, after in zip(asked, *texts, strict=True)
    )
