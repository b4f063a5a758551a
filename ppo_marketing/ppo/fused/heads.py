"""Log-probability, entropy and their gradients for one tile of stored actions, head by head.

The formulas are those of `ppo/gaussian.py` and `ppo/categorical.py`; here with the derivatives
written out.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ppo_marketing.ppo.categorical import MASKED_LOGIT
from ppo_marketing.ppo.fused.compiled import Floats, Ints, njit
from ppo_marketing.ppo.gaussian import HALF_LOG_2PI

GAUSSIAN, SQUASHED, CATEGORICAL = 0, 1, 2
_LOG_2 = math.log(2.0)


class HeadForm(NamedTuple):
    """An action head as numbers; a Gaussian of d dimensions has one component of d outputs."""

    kind: int  # GAUSSIAN, SQUASHED or CATEGORICAL
    edges: Ints  # [components + 1] first output of each component, and the number of outputs
    log_std: int  # first element of log σ in the flat buffer; -1 for choices
    points: Floats  # [Q] of the quadrature of a squashed Gaussian's entropy
    weights: Floats  # [Q]
    log_radius: float  # Σ_d log radius_d

    @property
    def slopes(self) -> int:
        """The derivatives of a row: by every output, then by every log σ."""
        outputs = int(self.edges[-1])
        return outputs if self.kind == CATEGORICAL else 2 * outputs


@njit
def assess(
    head: HeadForm,
    flat: Floats,
    output: Any,
    action: Any,
    allowed: Any,
    log_prob: Any,
    entropy: Any,
    log_prob_slope: Any,
    entropy_slope: Any,
) -> None:
    """Write log π(a|s) and the entropy of every row, and their derivatives.

    | array                             | shape             |                                     |
    |-----------------------------------|-------------------|-------------------------------------|
    | `output`                          | [count, outputs]  | of the actor                        |
    | `action`                          | [count, dims]     | stored; a choice as its number      |
    | `allowed`                         | [count, choices]  | or [0, 0] where everything is       |
    | `log_prob_slope`, `entropy_slope` | [count, slopes]   | by the outputs, then by log σ       |
    """
    if head.kind == CATEGORICAL:
        _categorical(
            head, output, action, allowed, log_prob, entropy, log_prob_slope, entropy_slope
        )
        return
    _gaussian(head, flat, output, action, log_prob, entropy, log_prob_slope, entropy_slope)
    if head.kind == SQUASHED:
        _squash(head, flat, output, action, log_prob, entropy, entropy_slope)


@njit
def _gaussian(
    head: HeadForm,
    flat: Floats,
    output: Any,
    action: Any,
    log_prob: Any,
    entropy: Any,
    log_prob_slope: Any,
    entropy_slope: Any,
) -> None:
    """∂log π/∂μ = z / σ, ∂log π/∂log σ = z² - 1 with z = (a - μ) / σ; ∂H/∂log σ = 1."""
    count, dims = output.shape
    scale = 0.0
    for d in range(dims):
        scale += flat[head.log_std + d]
    constant = scale + dims * HALF_LOG_2PI
    for row in range(count):
        log_prob[row] = -constant
        entropy[row] = constant + 0.5 * dims
    for d in range(dims):
        inverse = math.exp(-flat[head.log_std + d])
        for row in range(count):
            score = (action[row, d] - output[row, d]) * inverse
            log_prob[row] -= 0.5 * score * score
            log_prob_slope[row, d] = score * inverse
            log_prob_slope[row, dims + d] = score * score - 1.0
            entropy_slope[row, d] = 0.0
            entropy_slope[row, dims + d] = 1.0


@njit
def _squash_correction(u: float) -> float:
    """log(1 - tanh²u) = 2 (log 2 - u - softplus(-2u)), without overflow."""
    return 2.0 * (_LOG_2 - abs(u) - math.log1p(math.exp(-2.0 * abs(u))))


@njit
def _squash(
    head: HeadForm,
    flat: Floats,
    output: Any,
    action: Any,
    log_prob: Any,
    entropy: Any,
    entropy_slope: Any,
) -> None:
    """Add the change of variables; E[log |da/du|] by quadrature, d log(1 - tanh²u) = -2 tanh u."""
    count, dims = output.shape
    for row in range(count):
        log_prob[row] -= head.log_radius
        entropy[row] += head.log_radius
        for d in range(dims):
            log_prob[row] -= _squash_correction(action[row, d])
            std = math.exp(flat[head.log_std + d])
            for q in range(len(head.points)):
                u = output[row, d] + std * head.points[q]
                slope = -2.0 * head.weights[q] * math.tanh(u)
                entropy[row] += head.weights[q] * _squash_correction(u)
                entropy_slope[row, d] += slope
                entropy_slope[row, dims + d] += slope * std * head.points[q]


@njit
def _categorical(
    head: HeadForm,
    output: Any,
    action: Any,
    allowed: Any,
    log_prob: Any,
    entropy: Any,
    log_prob_slope: Any,
    entropy_slope: Any,
) -> None:
    """∂log π(c)/∂l_j = 1[j = c] - p_j, ∂H/∂l_j = -p_j (log p_j + H); forbidden logits are fixed."""
    masked = len(allowed) > 0
    for row in range(len(output)):
        log_prob[row] = 0.0
        entropy[row] = 0.0
        for component in range(len(head.edges) - 1):
            first, last = head.edges[component], head.edges[component + 1]
            if masked:
                for j in range(first, last):
                    if not allowed[row, j]:
                        output[row, j] = MASKED_LOGIT
            largest = output[row, first]
            for j in range(first + 1, last):
                largest = max(largest, output[row, j])
            total = 0.0
            for j in range(first, last):
                total += math.exp(output[row, j] - largest)
            log_total = largest + math.log(total)
            spread = 0.0
            for j in range(first, last):
                log_p = output[row, j] - log_total
                p = math.exp(log_p)
                spread -= p * log_p
                log_prob_slope[row, j] = -p
                entropy_slope[row, j] = log_p
            for j in range(first, last):
                p = -log_prob_slope[row, j]
                entropy_slope[row, j] = -p * (entropy_slope[row, j] + spread)
            choice = first + int(action[row, component])
            log_prob[row] += output[row, choice] - log_total
            log_prob_slope[row, choice] += 1.0
            entropy[row] += spread


@njit
def largest_of(output: Any, row: int, first: int, last: int) -> int:
    """Return the first index of the largest output in `first:last`, counted from `first`."""
    best = first
    for j in range(first + 1, last):
        if output[row, j] > output[row, best]:
            best = j
    return int(best - first)
