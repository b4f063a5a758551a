"""The model card of a run, and the page of its decision's environment that it quotes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.envs.registration import load_env_creator

from envs.core.decision import Decision
from ppo_marketing.export.model_card import model_card

if TYPE_CHECKING:
    from ppo_marketing.jobs.exporting import Exportable


def card_of(found: Exportable, made_at: str) -> dict[str, Any]:
    """The model card of a run as plain values."""
    return model_card(
        decision={
            "name": found.decision.name,
            "title": found.decision.title,
            "question": found.decision.question,
            "not_modelled": documentation(found.decision).get("Not modelled", ""),
        },
        log=found.log,
        fidelity=found.calibration.fidelity.as_dict(),
        evidence=found.evidence,
        verdict=found.audited.verdict.as_dict(),
        limits=found.limits,
        policy_sha256=found.agent.sha256(),
        made_at=made_at,
    )


def documentation(decision: Decision) -> dict[str, str]:
    """The sections of the environment's own page, by heading."""
    entry = gymnasium.spec(decision.env_id).entry_point
    assert isinstance(entry, str)
    page = inspect.getdoc(load_env_creator(entry)) or ""
    sections = {}
    for part in page.split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        sections[heading.strip()] = text.strip()
    return sections
