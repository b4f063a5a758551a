"""`content rate`: a person chooses between two texts, and nothing that was chosen is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ppo_marketing.content.stages.files import read_lines, write_lines
from ppo_marketing.files import held_alone, made

Ask = Callable[[str, str, str], str]


def rate(pairs: Sequence[dict[str, str]], output: Path, ask: Ask, seed: int) -> dict[str, int]:
    """Have a person choose between texts a and b of every pair, in an order that hides which is.

    `ask(prompt, first, second)` returns 1, 2, s (skip) or q (stop). What was rated stands in
    `output`, a line a pair, at once; the same command goes on with the rest.

    Raises:
        UserError: `output` cannot be read or written.
    """
    made(output.parent)
    with held_alone(output.parent, "rate into another folder"):
        rows = read_lines(output) if output.exists() else []
        seen = {(row["prompt"], *sorted((row["chosen"], row["rejected"]))) for row in rows}
        done = 0
        for place, pair in enumerate(pairs):
            if (pair["prompt"], *sorted((pair["a"], pair["b"]))) in seen:
                continue
            shown = [pair["a"], pair["b"]]
            if np.random.default_rng([seed, place]).random() < 0.5:
                shown.reverse()
            answer = ask(pair["prompt"], *shown)
            if answer == "q":
                break
            if answer not in ("1", "2"):
                continue
            chosen, rejected = shown if answer == "1" else shown[::-1]
            rows.append({"prompt": pair["prompt"], "chosen": chosen, "rejected": rejected})
            write_lines(output, rows)
            done += 1
    return {"rated_now": done, "rated": len(rows), "pairs": len(pairs)}
