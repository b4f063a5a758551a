"""Golden vectors: what the trained policy answered, kept to check every copy of it by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.export.onnx_policy import Answer

Array = NDArray[Any]

TOLERANCE = 1e-6
"""Of a probability, of an action, and of a score in units of its row's largest (at least 1): about
ten roundings of single precision, which both sides compute in."""


def as_answer(golden: Mapping[str, Any]) -> tuple[Array, Array | None, Answer]:
    """Observations, masks and answers of what `golden_vectors` wrote."""
    mask = golden["mask"]
    chance = golden["probability"]
    return (
        np.array(golden["observation"], np.float32),
        None if mask is None else np.array(mask, np.bool_),
        Answer(
            np.array(golden["action"]),
            np.array(golden["score"], np.float32),
            None if chance is None else np.array(chance, np.float32),
        ),
    )


def disagreements(
    found: Answer, wanted: Answer, action: Mapping[str, Any], tolerance: float = TOLERANCE
) -> list[str]:
    """Where two answers differ by more than rounding; `action` is the schema of actions.

    Two choices are the same answer where their probabilities tie within the tolerance.
    """
    problems = []
    reach = np.where(np.abs(wanted.score) < 1e7, np.abs(wanted.score), 0.0).max(axis=1)
    allowed = tolerance * np.maximum(1.0, reach)[:, None]
    distances = {"score": np.abs(found.score - wanted.score) / allowed * tolerance}
    if wanted.probability is None:
        far = np.abs(np.asarray(found.action, np.float64) - wanted.action)
        distances["action"] = far / np.maximum(1.0, np.abs(wanted.action))
    else:
        assert found.probability is not None
        distances["probability"] = np.abs(found.probability - wanted.probability)
        distances["choice"] = _gaps(found.action, wanted, action)
    for name, distance in distances.items():
        largest = float(distance.max()) if np.isfinite(distance).all() else np.inf
        if not largest <= tolerance:
            problems.append(f"{name} differs by {largest:.3g}, allowed {tolerance:g}")
    return problems


def _gaps(chosen: Array, wanted: Answer, action: Mapping[str, Any]) -> Array:
    """How much less likely the found choices are than the wanted ones, `[n]`, the most of parts."""
    assert wanted.probability is not None
    rows = np.arange(len(wanted.action))
    starts = np.array(action["starts"])
    edges = np.cumsum([0, *action["counts"]])
    two = [np.asarray(a).reshape(len(rows), -1) - starts for a in (chosen, wanted.action)]
    gaps = np.zeros(len(rows))
    for part, first in enumerate(edges[:-1]):
        found, best = (wanted.probability[rows, first + one[:, part]] for one in two)
        gaps = np.maximum(gaps, best - found)
    return gaps
