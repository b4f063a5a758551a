"""The same work on many items, in processes of their own that end with this one.

Nothing here imports torch or numba: a process sets its number of threads before they are.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ppo_marketing.errors import Interrupted, PpoMarketingError
from ppo_marketing.ppo.signals import StopSignal

T = TypeVar("T")
R = TypeVar("R")

LOOK_EVERY_S = 0.2
THREAD_VARIABLES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cores() -> int:
    """How many processes can truly run at once here."""
    return len(os.sched_getaffinity(0))


def in_processes(
    work: Callable[[T], R],
    items: Sequence[T],
    *,
    processes: int,
    on_done: Callable[[T, R], None],
    stop: StopSignal,
) -> None:
    """Call `work` on every item, one thread each; `on_done` is told here, in order of finishing.

    `work` and the items must be picklable: fresh interpreters are started, nothing is inherited.

    Raises:
        Interrupted: `stop` was requested; what was under way is dropped, what was done is told.
        PpoMarketingError: a process died, most often for want of memory.
    """
    if not items:
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(processes, len(items)), context, initializer=_begin)
    try:
        under_way: dict[Future[R], T] = {pool.submit(work, item): item for item in items}
        while under_way:
            done, _ = wait(under_way, timeout=LOOK_EVERY_S, return_when=FIRST_COMPLETED)
            for future in done:
                on_done(under_way.pop(future), future.result())
            if stop.number is not None:
                raise Interrupted(
                    f"stopped with {len(items) - len(under_way)} of {len(items)} done; they are "
                    "kept, and the same command goes on with the rest",
                    stop.number,
                )
    except BrokenProcessPool as error:
        raise PpoMarketingError(
            "one of the processes died, most often for want of memory; what was done is kept. Use "
            "fewer --processes and run the same command again"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()


def _begin() -> None:
    """Prepare a fresh process: one thread, deaf to Ctrl-C, ending when its parent has ended."""
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"
    # The terminal sends Ctrl-C to all; the parent alone decides what follows from it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only started processes come here"
    parent.join()
    os._exit(1)
