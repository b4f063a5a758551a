"""How many threads share a large minibatch: tried out while training, never left to a default."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

TRIALS = 3  # updates with each number of threads before one is chosen
PATIENCE = 64  # updates until the choice is tried again: a neighbour may have come or gone


def permitted_threads() -> int:
    """Return the cores of this process, or fewer where OMP_NUM_THREADS says so.

    A training that runs beside others is told so, and would only take the cores from them.
    """
    cores = len(os.sched_getaffinity(0))
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(cores, max(1, int(asked))) if asked.isdecimal() else cores


class Crew:
    """One thread or as many as there are cores, whichever was quicker lately.

    Only time depends on the choice: the kernels give the same bits for any number of threads.
    """

    def __init__(
        self,
        choices: Sequence[int] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        cores = permitted_threads()
        self.choices = tuple(choices) if choices else (1, cores) if cores > 1 else (1,)
        self._clock = clock
        most = max(self.choices)
        self._pool = ThreadPoolExecutor(most - 1) if most > 1 else None
        self._seconds: dict[int, list[float]] = {}
        self._since_trial = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def threads(self, lanes: int) -> int:
        """Return how many threads should share `lanes` in the next update."""
        if lanes < 2:
            return 1
        tried = {n: self._seconds.get(n, []) for n in self.choices}
        least = min(self.choices, key=lambda n: len(tried[n]))
        if len(tried[least]) < TRIALS:
            return least
        return min(self.choices, key=lambda n: min(tried[n]))

    def timed(self, threads: int, work: Callable[[], int]) -> None:
        """Do an update's work, which returns its minibatches, and remember the time of each."""
        began = self._clock()
        minibatches = work()
        self._seconds.setdefault(threads, []).append((self._clock() - began) / minibatches)
        self._since_trial += 1
        if self._since_trial >= PATIENCE:
            self._seconds.clear()
            self._since_trial = 0

    def share(
        self,
        threads: int,
        work: Callable[[int], None],
        give_up: Callable[[], None] = lambda: None,
    ) -> None:
        """Call `work(thread)` for each of `threads`, all at once, and wait.

        Where one of them fails, or cannot be started, `give_up` tells those that wait for it, if
        they do wait for each other.
        """

        def done(thread: int) -> None:
            try:
                work(thread)
            except BaseException:
                give_up()
                raise

        if threads == 1 or self._pool is None:
            work(0)
            return
        try:
            others = [self._pool.submit(done, thread) for thread in range(1, threads)]
        except RuntimeError:
            give_up()
            raise
        done(0)
        for other in others:
            other.result()
