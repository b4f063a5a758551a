"""Guardrails edited by hand: checked by the engine, priced on a run's own market, kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import yaml

from ppo_marketing.access import Permission
from ppo_marketing.config import build
from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import ceiling_of, telling_episodes
from ppo_marketing.files import made, write_atomically
from ppo_marketing.guardrails import Support
from ppo_marketing.guardrails.guards import AmountLimits
from ppo_marketing.guardrails.section import GuardrailsSection
from ppo_marketing.jobs.admission import admit
from ppo_marketing.jobs.kept_parts import Parts
from ppo_marketing.jobs.release_book import Desk
from ppo_marketing.pipeline.streams import JUDGING_EPISODES, stream
from ppo_marketing.policy import PolicyActor
from ppo_marketing.reference_states import reference_states
from ppo_marketing.shadow_prices import ShadowPrices, shadow_prices

BOOTSTRAP_STREAM = 5
"""After those of `evaluation` and `audit`, so that none shifts another."""


def action_space(parts: Parts) -> gymnasium.Space[Any]:
    """What the decision's actions are."""
    return parts.calibration.history_world(parts.settings).action_space


def checked_section(parts: Parts, values: Mapping[str, Any]) -> GuardrailsSection:
    """A `guardrails:` section made of plain values, held against this decision's actions.

    Raises UserError that lists every problem.
    """
    section = build(GuardrailsSection, values, "guardrails")
    # What training saw is not needed to see whether limits fit the actions.
    section.model_copy(update={"support_margin": None}).limits(action_space(parts))
    return section


def limit_costs(parts: Parts, section: GuardrailsSection) -> ShadowPrices:
    """What each limit of a section would cost the run's policy, on the episodes that judged it.

    Raises UserError as `GuardrailsSection.limits`.
    """
    decision, config, settings = parts.decision, parts.config, parts.settings
    episodes = config.evaluation.episodes
    world = parts.calibration.judging_world(
        episodes, settings, stream(config.seed, JUDGING_EPISODES)
    )
    met = None
    if section.support_margin is not None:
        history = parts.calibration.history_world(settings)
        actor = PolicyActor("policy", parts.policy)
        met = Support.seen(reference_states(history, actor, seed=config.seed).observation)
    space = world.action_space
    widest = None
    if isinstance(space, gymnasium.spaces.Box):
        widest = AmountLimits(floor=float(space.low.min()), cap=float(space.high.max()))
    ceiling = ceiling_of(world, episodes, config.seed, decision.ceiling)
    limits = section.limits(space, met)
    return shadow_prices(
        world,
        parts.policy,
        parts.start,
        limits,
        widest=widest,
        value_kpi=decision.value_kpi,
        unit=settings.currency,
        telling=telling_episodes(ceiling, decision.ceiling_kind),
        seed=config.seed,
        rng=np.random.default_rng([config.seed, BOOTSTRAP_STREAM]),
        units=_units(parts) if limits.suppressed or limits.holdout else None,
        repetitions=config.evaluation.bootstrap,
    )


def _units(parts: Parts) -> int | None:
    """The units of the later part of the log; None where an episode is not one unit's."""
    logged = parts.calibration.heldout_decisions(parts.settings)
    return None if logged is None else len(np.unique(logged.unit))


def section_text(section: GuardrailsSection) -> str:
    """The section as YAML for `--config`; what is not set is left out."""
    plain = section.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump({"guardrails": plain}, sort_keys=False)


def kept_section(project: Path, decision: str) -> Path:
    """Where a project keeps the guardrails that the next run of a decision is to have."""
    return project / "data" / "guardrails" / f"{decision}.yaml"


def keep_section(desk: Desk, decision: str, section: GuardrailsSection) -> Path:
    """Keep a section for the next run: `ppo-marketing run --config FILE`.

    Raises Refused where whoever stands at the desk may not; recorded.
    """
    admit(desk, Permission.EDIT_GUARDRAILS, decision=decision, asked="edit guardrails")
    path = kept_section(desk.project, decision)
    made(path.parent)
    write_atomically(path, section_text(section).encode())
    return path


def last_section(project: Path, parts: Parts) -> tuple[GuardrailsSection, bool]:
    """The guardrails that the next run is to have: those kept by hand (True), else the run's own.

    Raises UserError where what was kept cannot be used any more.
    """
    path = kept_section(project, parts.decision.name)
    if not path.is_file():
        return parts.config.guardrails, False
    return build(GuardrailsSection, section_in(path), f"guardrails kept in {path.name}"), True


def section_in(path: Path) -> Mapping[str, Any]:
    """The `guardrails:` section of a YAML file as plain values.

    Raises UserError where there is none.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))["guardrails"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError) as error:
        raise UserError(f"{path.name} holds no guardrails that can be read: {error!r}") from error
    if not isinstance(values, dict):
        raise UserError(f"`guardrails:` in {path.name} must hold `name: value` lines")
    return values


def labels_of(parts: Parts) -> tuple[str, ...]:
    """What the choices are called, where the log says; else their numbers; none for amounts."""
    space = action_space(parts)
    if not isinstance(space, gymnasium.spaces.Discrete):
        return ()
    logged = parts.calibration.heldout_decisions(parts.settings)
    return tuple(map(str, range(int(space.n)))) if logged is None else logged.actions
