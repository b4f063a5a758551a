"""The libraries' own threads, held to one while training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import scipy.linalg.cython_blas  # noqa: F401 - what numba multiplies with: limited once loaded
import torch
from threadpoolctl import threadpool_limits


@contextmanager
def single_threaded() -> Iterator[None]:
    """Hold torch and BLAS to one thread inside the block.

    A minibatch of a 64 wide network is too small to share: two threads are slower than one, and
    far slower beside another busy process. One thread also fixes the order of summation, which
    exact resume depends on. The fused engine shares large minibatches itself (`fused/crew.py`).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(threads)
