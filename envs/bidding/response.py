"""The click probability: recalibrated where the log has one, fitted where it has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import chi2

from envs.bidding.auctions import Auctions
from envs.core.calibration_folder import CalibrationError
from envs.core.fidelity import SIGNIFICANCE

Floats = NDArray[np.float64]

EVENTS_PER_STEP = 50
"""Expected clicks per step of the recalibration: a ratio is then known to about 14 %."""

LEAST_CLICKS = 20
"""A response model is not fitted on fewer: the rate itself would be off by a fifth and more."""

_FOLDS = 4
_LEAST_PROBABILITY = 1e-8


class Recalibration(NamedTuple):
    """log ratio of observed to predicted clicks as a function of log predicted probability."""

    log_probability: Floats  # [J], rising
    log_ratio: Floats  # [J]

    def __call__(self, probability: NDArray[np.floating]) -> NDArray[np.float32]:
        """Calibrated probabilities of `probability [n]`; constant ratios beyond the end points."""
        bounded = np.maximum(np.asarray(probability, np.float64), _LEAST_PROBABILITY)
        ratio = np.exp(np.interp(np.log(bounded), self.log_probability, self.log_ratio))
        return np.asarray(np.minimum(bounded * ratio, 1.0), np.float32)


def recalibrate(probability: NDArray[np.floating], click: NDArray[np.bool_]) -> Recalibration:
    """Isotonic recalibration of won rows `[n]`, made only where the clicks refute the prediction.

    Rows in order of probability are cut into steps of equal expected clicks. Where the counts
    contradict the prediction (chi-squared, 1 % level) the observed rates are made monotone (pool
    adjacent violators) and each log ratio r with sampling variance e is shrunk to 0 by
    max(0, 1 - e / r^2) (James & Stein 1961, positive part). A good prediction is left alone,
    although a few hundred clicks never match it exactly.
    """
    predicted = np.maximum(np.asarray(probability, np.float64), _LEAST_PROBABILITY)
    order = np.argsort(predicted, kind="stable")
    predicted, clicked = predicted[order], np.asarray(click, np.float64)[order]
    running = np.cumsum(predicted)
    if len(predicted) == 0 or running[-1] <= 0:
        return Recalibration(np.zeros(1), np.zeros(1))
    steps = int(np.clip(min(running[-1], clicked.sum()) // EVENTS_PER_STEP, 1, 20))
    step = np.minimum((running / running[-1] * steps).astype(np.int64), steps - 1)
    rows = np.bincount(step, minlength=steps)
    expected = np.bincount(step, predicted, steps)
    observed = np.bincount(step, clicked, steps)
    kept = rows > 0
    contradiction = float((np.square(observed - expected) / expected)[kept].sum())
    if chi2.sf(contradiction, int(kept.sum())) > SIGNIFICANCE:
        return Recalibration(np.zeros(1), np.zeros(1))
    rate = _monotone(observed[kept] / rows[kept], rows[kept].astype(np.float64))
    centre = expected[kept] / rows[kept]
    # Half a click keeps a step without clicks finite.
    count = np.maximum(rate * rows[kept], 0.5)
    log_ratio = np.log(count / expected[kept])
    error = 1 / count
    moved = np.maximum(0.0, 1 - error / np.maximum(log_ratio**2, 1e-12))
    return Recalibration(np.log(centre), log_ratio * moved)


def _monotone(rate: Floats, weight: Floats) -> Floats:
    # scikit-learn takes seconds to import: only calibration pays for it.
    from sklearn.isotonic import isotonic_regression

    return np.asarray(isotonic_regression(rate, sample_weight=weight), np.float64)


def fitted_probability(
    auctions: Auctions, columns: Mapping[str, NDArray[np.int32]], training_days: int, rng: Generator
) -> NDArray[np.float32]:
    """Click probabilities of all rows `[n]` from slot and context columns, by gradient boosting.

    Won rows of the first `training_days` days teach. Their own predictions come from models that
    did not see their day (4 folds of days); all other rows get the mean of the fold models.

    Raises:
        CalibrationError: too few clicks to learn a response from.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    teaching = auctions.won & (auctions.day < training_days)
    clicks = int(auctions.click[teaching].sum())
    if clicks < LEAST_CLICKS:
        raise CalibrationError(
            f"the log has no pctr column and {clicks} clicks in its {training_days} earlier days: "
            f"fitting a response needs at least {LEAST_CLICKS}. Add the pctr that bids were made "
            "with, or use a longer log"
        )
    features = np.column_stack([auctions.slot, *columns.values()]).astype(np.float64)
    # Categories beyond what the trees can hold share one level.
    features[:, 1:] = np.minimum(features[:, 1:], 250)
    categorical = [False, *([True] * len(columns))]
    folds = min(_FOLDS, training_days)
    fold = rng.permutation(training_days) % folds
    summed = np.zeros(auctions.rows)
    own = np.zeros(auctions.rows)
    for number in range(folds):
        held = teaching & (fold[np.minimum(auctions.day, training_days - 1)] == number)
        seen = teaching & ~held
        if len(np.unique(auctions.click[seen])) < 2:
            predicted = np.full(auctions.rows, auctions.click[teaching].mean())
        else:
            model = HistGradientBoostingClassifier(
                learning_rate=0.05,
                max_iter=100,
                max_leaf_nodes=15,
                min_samples_leaf=200,
                l2_regularization=10.0,
                early_stopping=False,
                categorical_features=categorical,
            ).fit(features[seen], auctions.click[seen])
            predicted = model.predict_proba(features)[:, 1]
        summed += predicted
        own[held] = predicted[held]
    probability = np.where(teaching, own, summed / folds)
    return np.maximum(probability, _LEAST_PROBABILITY).astype(np.float32)
