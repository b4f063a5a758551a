"""The strong simple rule: draw n texts from the reference and keep the one that scores best."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ppo_marketing.content.kl import best_of_n_kl

Array = npt.NDArray[Any]


def best_of_n(score: Array) -> Array:
    """Return the column of the best of n texts a prompt, scores `[prompts, n]`; first of equals."""
    return np.asarray(score.argmax(axis=1))


def expected_best_of_n(proxy: Array, gold: Array, n: int) -> tuple[float, float]:
    """Return E[proxy] and E[gold] of the proxy's best of n, from N ≥ n draws a prompt.

    Over all subsets of size n of the N draws `[prompts, N]`, without drawing any: the draw of rank
    i, from 1, ascending in the proxy, is a subset's best with chance C(i - 1, n - 1) / C(N, n).

    Source: the unbiased estimator of Nakano et al. 2021 (WebGPT), appendix I.

    Raises:
        ValueError: fewer draws than n.
    """
    draws = proxy.shape[1]
    if draws < n:
        raise ValueError(f"the best of {n} needs at least {n} draws a prompt, not {draws}")
    order = np.argsort(proxy, axis=1, kind="stable")
    whole = math.comb(draws, n)
    chance = np.array([math.comb(i - 1, n - 1) / whole for i in range(1, draws + 1)])
    ranked = (np.take_along_axis(values, order, axis=1) for values in (proxy, gold))
    mean_proxy, mean_gold = ((values @ chance).mean() for values in ranked)
    return float(mean_proxy), float(mean_gold)


def n_of_kl(kl: float, largest: int = 1 << 16) -> int:
    """Return the n whose best-of-n KL is nearest to `kl` nats."""
    n = 1
    while n < largest and best_of_n_kl(n + 1) <= kl:
        n += 1
    return min((n, n + 1), key=lambda candidate: abs(best_of_n_kl(candidate) - kl))
