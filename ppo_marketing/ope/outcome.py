"""A reward model for the direct and the doubly robust estimators, cross-fitted by unit."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.random import Generator
from scipy.sparse import csr_matrix, hstack
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from ppo_marketing.errors import UserError
from ppo_marketing.ope.feedback import Floats
from ppo_marketing.ope.propensity import FOLDS, unit_folds


def predict_reward(
    context: Any,
    action: Any,
    reward: Any,
    actions: int,
    unit: Any,
    rng: Generator,
    *,
    weight: Any = None,
    folds: int = FOLDS,
) -> Floats:
    """q(x, a) of every action, `[n, A]`, of `context [n, D]`, from models that saw none of a unit.

    q = g(b + β x + α_a + B_a x): g logistic where every reward is 0 or 1, otherwise the identity;
    all but b are shrunk by a ridge of 1, actions that a fold never saw to the mean of the rest.

    Raises:
        UserError: there are too few units to cross-fit.
    """
    x, a = np.asarray(context, np.float64), np.asarray(action).astype(np.int64)
    r = np.asarray(reward, np.float64)
    v = np.ones(len(r)) if weight is None else np.asarray(weight, np.float64)
    fold = unit_folds(unit, len(r), folds, rng)
    binary = bool(np.isin(r, (0.0, 1.0)).all())
    predicted = np.empty((len(r), actions))
    for held in range(folds):
        rows = fold == held
        own = r[~rows]
        if (own == own[0]).all():
            predicted[rows] = own[0]
            continue
        scaler = StandardScaler().fit(x[~rows])
        model = LogisticRegression(max_iter=2000) if binary else Ridge(alpha=1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                model.fit(_design(scaler.transform(x[~rows]), a[~rows], actions), own, v[~rows])
            except ConvergenceWarning as problem:
                raise UserError(
                    "the reward model did not settle: rescale or bound the context columns, or "
                    "pass predicted rewards of your own"
                ) from problem
        scores = _scores(np.ravel(model.coef_), scaler.transform(x[rows]), actions)
        scores += float(np.ravel(model.intercept_)[0])
        predicted[rows] = expit(scores) if binary else scores
    return predicted


def _design(x: Floats, action: Any, actions: int) -> csr_matrix:
    """(x, 1_a, 1_a x) of every row, `[n, D + A + A D]`, sparse."""
    n, depth = x.shape
    ones = csr_matrix((np.ones(n), (np.arange(n), action)), shape=(n, actions))
    columns = action[:, None] * depth + np.arange(depth)
    places = np.repeat(np.arange(n), depth)
    own = csr_matrix((x.ravel(), (places, columns.ravel())), shape=(n, actions * depth))
    return hstack([csr_matrix(x), ones, own], format="csr")


def _scores(coefficients: Floats, x: Floats, actions: int) -> Floats:
    """β x + α_a + B_a x of every row and action, `[n, A]`."""
    depth = x.shape[1]
    shared, item = coefficients[:depth], coefficients[depth : depth + actions]
    own = coefficients[depth + actions :].reshape(actions, depth)
    return np.asarray(x @ (own + shared).T + item)
