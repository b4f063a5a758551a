"""The log's own policy as a reference: exact probabilities, a floor, chunks that change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envs.core.world import Array
from ppo_marketing import logging_reference
from ppo_marketing.logging_reference import SMALLEST_CHANCE, LoggingReference

CHANCE = np.array([0.75, 0.25, 0.0])


def choosing(observation: Array, mask: Array | None) -> Array:
    chance = np.tile(CHANCE, (len(observation), 1))
    chance = chance if mask is None else chance * mask
    return np.asarray(chance / chance.sum(axis=1, keepdims=True))


REFERENCE = LoggingReference(choosing, "known")
SEEN = np.zeros((3, 2), np.float32)


def test_choices_are_as_likely_as_the_log_says_and_never_impossible() -> None:
    found = REFERENCE.log_prob_stored(SEEN, torch.tensor([0, 1, 2]), None)
    expected = np.log([0.75, 0.25, SMALLEST_CHANCE])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert found.dtype == torch.float32


def test_what_is_forbidden_is_left_out_of_the_choice() -> None:
    allowed = torch.tensor([[True, False, True]] * 3)
    found = REFERENCE.log_prob_stored(SEEN, torch.tensor([0, 0, 2]), allowed)
    np.testing.assert_allclose(found.numpy(), np.log([1.0, 1.0, SMALLEST_CHANCE]), atol=1e-6)


def test_many_rows_are_asked_in_parts_with_the_same_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choice = torch.from_numpy(np.random.default_rng(0).integers(0, 3, 11))
    seen = np.zeros((11, 2), np.float32)
    whole = REFERENCE.log_prob_stored(seen, choice, None)
    monkeypatch.setattr(logging_reference, "CHUNK_ROWS", 4)
    assert torch.equal(REFERENCE.log_prob_stored(seen, choice, None), whole)
