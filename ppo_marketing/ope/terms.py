"""One estimator's columns, and what follows from them: value, influence, standard error.

Every estimator is one smooth function of three means over impressions,

    V = mean(base) + mean(correction) / mean(normaliser).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, Protocol

import numpy as np

from ppo_marketing.ope.feedback import Decisions, Floats

Family = Literal["importance weighting", "model", "doubly robust"]


class Terms(NamedTuple):
    """The columns `[n]` of one estimator; `normaliser` None is 1 everywhere."""

    base: Floats
    correction: Floats
    normaliser: Floats | None = None


class Estimator(Protocol):
    """What turns decisions into `Terms`; `assumes` is what its interval takes for granted."""

    @property
    def name(self) -> str:
        """As tables call it."""
        ...

    @property
    def family(self) -> Family:
        """What it rests on."""
        ...

    @property
    def assumes(self) -> str:
        """What must hold for the interval to be one of the policy's value."""
        ...

    def terms(self, decisions: Decisions) -> Terms:
        """The columns whose means make the value."""
        ...


def combine(base: Floats, correction: Floats, normaliser: Floats) -> Floats:
    """V of means of any one shape; NaN where the normaliser is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(base + np.where(normaliser > 0, correction / normaliser, np.nan))


def value(terms: Terms, decisions: Decisions) -> float:
    """V, the estimate; NaN where the target takes nothing that was logged."""
    return float(combine(*(np.asarray(mean) for mean in _means(terms, decisions))))


def influence(terms: Terms, decisions: Decisions) -> Floats:
    """ψ `[n]` of an impression of every row: V's derivative in the row's share; its mean is 0.

    ψ = base - mean(base) + (correction - R normaliser) / mean(normaliser),  R the means' ratio.

    Source: the delta method; Hampel 1974.
    """
    base, correction, normaliser = _means(terms, decisions)
    if not normaliser > 0:
        return np.full_like(terms.base, np.nan)
    ratio = correction / normaliser
    own = 1.0 if terms.normaliser is None else terms.normaliser
    return np.asarray(terms.base - base + (terms.correction - ratio * own) / normaliser)


def standard_error(psi: Floats, decisions: Decisions) -> float:
    """The standard error of an estimate whose influence values are `psi [n]`; units independent.

    SE² = G / (G - 1) Σ_g (Σ_{i in g} weight_i ψ_i)² / n²,   n impressions in G units.

    Where units are not named, the impressions of a row are independent like those of others. NaN
    of one unit, which says nothing of how units differ.
    """
    groups = decisions.units
    if groups < 2:
        return math.nan
    if decisions.unit is None:
        squares = float(decisions.weight @ psi**2)
    else:
        squares = float((decisions.by_unit(psi) ** 2).sum())
    return math.sqrt(groups / (groups - 1) * squares) / decisions.impressions


def _means(terms: Terms, decisions: Decisions) -> tuple[float, float, float]:
    normaliser = 1.0 if terms.normaliser is None else decisions.mean(terms.normaliser)
    return decisions.mean(terms.base), decisions.mean(terms.correction), normaliser
