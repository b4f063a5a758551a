"""Propensities that were not logged: estimated out of fold, their calibration shown."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ppo_marketing.errors import UserError
from ppo_marketing.ope.feedback import Floats, Ints

BINS = 10
FOLDS = 3


class Bin(NamedTuple):
    """Pairs of row and action with like propensities: what was predicted, what happened."""

    predicted: float
    observed: float
    pairs: float


@dataclass(frozen=True)
class Reliability:
    """How far estimated propensities agree with what the log did.

    `error` = Σ_b pairs_b |observed_b - predicted_b| / Σ_b pairs_b predicted_b: the share of
    probability that is in the wrong place, between bins.
    """

    bins: tuple[Bin, ...]
    error: float


@dataclass(frozen=True)
class EstimatedPropensity:
    """Out-of-fold probabilities `[n, A]` of every action, and those `[n]` of the ones taken."""

    probabilities: Floats
    taken: Floats
    calibration: Reliability


def estimate_propensity(
    context: Any, action: Any, actions: int, unit: Any, rng: Generator, *, folds: int = FOLDS
) -> EstimatedPropensity:
    """Multinomial logistic probabilities of the actions given `context [n, D]`, cross-fitted.

    A unit's rows are predicted by a model that saw none of its rows.

    Raises:
        UserError: an action occurs in so few units that a fold never saw it.
    """
    x, a = np.asarray(context, np.float64), np.asarray(action).astype(np.int64)
    fold = unit_folds(unit, len(a), folds, rng)
    probabilities = np.zeros((len(a), actions))
    unseen: set[int] = set()
    for held in range(folds):
        rows = fold == held
        seen = np.unique(a[~rows])
        unseen |= set(np.setdiff1d(a[rows], seen).tolist())
        if len(seen) == 1:
            probabilities[rows, seen[0]] = 1.0
            continue
        scaler = StandardScaler().fit(x[~rows])
        model = LogisticRegression(max_iter=1000)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                model.fit(scaler.transform(x[~rows]), a[~rows])
            except ConvergenceWarning as problem:
                raise UserError(
                    "the propensity model did not settle: rescale or bound the context columns, "
                    "or log propensities"
                ) from problem
        probabilities[np.ix_(rows, model.classes_)] = model.predict_proba(scaler.transform(x[rows]))
    if unseen:
        named = ", ".join(map(str, sorted(unseen)))
        raise UserError(
            f"actions {named} occur in the units of one fold alone, so that their propensities "
            "cannot be estimated from others; merge rare actions, drop their rows, or log "
            "propensities"
        )
    taken = probabilities[np.arange(len(a)), a]
    return EstimatedPropensity(probabilities, taken, reliability(probabilities, a))


def reliability(probabilities: Floats, action: Ints, *, bins: int = BINS) -> Reliability:
    """Predicted against observed frequencies of all pairs of row and action, in equal-sized bins.

    `probabilities [n, A]`, `action [n]`.

    Source: DeGroot and Fienberg 1983; the error, relative to the mean, after Naeini et al. 2015.
    """
    n, actions = probabilities.shape
    happened = (np.arange(actions) == np.asarray(action)[:, None]).ravel()
    p = probabilities.ravel()
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, p, side="left")
    pairs = np.bincount(place)
    filled = np.flatnonzero(pairs)
    predicted = np.bincount(place, p)[filled] / pairs[filled]
    observed = np.bincount(place, happened)[filled] / pairs[filled]
    counts = pairs[filled].astype(np.float64)
    error = float(counts @ np.abs(observed - predicted)) / n
    table = zip(predicted.tolist(), observed.tolist(), counts.tolist(), strict=True)
    return Reliability(tuple(Bin(*row) for row in table), error)


def unit_folds(unit: Any, rows: int, folds: int, rng: Generator) -> NDArray[np.int64]:
    """The fold of every row `[n]`; units, rows where `unit` is None, are dealt at random, whole.

    Raises:
        UserError: fewer units than folds, or fewer than two folds.
    """
    index = np.arange(rows) if unit is None else np.unique(unit, return_inverse=True)[1]
    units = int(index.max()) + 1
    if not 2 <= folds <= units:
        raise UserError(
            f"{folds} folds of {units} units; cross-fitting needs two folds or more, and a unit "
            "in each"
        )
    return np.asarray((rng.permutation(units) % folds)[index])
