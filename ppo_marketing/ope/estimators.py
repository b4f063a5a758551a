"""Estimators of a policy's value from decisions that another policy took.

Each is three columns, from which value, influence values, standard errors and the bootstrap follow
(`terms.Terms`):

    V = mean(base) + mean(correction) / mean(normaliser).

With w = π / p, r the reward, q the model's prediction and d = Σ_a π q (`feedback.Decisions`):

| estimator | base | correction               | normaliser |
|-----------|------|--------------------------|------------|
| IPS       | 0    | min(w, clip) r           | 1          |
| SNIPS     | 0    | w r                      | w          |
| SubGauss  | 0    | w / (1 - λ + λ w) r      | 1          |
| MIPS      | 0    | w(category) r            | 1          |
| Replay    | 0    | π r                      | π          |
| DM        | d    | 0                        | 1          |
| DR        | d    | w (r - q)                | 1          |
| SNDR      | d    | w (r - q)                | w          |
| Switch-DR | d    | w 1{w <= τ} (r - q)      | 1          |
| DRos      | d    | λ w / (w² + λ) (r - q)   | 1          |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ppo_marketing.errors import UserError
from ppo_marketing.ope.feedback import Decisions, Floats
from ppo_marketing.ope.terms import Family, Terms

UNBIASED = "that propensities are right and the log has every action that the target takes"
CLIPPED = "that nothing was cut off: it covers a mean that is lower where rewards are positive"


@dataclass(frozen=True)
class LoggedMean:
    """The logging policy's own mean reward: what the target must beat."""

    name: ClassVar[str] = "logging policy"
    family: ClassVar[Family] = "importance weighting"
    assumes: ClassVar[str] = "nothing more: it is the mean of the log"

    def terms(self, decisions: Decisions) -> Terms:
        """(0, r)."""
        return Terms(np.zeros_like(decisions.reward), decisions.reward)


@dataclass(frozen=True)
class IPS:
    """Inverse propensity scoring, with weights cut off at `clip` where one is given.

    Source: Horvitz and Thompson 1952; clipped, Ionides 2008.

    Raises:
        UserError: the clip is not positive.
    """

    clip: float = math.inf
    family: ClassVar[Family] = "importance weighting"

    def __post_init__(self) -> None:
        _require("clip", self.clip, self.clip > 0, "positive")

    @property
    def name(self) -> str:
        """IPS, with its clip."""
        return "IPS" if math.isinf(self.clip) else f"IPS, clipped at {self.clip:.3g}"

    @property
    def assumes(self) -> str:
        """Support alone, or also that what was cut off is nothing."""
        return UNBIASED if math.isinf(self.clip) else CLIPPED

    def terms(self, decisions: Decisions) -> Terms:
        """(0, min(w, clip) r)."""
        weight = np.minimum(decisions.ratio, self.clip)
        return Terms(np.zeros_like(weight), weight * decisions.reward)


@dataclass(frozen=True)
class SNIPS:
    """Self-normalised IPS: unmoved by a shift of rewards.

    Source: Swaminathan and Joachims 2015.
    """

    name: ClassVar[str] = "SNIPS"
    family: ClassVar[Family] = "importance weighting"
    assumes: ClassVar[str] = UNBIASED

    def terms(self, decisions: Decisions) -> Terms:
        """(0, w r, w)."""
        w = decisions.ratio
        return Terms(np.zeros_like(w), w * decisions.reward, w)


@dataclass(frozen=True)
class SubGauss:
    """IPS with the weights w / (1 - λ + λ w), whose error has a sub-Gaussian bound.

    λ = min(1, √(2 log(1 / δ) / (3 n mean(w²)))) where none is given, δ = .05.

    Source: Metelli, Russo and Restelli 2021, harmonic correction (s = -1), its theorem for α = 2.

    Raises:
        UserError: λ is not in [0, 1].
    """

    lam: float | None = None
    name: ClassVar[str] = "SubGauss"
    family: ClassVar[Family] = "importance weighting"
    assumes: ClassVar[str] = (
        "that large weights were not shrunk: it covers the mean of shrunken weights"
    )

    def __post_init__(self) -> None:
        _require("lam", self.lam, self.lam is None or 0 <= self.lam <= 1, "between 0 and 1")

    def rate(self, decisions: Decisions) -> float:
        """λ, as given or as the theorem has it."""
        if self.lam is not None:
            return self.lam
        second = decisions.impressions * decisions.mean(decisions.ratio**2)
        return min(1.0, math.sqrt(2 * math.log(20.0) / (3 * second))) if second > 0 else 1.0

    def terms(self, decisions: Decisions) -> Terms:
        """(0, w / (1 - λ + λ w) r)."""
        w, lam = decisions.ratio, self.rate(decisions)
        # λ = 1 and w = 0 would divide nothing by nothing: such a weight stays 0.
        shrunk = np.where(w > 0, w / np.where(w > 0, 1 - lam + lam * w, 1.0), 0.0)
        return Terms(np.zeros_like(w), shrunk * decisions.reward)


@dataclass(frozen=True)
class MIPS:
    """IPS with the weights of the actions' categories: for sets too large for single items.

    Source: Saito and Joachims 2022.

    Raises:
        UserError: the decisions have no `marginal` weights.
    """

    name: ClassVar[str] = "MIPS"
    family: ClassVar[Family] = "importance weighting"
    assumes: ClassVar[str] = "that an item acts on the reward through its category alone"

    def terms(self, decisions: Decisions) -> Terms:
        """(0, w(category) r)."""
        if decisions.marginal is None:
            raise UserError("MIPS needs `category`, the category of every action")
        weight = decisions.marginal
        return Terms(np.zeros_like(weight), weight * decisions.reward)


@dataclass(frozen=True)
class Replay:
    """The mean reward of rows in which the target would have done what a uniform log did.

    A target that draws its actions matches a row with probability π: the mean over its draws.

    Source: Li, Chu, Langford and Wang 2011, algorithm 2.

    Raises:
        UserError: propensities differ, so that matching rows are no fair sample.
    """

    name: ClassVar[str] = "replay"
    family: ClassVar[Family] = "importance weighting"
    assumes: ClassVar[str] = "that every action was logged with the same probability"

    @staticmethod
    def applies(decisions: Decisions) -> bool:
        """Whether all propensities are equal."""
        p = decisions.propensity
        return bool(p.max() <= p.min() * (1 + 1e-6))

    def terms(self, decisions: Decisions) -> Terms:
        """(0, π r, π)."""
        if not self.applies(decisions):
            raise UserError("replay needs a log of equal propensities; use SNIPS or DR")
        pi = decisions.chosen
        return Terms(np.zeros_like(pi), pi * decisions.reward, pi)


@dataclass(frozen=True)
class DM:
    """The direct method: what the reward model predicts of the target."""

    name: ClassVar[str] = "DM"
    family: ClassVar[Family] = "model"
    assumes: ClassVar[str] = "that the reward model is right: its error is not in the interval"

    def terms(self, decisions: Decisions) -> Terms:
        """(d, 0)."""
        return Terms(decisions.direct, np.zeros_like(decisions.direct))


@dataclass(frozen=True)
class DR:
    """Doubly robust: right where either the propensities or the model are.

    Source: Dudik, Langford and Li 2011.
    """

    name: ClassVar[str] = "DR"
    family: ClassVar[Family] = "doubly robust"
    assumes: ClassVar[str] = UNBIASED

    def terms(self, decisions: Decisions) -> Terms:
        """(d, w (r - q))."""
        return Terms(decisions.direct, decisions.ratio * _residual(decisions))


@dataclass(frozen=True)
class SNDR:
    """Doubly robust with a self-normalised correction.

    Source: Thomas and Brunskill 2016, the weighted doubly robust estimator, of one step.
    """

    name: ClassVar[str] = "SNDR"
    family: ClassVar[Family] = "doubly robust"
    assumes: ClassVar[str] = UNBIASED

    def terms(self, decisions: Decisions) -> Terms:
        """(d, w (r - q), w)."""
        w = decisions.ratio
        return Terms(decisions.direct, w * _residual(decisions), w)


@dataclass(frozen=True)
class SwitchDR:
    """Doubly robust where the weight is at most τ, the model alone elsewhere.

    Source: Wang, Agarwal and Dudik 2017, with the correction of DR.

    Raises:
        UserError: τ is not positive.
    """

    tau: float
    family: ClassVar[Family] = "doubly robust"
    assumes: ClassVar[str] = "that the reward model is right where weights are above τ"

    def __post_init__(self) -> None:
        _require("tau", self.tau, self.tau > 0, "positive")

    @property
    def name(self) -> str:
        """Switch-DR, with its τ."""
        return f"Switch-DR, τ = {self.tau:.3g}"

    def terms(self, decisions: Decisions) -> Terms:
        """(d, w 1{w <= τ} (r - q))."""
        w = decisions.ratio
        return Terms(decisions.direct, np.where(w <= self.tau, w, 0.0) * _residual(decisions))


@dataclass(frozen=True)
class DRos:
    """Doubly robust with optimistically shrunken weights λ w / (w² + λ).

    Source: Su, Dimakopoulou, Krishnamurthy and Dudik 2020.

    Raises:
        UserError: λ is not positive.
    """

    lam: float
    family: ClassVar[Family] = "doubly robust"
    assumes: ClassVar[str] = "that the reward model is right where weights were shrunk"

    def __post_init__(self) -> None:
        _require("lam", self.lam, self.lam > 0, "positive")

    @property
    def name(self) -> str:
        """DRos, with its λ."""
        return f"DRos, λ = {self.lam:.3g}"

    def terms(self, decisions: Decisions) -> Terms:
        """(d, λ w / (w² + λ) (r - q))."""
        w = decisions.ratio
        # λ w / (w² + λ) with λ divided out, so that λ = ∞ is DR.
        shrunk = w / (w**2 / self.lam + 1.0)
        return Terms(decisions.direct, shrunk * _residual(decisions))


def _residual(decisions: Decisions) -> Floats:
    return decisions.reward - decisions.predicted


def _require(name: str, given: float | None, holds: bool, allowed: str) -> None:
    if not holds:
        raise UserError(f"{name} is {given!r}; it must be {allowed}")
