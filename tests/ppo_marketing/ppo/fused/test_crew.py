from __future__ import annotations

import threading

import pytest

from ppo_marketing.ppo.fused.crew import PATIENCE, TRIALS, Crew


class Stopwatch:
    """A clock that work moves by itself."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run(crew: Crew, clock: Stopwatch, seconds: dict[int, float], updates: int) -> list[int]:
    """Return the threads of every update, one of which takes so many seconds a minibatch."""
    chosen = []
    for _ in range(updates):
        threads = crew.threads(lanes=8)

        def work(threads: int = threads) -> int:
            clock.now += 10 * seconds[threads]
            return 10

        crew.timed(threads, work)
        chosen.append(threads)
    return chosen


@pytest.mark.parametrize(("seconds", "better"), [({1: 3.0, 2: 2.0}, 2), ({1: 2.0, 2: 9.0}, 1)])
def test_the_quicker_number_of_threads_is_kept(seconds: dict[int, float], better: int) -> None:
    clock = Stopwatch()
    with Crew([1, 2], clock) as crew:
        chosen = run(crew, clock, seconds, 20)
    assert sorted(chosen[: 2 * TRIALS]) == [1] * TRIALS + [2] * TRIALS
    assert set(chosen[2 * TRIALS :]) == {better}


def test_the_choice_is_tried_again_when_a_neighbour_may_have_come() -> None:
    clock = Stopwatch()
    with Crew([1, 2], clock) as crew:
        assert run(crew, clock, {1: 2.0, 2: 1.0}, PATIENCE)[-1] == 2
        assert run(crew, clock, {1: 2.0, 2: 9.0}, PATIENCE)[-1] == 1


def test_a_minibatch_that_cannot_be_shared_has_one_thread() -> None:
    with Crew([2]) as crew:
        assert crew.threads(lanes=1) == 1


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_every_lane_is_done_once_by_as_many_threads(threads: int) -> None:
    done: list[int] = []
    workers: set[int] = set()
    together = threading.Barrier(threads, timeout=10)

    def work(first: int, last: int) -> None:
        together.wait()
        workers.add(threading.get_ident())
        done.extend(range(first, last))

    with Crew([threads]) as crew:
        crew.share(threads, 7, work)
    assert sorted(done) == list(range(7))
    assert len(workers) == threads


def test_an_error_in_another_thread_is_raised() -> None:
    def work(first: int, last: int) -> None:
        if first > 0:
            raise ValueError("in lane 1")

    with Crew([2]) as crew, pytest.raises(ValueError, match="in lane 1"):
        crew.share(2, 2, work)
