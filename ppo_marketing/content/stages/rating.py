"""`content pairs` and `content rate`: people choose between two texts, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.drawing import draw
from ppo_marketing.content.models import load_language_model
from ppo_marketing.content.stages.files import read_lines, read_prompts, write_lines
from ppo_marketing.errors import Refused
from ppo_marketing.files import held_alone, made

Ask = Callable[[str, str, str], str]
Choice = Literal["first", "second"]


@dataclass(frozen=True)
class Question:
    """A pair as a rater sees it: its place in the file, and two texts in an order that hides which
    is a and which is b.
    """

    place: int
    prompt: str
    first: str
    second: str

    def rating(self, choice: Choice) -> dict[str, str]:
        """Return the line that a choice writes, as `content reward` reads it."""
        chosen, rejected = (
            (self.first, self.second) if choice == "first" else (self.second, self.first)
        )
        return {"prompt": self.prompt, "chosen": chosen, "rejected": rejected}


def open_questions(
    pairs: Sequence[Mapping[str, str]], rated: Sequence[Mapping[str, Any]], seed: int
) -> tuple[Question, ...]:
    """Return the pairs that nobody rated yet, in the file's order."""
    seen = {_pair(row["prompt"], row["chosen"], row["rejected"]) for row in rated}
    return tuple(
        _question(place, pair, seed)
        for place, pair in enumerate(pairs)
        if _pair(pair["prompt"], pair["a"], pair["b"]) not in seen
    )


def rate(pairs: Sequence[dict[str, str]], output: Path, ask: Ask, seed: int) -> dict[str, int]:
    """Have a person choose between texts a and b of every pair.

    `ask(prompt, first, second)` returns 1, 2, s (skip) or q (stop). What was rated stands in
    `output`, a line a pair, at once; the same command goes on with the rest.

    Raises:
        UserError: `output` cannot be read or written.
    """
    made(output.parent)
    with held_alone(output.parent, "rate into another folder"):
        rows = ratings_in(output)
        done = 0
        for question in open_questions(pairs, rows, seed):
            answer = ask(question.prompt, question.first, question.second)
            if answer == "q":
                break
            if answer not in ("1", "2"):
                continue
            rows.append(question.rating("first" if answer == "1" else "second"))
            write_lines(output, rows)
            done += 1
    return {"rated_now": done, "rated": len(rows), "pairs": len(pairs)}


def rate_one(
    pairs: Sequence[Mapping[str, str]], output: Path, question: Question, choice: Choice, rater: str
) -> int:
    """Keep one choice, with who made it, and return how many pairs are rated.

    Raises:
        Refused: somebody else rated that pair meanwhile, or the pairs are no longer those.
        AlreadyRunning: somebody else writes at this moment.
        UserError: `output` cannot be read or written.
    """
    made(output.parent)
    with held_alone(output.parent, "press again"):
        rows = ratings_in(output)
        left = {(one.prompt, one.first, one.second) for one in open_questions(pairs, rows, 0)}
        left |= {(prompt, second, first) for prompt, first, second in left}
        if (question.prompt, question.first, question.second) not in left:
            raise Refused("that pair was rated meanwhile: nothing of yours was recorded; go on")
        write_lines(output, [*rows, {**question.rating(choice), "rater": rater}])
        return len(rows) + 1


def write_pairs(
    model: Path,
    prompts: Path,
    output: Path,
    *,
    per_prompt: int,
    config: AlignmentConfig,
    seed: int,
) -> int:
    """Write pairs of texts to be rated, `{"prompt", "a", "b"}` a line, and return how many.

    Texts that are empty or alike are left out: there is nothing to choose.

    Raises:
        UserError: an input cannot be used.
    """
    language, rng = load_language_model(model), np.random.default_rng(seed)
    asked = [prompt for prompt in read_prompts(prompts) for _ in range(per_prompt)]
    first, second = (
        language.texts(draw(language, language.model, asked, config, rng)) for _ in range(2)
    )
    rows = [
        {"prompt": prompt, "a": a, "b": b}
        for prompt, a, b in zip(asked, first, second, strict=True)
        if a.strip() and b.strip() and a.split() != b.split()
    ]
    write_lines(output, rows)
    return len(rows)


def ratings_in(output: Path) -> list[dict[str, Any]]:
    """Return what was rated so far; none where there is no file."""
    return read_lines(output) if output.exists() else []


def _question(place: int, pair: Mapping[str, str], seed: int) -> Question:
    shown = [pair["a"], pair["b"]]
    if np.random.default_rng([seed, place]).random() < 0.5:
        shown.reverse()
    return Question(place, pair["prompt"], *shown)


def _pair(prompt: str, one: str, other: str) -> tuple[str, ...]:
    return (prompt, *sorted((one, other)))
