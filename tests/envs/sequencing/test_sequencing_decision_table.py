"""The table of contacts: every state once, consent respected, the menu's own words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import envs
from envs.sequencing.decision_table import decision_table
from envs.sequencing.world import SequencingWorld


@pytest.fixture(scope="module")
def world() -> SequencingWorld:
    card = envs.load_decision("sequencing")
    made = card.true_world("default", 16, card.sample_settings(), np.random.default_rng(0))
    assert isinstance(made, SequencingWorld)
    return made


def test_every_state_stands_in_the_table_once(world: SequencingWorld) -> None:
    grid = decision_table(world)
    recencies, frequencies = world.tables.shape[:2]
    states = (
        recencies * frequencies * int(np.prod(world.terms.bins)) * 2 ** len(world.menu.channels)
    )
    assert len(grid.observation) == states
    assert len(np.unique(grid.observation, axis=0)) == states


def test_without_consent_no_contact_is_allowed(world: SequencingWorld) -> None:
    grid = decision_table(world)
    assert grid.mask is not None
    for c, channel in enumerate(world.menu.channels):
        without = ~np.asarray(grid.columns[f"consent_{channel}"], bool)
        used = world.menu.channel == c
        assert not grid.mask[without][:, used].any()
        assert grid.mask[~without][:, used].any()
    assert grid.mask[:, 0].all()


def test_a_decision_is_told_in_the_menus_words(world: SequencingWorld) -> None:
    grid = decision_table(world)
    action = np.arange(len(grid.observation)) % (len(world.menu.contacts) + 1)
    told = grid.decided(action)
    assert told["decision"][0] == "none"
    assert told["channel"][0] == ""
    assert (told["channel"][1], told["offer"][1]) == world.menu.contacts[0]


def test_a_table_that_nobody_could_read_is_not_made(world: SequencingWorld) -> None:
    many = world.terms._replace(bins=world.terms.bins * 1000)
    with pytest.raises(ValueError, match="use the ONNX policy"):
        decision_table(replace(world, terms=many))
