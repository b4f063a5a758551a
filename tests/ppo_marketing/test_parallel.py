"""Processes of their own: every item once, a stop that keeps what is done, a death that is told."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from ppo_marketing.errors import Interrupted, PpoMarketingError
from ppo_marketing.parallel import in_processes
from ppo_marketing.ppo.signals import StopSignal


def squared(number: int) -> tuple[int, str]:
    return number**2, os.environ["OMP_NUM_THREADS"]


def slow_after_the_first(path: Path) -> str:
    if path.name != "first":
        time.sleep(60)
    return path.name


def dying(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def failing(number: int) -> None:
    raise PpoMarketingError(f"item {number} is bad")


def test_every_item_is_worked_on_once_with_one_thread() -> None:
    results: dict[int, tuple[int, str]] = {}
    in_processes(squared, range(5), processes=2, on_done=results.__setitem__, stop=StopSignal())
    assert results == {number: (number**2, "1") for number in range(5)}


def test_a_stop_drops_what_is_under_way_and_leaves_no_process_behind(tmp_path: Path) -> None:
    stop, told = StopSignal(), []

    def on_done(item: Path, result: str) -> None:
        told.append(result)
        stop.number = int(signal.SIGTERM)

    items = [tmp_path / name for name in ("first", "second", "third")]
    with pytest.raises(Interrupted, match="1 of 3 done") as stopped:
        in_processes(slow_after_the_first, items, processes=2, on_done=on_done, stop=stop)
    assert stopped.value.exit_code == 143
    assert told == ["first"]
    assert nobody_is_left()


def nobody_is_left() -> bool:
    """Whether every process ends within five seconds.

    The pool's own thread may collect an ended process before its exit is known here.
    """
    for _ in range(50):
        if not multiprocessing.active_children():
            return True
        time.sleep(0.1)
    return False


def test_a_process_that_dies_is_told_with_what_to_do() -> None:
    with pytest.raises(PpoMarketingError, match="fewer --processes"):
        in_processes(dying, [1], processes=1, on_done=lambda item, result: None, stop=StopSignal())


def test_an_error_in_a_process_is_raised_here_as_it_is() -> None:
    with pytest.raises(PpoMarketingError, match="item 7 is bad"):
        in_processes(
            failing, [7], processes=1, on_done=lambda item, result: None, stop=StopSignal()
        )
