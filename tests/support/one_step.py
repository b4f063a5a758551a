"""Logs for tests of off-policy evaluation: one on paper, one drawn from a known truth."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from ppo_marketing.ope.feedback import Decisions, Floats, from_columns, from_matrices

ACTIONS, DEPTH = 28, 3
_TASTE, _TARGET, _LOGGING = np.random.default_rng(2).normal(size=(3, DEPTH, ACTIONS))


def paper(**changed: Any) -> Decisions:
    """Four rows with w = 2, 1/2, 1, 4 and r = 1, 0, 1, 2."""
    columns: dict[str, Any] = {
        "reward": [1.0, 0.0, 1.0, 2.0],
        "propensity": [0.25, 0.5, 0.5, 0.125],
        "chosen": [0.5, 0.25, 0.5, 0.5],
        "direct": [0.5, 0.25, 0.75, 1.0],
        "predicted": [0.5, 0.5, 1.0, 1.0],
    }
    return from_columns(**columns | changed)


class Bandit(NamedTuple):
    """A drawn log as `from_matrices` takes it, its contexts, and the truth of every row."""

    columns: dict[str, Any]
    context: Floats
    truth: Floats

    def decisions(self, **changed: Any) -> Decisions:
        return from_matrices(**self.columns | changed)


def bandit(n: int, rng: Generator) -> Bandit:
    """28 actions logged half at random; a target that nearly always takes one of them.

    About 3.4 % of rows are effective: some 17 of 500. The reward model is half right.
    """
    x = rng.normal(size=(n, DEPTH))
    logging = 0.5 / ACTIONS + 0.5 * _softmax(0.5 * x @ _LOGGING)
    target = 0.95 * np.eye(ACTIONS)[(x @ _TARGET).argmax(axis=1)] + 0.05 / ACTIONS
    mean = 1 / (1 + np.exp(0.5 - 0.5 * x @ _TASTE))
    action = (logging.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    rows = np.arange(n)
    columns = {
        "reward": (rng.random(n) < mean[rows, action]).astype(float),
        "action": action,
        "propensity": logging[rows, action],
        "target_probabilities": target,
        "predicted_reward": 0.19 + 0.5 * mean,
        "unit": rows,
    }
    return Bandit(columns, x, np.einsum("na,na->n", target, mean))


def _softmax(score: Floats) -> Floats:
    e = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))
