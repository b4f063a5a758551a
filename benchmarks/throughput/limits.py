"""What matrix products alone allow: their FLOPs a step, and how fast this machine does them."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

ROWS = (256, 1024, 4096)
"""Rows of one product: what caches hold at once; the fastest is the limit."""
SECONDS = 0.3
REPEATS = 3


def flops_of_pass(layers: Sequence[int], *, backward: bool) -> int:
    """FLOPs of the matrix products of one perceptron for one row.

    2 sum in x out forward; as much again for the weights' gradients, and for the inputs' of all
    layers but the first.
    """
    products = [2 * a * b for a, b in itertools.pairwise(layers)]
    return sum(products) * (3 if backward else 1) - (products[0] if backward else 0)


def flops_per_step(observations: int, hidden: Sequence[int], outputs: int, epochs: int) -> int:
    """FLOPs of one environment step: actor and critic in the rollout, and in every epoch.

    What any implementation must do; ours evaluates the actor once more before the first epoch.
    """
    networks = [(observations, *hidden, last) for last in (outputs, 1)]
    return sum(
        flops_of_pass(layers, backward=False) + epochs * flops_of_pass(layers, backward=True)
        for layers in networks
    )


def product_rate(observations: int, hidden: Sequence[int], outputs: int, threads: int) -> float:
    """FLOPs a second of float32 products of a training's shapes, on so many threads at once.

    The best of numpy's and torch's library and of `ROWS`, each the median of its repeats.
    """
    layers = (observations, *hidden, outputs)
    best = 0.0
    with threadpool_limits(1, user_api="blas"):
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for rows in ROWS:
                for library in ("numpy", "torch"):
                    rates = [_rate(layers, rows, library, threads) for _ in range(REPEATS)]
                    best = max(best, statistics.median(rates))
        finally:
            torch.set_num_threads(before)
    return best


def _rate(layers: Sequence[int], rows: int, library: str, threads: int) -> float:
    done = [0] * threads
    start = threading.Barrier(threads + 1)
    until = [0.0]

    def work(which: int) -> None:
        products = _products(layers, rows, library)
        _run(products, library)
        start.wait()
        while time.perf_counter() < until[0]:
            _run(products, library)
            done[which] += 1

    crew = [threading.Thread(target=work, args=(which,)) for which in range(threads)]
    for one in crew:
        one.start()
    until[0] = time.perf_counter() + 3600.0
    start.wait()
    began = time.perf_counter()
    until[0] = began + SECONDS
    for one in crew:
        one.join()
    seconds = time.perf_counter() - began
    return sum(done) * rows * flops_of_pass(layers, backward=True) / seconds


def _products(layers: Sequence[int], rows: int, library: str) -> list[tuple[Any, ...]]:
    """Left, right and result of every product of one forward and backward pass."""
    rng = np.random.default_rng(0)

    def matrix(*shape: int) -> Any:
        return rng.standard_normal(shape, np.float32)

    triples: list[tuple[Any, ...]] = []
    for i, (a, b) in enumerate(itertools.pairwise(layers)):
        inputs, weights, delta = matrix(rows, a), matrix(a, b), matrix(rows, b)
        triples.append((inputs, weights, np.empty((rows, b), np.float32)))
        triples.append((inputs.T, delta, np.empty((a, b), np.float32)))
        if i:
            triples.append((delta, weights.T, np.empty((rows, a), np.float32)))
    if library == "torch":
        return [tuple(torch.from_numpy(part) for part in triple) for triple in triples]
    return triples


def _run(products: Sequence[tuple[Any, ...]], library: str) -> None:
    multiply: Any = np.matmul if library == "numpy" else torch.mm
    for left, right, result in products:
        multiply(left, right, out=result)
