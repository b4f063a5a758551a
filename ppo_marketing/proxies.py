"""Can what is left still foretell what was taken out? Cross-validated, column by column and all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ppo_marketing.errors import UserError
from ppo_marketing.fairness import LEAST_UNITS

Floats = NDArray[np.float64]

ALONE = 0.75
"""A column with a larger AUC is a proxy: between two normal groups it is a distance of
√2 Φ⁻¹(.75) = .95 standard deviations, above the .8 that Cohen 1988 calls large."""

TOGETHER = 0.8
"""The same of all columns at once, 1.19 standard deviations: a model that may search all of them
finds something in most logs, and is named where it knows clearly more than one column may."""

MOST_ROWS = 10_000
"""An AUC of .75 between equal groups has a standard error of .005 then."""

MOST_GROUPS = 5
"""Of an attribute with more values the largest groups are looked at, or fifths of a number."""

FOLDS = 5
_BINS = 20
_PRIOR_ROWS = 20.0  # a level's rate is drawn to the overall one as by this many rows


@dataclass(frozen=True, kw_only=True)
class ProxyCheck:
    """How well features foretell one protected attribute, each group against the rest.

    `together` is the largest AUC over groups of all features, `alone` that of every feature; None
    where no two groups are large enough to tell. `proxies` are named in `reasons`.
    """

    attribute: str
    rows: int
    together: float | None
    alone: Mapping[str, float]
    proxies: tuple[str, ...]
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def proxy_check(
    attribute: str,
    group: Any,
    features: Mapping[str, Any],
    rng: Generator,
    *,
    unit: Any = None,
    alone: float = ALONE,
    together: float = TOGETHER,
) -> ProxyCheck:
    """Foretell the groups of a protected attribute, `[n]`, from features, `[n]` each.

    Of more than five groups the largest five are looked at; numbers of more values than that, such
    as ages, are cut into fifths.
    Features are numbers, or texts (read as numbers where all are). `unit` `[n]` says whose row it
    is: one row of each is used, since a person's further rows would be foretold by the first. At
    most `MOST_ROWS` rows are drawn. A single feature foretells by the rate of each of its levels,
    or of 20 quantile bins, learnt on the other folds; all together by gradient boosting. AUCs are
    means over folds. Groups of fewer than 100 rows, and rows without a group, are left out.

    Raises:
        UserError: the arrays differ in length.
    """
    named = _groups(np.asarray(group))
    lengths = {name: len(values) for name, values in features.items()}
    wrong = [f"{name} ({n})" for name, n in lengths.items() if n != len(named)]
    if wrong or (unit is not None and len(unit) != len(named)):
        raise UserError(
            f"{attribute} has {len(named)} rows; these have others: {', '.join(wrong) or 'unit'}"
        )
    rows = _rows(named, unit, rng)
    labels, counts = np.unique(named[rows], return_counts=True)
    largest = np.argsort(-counts, kind="stable")[:MOST_GROUPS]
    told = np.sort(labels[largest][counts[largest] >= LEAST_UNITS])
    if len(told) < 2 or not features:
        why = "no features are left" if not features else f"no two groups of {LEAST_UNITS} rows"
        reason = f"{attribute}: proxies cannot be looked for, {why}"
        return ProxyCheck(
            attribute=attribute, rows=len(rows), together=None, alone={}, proxies=(),
            reasons=(reason,),
        )  # fmt: skip
    rows = rows[np.isin(named[rows], told)]
    truth = named[rows][:, None] == told  # [n, groups]
    columns = {name: _as_column(np.asarray(values)[rows]) for name, values in features.items()}
    fold = _folds(truth, rng)
    single = {
        name: _mean_auc(_out_of_fold(_levels(column), truth, fold), truth, fold)
        for name, column in columns.items()
    }
    whole = _mean_auc(_boosted(columns, truth, fold, rng), truth, fold)
    proxies = tuple(sorted((n for n in single if single[n] > alone), key=lambda n: -single[n]))
    reasons = [
        f"{attribute}: {name} alone foretells it (AUC {single[name]:.2f}, at most {alone:g})"
        for name in proxies
    ]
    if whole > together:
        best = sorted(single, key=lambda name: -single[name])[:3]
        listed = ", ".join(f"{name} {single[name]:.2f}" for name in best)
        reasons.append(
            f"{attribute}: the remaining features together foretell it (AUC {whole:.2f}, at most "
            f"{together:g}); the most telling ones: {listed}"
        )
    return ProxyCheck(
        attribute=attribute, rows=len(rows), together=whole, alone=single, proxies=proxies,
        reasons=tuple(reasons),
    )  # fmt: skip


def _groups(values: NDArray[Any]) -> NDArray[np.str_]:
    """The group of every row, "" where not known; a number of many values by its fifth."""
    column = _as_column(values)
    if column.dtype.kind == "U":
        return column
    known = ~np.isnan(column)
    levels = np.unique(column[known])
    named = column.astype(str)
    if len(levels) > MOST_GROUPS:
        cuts = np.quantile(column[known], np.arange(1, MOST_GROUPS) / MOST_GROUPS)
        named = (np.searchsorted(cuts, column, side="left") + 1).astype(str)
    return np.where(known, named, "")


def _rows(group: NDArray[np.str_], unit: Any, rng: Generator) -> NDArray[np.int64]:
    """The rows that are used: with a group, one a unit, at most `MOST_ROWS`."""
    rows = rng.permutation(np.flatnonzero(np.char.strip(group) != ""))
    if unit is not None:
        _, first = np.unique(np.asarray(unit)[rows], return_index=True)
        rows = rows[np.sort(first)]
    return np.sort(rows[:MOST_ROWS])


def _as_column(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as float64, NaN where empty; anything else as text."""
    if values.dtype.kind in "OUS":
        texts = np.array(["" if v is None else str(v) for v in values])
        try:
            return np.where(texts == "", "nan", texts).astype(np.float64)
        except ValueError:
            return texts
    return values.astype(np.float64)


def _levels(column: NDArray[Any]) -> NDArray[np.int64]:
    """Every row's level: a text's own, or a number's bin between quantiles (empty: one more)."""
    if column.dtype.kind == "U":
        return np.asarray(np.unique(column, return_inverse=True)[1])
    known = column[~np.isnan(column)]
    if not len(known):
        return np.zeros(len(column), np.int64)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.where(np.isnan(column), len(edges) + 1, np.searchsorted(edges, column, side="left"))


def _folds(truth: NDArray[np.bool_], rng: Generator) -> NDArray[np.int64]:
    """A fold for every row, each group dealt evenly."""
    order = np.lexsort((rng.random(len(truth)), truth.argmax(axis=1)))
    fold = np.empty(len(truth), np.int64)
    fold[order] = np.arange(len(truth)) % FOLDS
    return fold


def _rates(level: NDArray[np.int64], truth: NDArray[np.bool_], learnt: NDArray[np.bool_]) -> Floats:
    """Every row's chance of each group by its level's rate among `learnt` rows, `[n, groups]`."""
    levels = int(level.max()) + 1
    size = np.bincount(level[learnt], minlength=levels)[:, None]
    found = np.stack([np.bincount(level[learnt], y[learnt], levels) for y in truth.T], axis=1)
    prior = _PRIOR_ROWS * truth[learnt].mean(axis=0)
    return np.asarray(((found + prior) / (size + _PRIOR_ROWS))[level])


def _out_of_fold(
    level: NDArray[np.int64],
    truth: NDArray[np.bool_],
    fold: NDArray[np.int64],
    learnt: NDArray[np.bool_] | None = None,
) -> Floats:
    """The same, a row's own fold never among those that it is learnt from, `[n, groups]`."""
    known = np.ones(len(level), bool) if learnt is None else learnt
    score = np.empty(truth.shape)
    for k in range(FOLDS):
        score[fold == k] = _rates(level, truth, known & (fold != k))[fold == k]
    return score


def _boosted(
    columns: Mapping[str, NDArray[Any]],
    truth: NDArray[np.bool_],
    fold: NDArray[np.int64],
    rng: Generator,
) -> Floats:
    """The same by gradient boosting on all columns, texts coded by their levels' rates."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    seed = int(rng.integers(2**31))
    numbers = [column[:, None] for column in columns.values() if column.dtype.kind == "f"]
    texts = [_levels(column) for column in columns.values() if column.dtype.kind == "U"]
    group = truth.argmax(axis=1)
    score = np.empty(truth.shape)
    for k in range(FOLDS):
        learnt = fold != k
        # A row that taught its own level's rate would promise more than new rows can keep.
        coded = [
            np.where(
                learnt[:, None],
                _out_of_fold(level, truth, fold, learnt),
                _rates(level, truth, learnt),
            )
            for level in texts
        ]
        x = np.concatenate([*numbers, *coded], axis=1)
        known = ~np.isnan(x[learnt]).all(axis=0)  # boosting cannot bin what is always empty
        x = np.where(known, x, 0.0)
        model = HistGradientBoostingClassifier(
            max_iter=40, max_leaf_nodes=15, early_stopping=False, random_state=seed
        )
        # Small trees: a second thread gains little, and loses much beside other work.
        with threadpool_limits(1, user_api="openmp"):
            model.fit(x[learnt], group[learnt])
            score[~learnt] = model.predict_proba(x[~learnt])
    return score


def _mean_auc(score: Floats, truth: NDArray[np.bool_], fold: NDArray[np.int64]) -> float:
    """The largest over groups of the mean over folds of AUC: P(a member's score is the higher)."""
    from sklearn.metrics import roc_auc_score

    aucs = [
        [roc_auc_score(truth[fold == k, g], score[fold == k, g]) for k in range(FOLDS)]
        for g in range(truth.shape[1])
    ]
    return float(np.mean(aucs, axis=1).max())
