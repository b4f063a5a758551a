"""Books after a kill are the books before it, whatever was decided, settled or left to expire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppo_marketing.guardrails import (
    AmountLimits,
    Budget,
    ContactCap,
    Context,
    GuardrailLimits,
    apply,
)
from ppo_marketing.serve import books as books_module
from ppo_marketing.serve.books import Books, Receipts
from ppo_marketing.serve.journal import Journal

LIMITS = GuardrailLimits(
    amounts=AmountLimits(floor=0.0, cap=5.0, nothing=0.0, daily_change=1000.0),
    budget=Budget(day=40.0, total=100.0),
    contact_caps=(ContactCap(contacts=30, days=7), ContactCap(contacts=900, days=1, everyone=True)),
)
DAY = 86_400.0


def opened(folder: Path) -> Books:
    return Books(Journal(folder, sync_seconds=60), expire_seconds=10.0)


def decide(books: Books, amounts: list[float], now: float, unit: str = "a") -> Any:
    units = [unit] * len(amounts)
    context = Context(cost=[1.0] * len(amounts), unit=units, day=now // DAY)
    return books.advance(lambda state: apply(LIMITS, amounts, amounts, context, state), units, now)


def told(books: Books) -> Any:
    due = [(at, receipt) for at, receipt in books._due if books.state.open.get(receipt)]
    return books.state.as_dict(), due, books._closed.as_plain()


@pytest.mark.parametrize("seed", range(4))
def test_books_read_again_at_any_moment_are_the_same(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books_module, "LARGEST_JOURNAL", 17)
    rng = np.random.default_rng(seed)
    books, now, receipts = opened(tmp_path), 0.0, [0]
    for step in range(120):
        now += float(rng.choice([0.5, 3.0, DAY / 3], p=[0.6, 0.35, 0.05]))
        kind = rng.integers(0, 4)
        if kind <= 1:
            amounts = rng.uniform(0, 3, rng.integers(1, 4)).tolist()
            found = decide(books, amounts, now, unit=str(rng.integers(0, 3)))
            receipts += [int(one) for one in found.receipt if one >= 0]
        elif kind == 2:
            books.settle(int(rng.choice(receipts)), float(rng.uniform(0, 1)), 3.0)
        else:
            books.expire(now)
        if step % 7 == 0:
            books._journal.wait()
            assert told(opened(tmp_path)) == told(books)
    assert books.state.spent_total > 0


def test_what_is_reserved_is_not_granted_again_by_another_process(tmp_path: Path) -> None:
    first = opened(tmp_path)
    granted = decide(first, [5.0] * 6, 0.0).action.sum()
    second = opened(tmp_path)  # the first was killed
    more = decide(second, [5.0] * 6, 1.0).action.sum()
    assert granted == 30.0
    assert more == 10.0


def test_a_reservation_nobody_settled_is_freed_in_time_and_not_before(tmp_path: Path) -> None:
    books = opened(tmp_path)
    decide(books, [5.0], 0.0)
    assert books.expire(9.9) == 0
    assert books.state.spent_day == 5 * 10**9
    assert opened(tmp_path).expire(10.0) == 1  # after a restart too
    assert books.expire(10.0) == 1
    assert books.state.spent_day == 0


def test_a_win_is_booked_once_also_after_a_restart(tmp_path: Path) -> None:
    books = opened(tmp_path)
    receipt = int(decide(books, [5.0], 0.0).receipt[0])
    assert books.settle(receipt, 2.0, 5.0)
    assert not books.settle(receipt, 2.0, 5.0)
    again = opened(tmp_path)
    assert not again.settle(receipt, 2.0, 5.0)
    assert again.state.spent_day == 2 * 10**9


def test_a_win_told_after_its_reservation_expired_is_money_spent(tmp_path: Path) -> None:
    books = opened(tmp_path)
    receipt = int(decide(books, [5.0], 0.0).receipt[0])
    books.expire(100.0)
    assert books.settle(receipt, 2.0, 5.0)
    assert books.state.spent_day == 2 * 10**9


def test_a_price_nobody_can_read_costs_what_was_reserved(tmp_path: Path) -> None:
    books = opened(tmp_path)
    receipt = int(decide(books, [5.0], 0.0).receipt[0])
    books.settle(receipt, float("nan"), 5.0)
    assert books.state.spent_day == 5 * 10**9


def test_what_could_not_be_booked_is_booked_before_anything_else_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = opened(tmp_path)
    receipt = int(decide(books, [5.0], 0.0).receipt[0])

    def full(record: Any) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(books._journal, "append", full)
        with pytest.raises(OSError, match="No space"):
            books.settle(receipt, 5.0, 5.0)
        with pytest.raises(OSError, match="No space"):
            books.expire(100.0)  # it must not free what was spent
        with pytest.raises(OSError, match="No space"):
            decide(books, [1.0], 1.0)
    decide(books, [1.0], 1.0)
    assert books.state.spent_day == 6 * 10**9
    assert not books.settle(receipt, 5.0, 5.0)


def test_receipts_are_remembered_as_bits_and_the_oldest_count_as_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Receipts, "KEPT", 3)
    receipts = Receipts()
    for receipt in (3, 8191, 8192, 20_000, 30_000):
        receipts.add(receipt)
    assert 8192 in receipts
    assert 8193 not in receipts
    assert 3 in receipts
    assert 4 in receipts  # of the block that was dropped nothing is known: nothing is paid twice
    assert 20_000 in Receipts.from_plain(receipts.as_plain())


def test_after_more_than_a_month_only_a_person_lets_the_books_go_on(tmp_path: Path) -> None:
    books = opened(tmp_path)
    decide(books, [1.0], 0.0)
    later = 40 * DAY
    assert decide(books, [1.0], later).action.sum() == 0.0
    books.resume(40)
    assert decide(opened(tmp_path), [1.0], later).action.sum() == 1.0
