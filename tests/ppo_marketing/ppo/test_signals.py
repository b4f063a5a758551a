"""Signals ask a training to stop; a second Ctrl-C does not wait."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from ppo_marketing.ppo.signals import stop_on_signals


@pytest.fixture(autouse=True)
def ctrl_c_as_in_a_terminal() -> Iterator[None]:
    """A shell starts jobs in the background deaf to SIGINT, these tests included."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_becomes_a_request(number: signal.Signals) -> None:
    with stop_on_signals() as stop:
        assert stop.number is None
        os.kill(os.getpid(), number)
        assert stop.number == number


def test_the_second_ctrl_c_acts_at_once() -> None:
    with stop_on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_earlier_handlers_are_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
