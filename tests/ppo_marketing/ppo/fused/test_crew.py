from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest

from ppo_marketing.ppo.fused.barrier import break_barrier, meet, new_barrier
from ppo_marketing.ppo.fused.crew import PATIENCE, TRIALS, Crew, permitted_threads


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


@pytest.mark.parametrize(
    ("asked", "permitted"),
    [(None, 8), ("1", 1), ("3", 3), ("64", 8), ("0", 1), ("", 8), ("many", 8), ("4,2", 4)],
)
def test_a_process_that_is_told_to_use_fewer_threads_does(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, permitted: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert permitted_threads() == permitted


def test_a_minibatch_that_cannot_be_shared_has_one_thread() -> None:
    with Crew([2]) as crew:
        assert crew.threads(lanes=1) == 1


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_every_part_is_done_once_by_a_thread_of_its_own_all_at_the_same_time(threads: int) -> None:
    done: list[int] = []
    workers: set[int] = set()
    together = threading.Barrier(threads, timeout=10)

    def work(thread: int) -> None:
        together.wait()
        workers.add(threading.get_ident())
        done.append(thread)

    with Crew([threads]) as crew:
        crew.share(threads, work)
    assert sorted(done) == list(range(threads))
    assert len(workers) == threads


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_one_thread_frees_the_others_that_wait_for_it_and_is_raised(
    failing: int,
) -> None:
    barrier = new_barrier()
    met: list[bool] = []

    def work(thread: int) -> None:
        if thread == failing:
            raise ValueError(f"in thread {thread}")
        met.append(meet(barrier, 2))

    with Crew([2]) as crew, pytest.raises(ValueError, match=f"in thread {failing}"):
        crew.share(2, work, partial(break_barrier, barrier))
    assert met == [False]


def test_a_thread_that_cannot_be_started_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    barrier = new_barrier()
    with Crew([2]) as crew:

        def refused(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="can't start"):
            crew.share(2, lambda thread: None, partial(break_barrier, barrier))
    assert not meet(barrier, 2)


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_whoever_passes_a_meeting_sees_what_all_wrote_before_it(threads: int) -> None:
    # More threads than cores too: those that wait must let the others run.
    barrier, rounds = new_barrier(), 300
    written = np.zeros(threads, np.int64)
    wrong: list[int] = []

    def work(thread: int) -> None:
        for turn in range(1, rounds + 1):
            written[thread] = turn
            assert meet(barrier, threads)
            if not (written == turn).all():
                wrong.append(turn)
            assert meet(barrier, threads)

    with Crew([threads]) as crew:
        crew.share(threads, work, partial(break_barrier, barrier))
    assert wrong == []
    assert (written == rounds).all()
