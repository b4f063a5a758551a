"""`content sample`: the made-up brand as files, to try every stage without data of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ppo_marketing.content import brand_world
from ppo_marketing.content.models import tiny_gpt2
from ppo_marketing.content.places import PAIRS
from ppo_marketing.content.stages.files import as_rows, write_lines
from ppo_marketing.files import held_alone, write_atomically

RULES = """\
# Terms of the made-up brand's reward: see docs/content.md.
terms:
- {kind: banned, phrases: [free], hard: true}
- {kind: length, unit: words, at_most: 20, hard: true, weight: 0.1}
- {kind: channel, channel: sms, hard: true}
"""


GOLD = """\
# The made-up brand's true taste, for `content ppo --gold`: of text and prompt, in points.
from ppo_marketing.content.brand_world import gold
"""


def write_sample(
    output: Path, *, texts: int, pairs: int, width: int = 48, layers: int = 2, seed: int
) -> dict[str, Any]:
    """Write corpus, prompts, preferences, pairs to rate, a model, rules and the true taste.

    The model is a GPT-2 of random weights; raters prefer by the gold score and err in 25 %.

    Raises:
        UserError: the folder cannot be written.
    """
    rng = np.random.default_rng(seed)
    with held_alone(output):
        asked = brand_world.prompts(texts, rng)
        corpus = [{"prompt": prompt, "text": brand_world.line(prompt, rng)} for prompt in asked]
        write_lines(output / "corpus.jsonl", corpus)
        write_lines(output / "prompts.jsonl", ({"prompt": one} for one in brand_world.PROMPTS))
        shown = brand_world.prompts(pairs, rng)
        first, second = ([brand_world.line(p, rng) for p in shown] for _ in range(2))
        rated = brand_world.rated(shown, first, second, rng)
        write_lines(output / "preferences.jsonl", as_rows(rated))
        write_lines(output / PAIRS, _to_rate(rng))
        write_atomically(output / "reward.yaml", RULES.encode())
        write_atomically(output / "gold.py", GOLD.encode())
        tiny_gpt2(brand_world.VOCABULARY, width=width, layers=layers, room=32, seed=seed).save(
            output / "model"
        )
    return {"folder": str(output), "texts": len(corpus), "pairs": len(rated)}


def _to_rate(rng: np.random.Generator) -> list[dict[str, str]]:
    """Pairs that nobody has rated yet, one of each prompt."""
    pairs = [
        {"prompt": p, "a": brand_world.line(p, rng), "b": brand_world.line(p, rng)}
        for p in brand_world.PROMPTS
    ]
    return [pair for pair in pairs if pair["a"] != pair["b"]]
