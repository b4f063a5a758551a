"""SIGTERM and Ctrl-C as a request that training reads between two updates."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopSignal:
    """Whether, and by which signal, a stop was asked for."""

    def __init__(self) -> None:
        self.number: int | None = None


@contextmanager
def stop_on_signals() -> Iterator[StopSignal]:
    """Turn the first SIGTERM or SIGINT into a request to stop; a second one acts at once.

    Only the main thread can do this. The earlier handlers are back when the block is left.
    """
    stop = StopSignal()
    earlier = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in earlier.items():
            signal.signal(number, handler)

    def request(number: int, frame: FrameType | None) -> None:
        stop.number = number
        restore()

    for number in earlier:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()
