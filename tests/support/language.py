"""A tiny language model for tests: random weights, a word-level tokenizer, nothing trained."""

from __future__ import annotations

from ppo_marketing.content import brand_world
from ppo_marketing.content.models import LanguageModel, tiny_gpt2


def tiny_language(seed: int = 0, width: int = 16) -> LanguageModel:
    """A model of the brand world's words that knows nothing yet."""
    return tiny_gpt2(brand_world.VOCABULARY, width=width, layers=1, room=32, seed=seed)
