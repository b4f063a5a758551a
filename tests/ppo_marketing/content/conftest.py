"""What is fitted and aligned here takes one thread, as in the stages that ship."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ppo_marketing.ppo.threads import single_threaded


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with single_threaded():
        yield
