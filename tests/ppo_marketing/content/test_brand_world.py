from __future__ import annotations

import numpy as np
import pytest

from ppo_marketing.content import brand_world
from ppo_marketing.content.brand_world import gold

PROMPT = "shoes runners :"


@pytest.mark.parametrize(
    ("text", "points"),
    [
        # product 1, audience 1, one warm .9, no break, eight words
        ("meet our warm shoes for runners .", 2.9),
        # and a call .8, a benefit .5
        ("meet our warm shoes for runners with comfort . shop today !", 4.2),
        # another product: -.5 and the audience
        ("meet our bags for runners .", 0.5),
        # hype twice: .5 - .8, product 1
        ("meet our amazing ultimate shoes .", 1 + 0.5 - 0.8),
        # said twice: two warm words 1.8, one repetition -.5
        ("meet our warm warm shoes .", 1 + 1.8 - 0.5),
        # no grammar: "shoes shoes": start, between, end; a repetition; four words too short
        ("shoes shoes", 1.0 - 0.5 - 3 * 0.4 - 4 * 0.15),
    ],
)
def test_the_gold_score_is_what_its_table_says(text: str, points: float) -> None:
    assert gold(text, PROMPT) == pytest.approx(points)


def test_more_of_a_virtue_than_its_measure_costs() -> None:
    scores = [gold(f"meet our {' '.join(w)} shoes .", PROMPT) for w in (["warm"], ["warm"] * 4)]
    assert scores[1] < scores[0]


def test_lines_of_the_corpus_follow_the_grammar(rng: np.random.Generator) -> None:
    for prompt in brand_world.prompts(200, rng):
        line = brand_world.line(prompt, rng)
        assert brand_world._breaks(line.split()) == 0
        assert len(line.split()) <= brand_world.MOST_WORDS
        assert set(line.split()) <= set(brand_world.VOCABULARY)


def test_raters_err_as_often_as_they_are_said_to(rng: np.random.Generator) -> None:
    prompts = brand_world.prompts(3000, rng)
    first, second = ([brand_world.line(prompt, rng) for prompt in prompts] for _ in range(2))
    pairs = brand_world.rated(prompts, first, second, rng, noise=0.25)
    wrong = [gold(pair.chosen, pair.prompt) < gold(pair.rejected, pair.prompt) for pair in pairs]
    assert np.mean(wrong) == pytest.approx(0.25, abs=0.03)
    assert all(pair.chosen != pair.rejected for pair in pairs)
