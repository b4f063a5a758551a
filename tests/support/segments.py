"""Decisions about people of two kinds, and a policy that treats one of them alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from envs.core.words import StateVariable
from ppo_marketing.jobs.run_fairness import Segments

PEOPLE = 800
KIND = StateVariable(
    name="kind", label="Kind", help="who it is", columns=(0,), levels=("regular", "new")
)
SPEND = StateVariable(name="spend", label="Spend", help="so far", columns=(1,), unit="EUR")


def segments() -> Segments:
    """One decision a person, every other one new; the log mailed half of each kind."""
    number = np.arange(PEOPLE)
    spend = np.random.default_rng(0).normal(size=PEOPLE)
    observation = np.column_stack([number % 2 == 0, spend]).astype(np.float32)
    return Segments(
        variables=(KIND, SPEND),
        actions=("none", "mail"),
        usual=("mail",),
        observation=observation,
        mask=None,
        action=(number // 2) % 2,
        unit=number,
    )


class MailsTheNew:
    """A policy that mails whoever is new, by the column that is 1 of regulars."""

    def act(self, observation: Any, rng: Any, mask: Any = None, **how: Any) -> Any:
        return (observation[:, 0] < 0.5).astype(np.int64)


def mails_the_new() -> Any:
    """A run's parts, as far as fairness asks for them."""
    return SimpleNamespace(shipped=MailsTheNew(), policy=SimpleNamespace(head=None))
