"""Signs of a fooled reward, beside the reference's: an audit of what happened, not a warning.

By the time that a sign shows, gold has usually fallen already; and each has innocent causes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

STANDARD_ERRORS = 3.0
RELATIVE = 0.25


@dataclass(frozen=True)
class Sign:
    """One statistic of texts, of the reference and of the aligned model."""

    name: str
    reference: float
    aligned: float
    standard_error: float  # of the difference
    marked: bool

    @property
    def change(self) -> float:
        """aligned - reference."""
        return self.aligned - self.reference


def repetition(words: Sequence[str], n: int = 2) -> float:
    """Return the share of a text's n-grams that it has said before; 0 for texts without any."""
    grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    total = sum(grams.values())
    return 1.0 - len(grams) / total if total else 0.0


def signs(
    reference: dict[str, Array], aligned: dict[str, Array], *, relative: float = RELATIVE
) -> tuple[Sign, ...]:
    """Compare statistics by name, one number a text each, such as `text_statistics` returns.

    A sign is marked where the means differ by more than `relative` of the reference's (or of its
    deviation, if larger) and by more than three standard errors: large and no accident.
    """
    found = []
    for name, before in reference.items():
        after = aligned[name]
        old, new = float(before.mean()), float(after.mean())
        error = float(np.sqrt(before.var() / len(before) + after.var() / len(after)))
        scale = max(abs(old), float(before.std()))
        moved = abs(new - old)
        marked = moved > relative * scale and moved > STANDARD_ERRORS * error
        found.append(Sign(name, old, new, error, bool(marked)))
    return tuple(found)


def text_statistics(
    texts: Sequence[str], ended: Array, entropy: Array, disagreement: Array | None = None
) -> dict[str, Array]:
    """Return the audited statistics, `[n]` each: length in words, repetition, ends, entropy.

    `entropy` is the mean over a text's tokens, nats; `disagreement` the ensemble's deviation.
    """
    words = [text.split() for text in texts]
    statistics = {
        "length, words": np.array([len(one) for one in words], np.float64),
        "repeated pairs of words, share": np.array([repetition(one) for one in words]),
        "ended by the end token, share": np.asarray(ended, np.float64),
        "entropy a token, nats": np.asarray(entropy, np.float64),
    }
    if disagreement is not None:
        statistics["ensemble disagreement"] = np.asarray(disagreement, np.float64)
    return statistics
