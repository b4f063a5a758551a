"""Pairs of texts of which one was preferred: losses that learn from them, and how good that is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn.functional import logsigmoid

from ppo_marketing.intervals import Bounds, wilson

Array = npt.NDArray[Any]

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Pair:
    """Two texts for a prompt, the preferred one first."""

    prompt: str
    chosen: str
    rejected: str


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return mean -log σ(s_chosen - s_rejected) of scores `[n]`.

    P(a before b) = σ(s_a - s_b); a constant added to all scores changes nothing.

    Source: Bradley and Terry 1952; Christiano et al. 2017, equation 1.
    """
    return -logsigmoid(chosen - rejected).mean()


def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    chosen_reference: Tensor,
    rejected_reference: Tensor,
    beta: float,
) -> Tensor:
    """Return DPO's loss of whole texts' log-probabilities `[n]` under policy and reference.

    mean -log σ(β [(log π(c) - log π_ref(c)) - (log π(r) - log π_ref(r))])

    Source: Rafailov et al. 2023, equation 7.
    """
    margin = (chosen - chosen_reference) - (rejected - rejected_reference)
    return -logsigmoid(beta * margin).mean()


@dataclass(frozen=True)
class PreferenceAccuracy:
    """How well scores foretell held-out preferences."""

    pairs: int
    accuracy: float  # share of pairs with the chosen text scored higher; ties count half
    accuracy_bounds: Bounds
    log_loss: float  # nats a pair; log 2 is a coin
    calibration_error: float  # mean |share right - probability said| over ten equal bins
    length_correlation: float | None  # of the margin with the difference in length
    longer_scored_higher: float | None  # share of pairs of unequal length
    longer_chosen: float | None  # the same of the raters: what is not bias
    longer_is_right: float | None  # accuracy of "the longer one", which needs no model

    def as_values(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"accuracy_bounds": list(self.accuracy_bounds)}


def preference_accuracy(
    chosen: Array, rejected: Array, chosen_length: Array, rejected_length: Array
) -> PreferenceAccuracy:
    """Judge scores `[n]` of pairs that no model was fitted to; lengths in tokens or words."""
    margin = np.asarray(chosen, np.float64) - np.asarray(rejected, np.float64)
    right = np.where(margin == 0, 0.5, margin > 0)
    longer = np.sign(np.asarray(chosen_length, np.float64) - np.asarray(rejected_length))
    unequal = longer != 0
    scored_longer = (np.sign(margin) * longer)[unequal]
    difference = np.asarray(chosen_length, np.float64) - np.asarray(rejected_length)
    varies = len(margin) > 1 and margin.std() > 0 and difference.std() > 0
    known = bool(unequal.any())
    return PreferenceAccuracy(
        pairs=len(margin),
        accuracy=float(right.mean()),
        accuracy_bounds=wilson(int(right.sum()), len(right)),
        log_loss=float(np.logaddexp(0.0, -margin).mean()),
        calibration_error=calibration_error(margin),
        length_correlation=float(np.corrcoef(margin, difference)[0, 1]) if varies else None,
        longer_scored_higher=float((scored_longer > 0).mean()) if known else None,
        longer_chosen=float((longer[unequal] > 0).mean()) if known else None,
        longer_is_right=float(np.where(longer == 0, 0.5, longer > 0).mean()) if known else None,
    )


@dataclass(frozen=True)
class CalibrationBin:
    """Pairs about which the model was equally sure: what it said, and how often it was right."""

    pairs: int
    said: float  # mean probability, in [.5, 1]
    right: float  # share; ties count half


def calibration_bins(margin: Array, bins: int = CALIBRATION_BINS) -> tuple[CalibrationBin, ...]:
    """Return the bins of `calibration_error`, the least sure first; margins chosen - rejected."""
    order = np.argsort(np.abs(margin), kind="stable")
    confidence = 1.0 / (1.0 + np.exp(-np.abs(margin[order])))
    right = np.where(margin[order] == 0, 0.5, margin[order] > 0)
    return tuple(
        CalibrationBin(len(part), float(confidence[part].mean()), float(right[part].mean()))
        for part in np.array_split(np.arange(len(margin)), bins)
        if len(part)
    )


def calibration_error(margin: Array, bins: int = CALIBRATION_BINS) -> float:
    """Return Σ_b n_b / n |share right in b - mean probability in b|, margins chosen - rejected.

    Each pair is read in the direction that the model prefers, so that probabilities lie in
    [.5, 1]; bins hold equal numbers of pairs, so that none is empty.

    Source: Naeini et al. 2015 (ECE), with bins of equal mass.
    """
    found = calibration_bins(margin, bins)
    return sum(one.pairs * abs(one.right - one.said) for one in found) / len(margin)
