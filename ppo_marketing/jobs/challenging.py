"""A judged policy against the one that runs today: what changes, for whom, and what it earns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppo_marketing import as_shipped
from ppo_marketing.audit_trail import Line, read_trail
from ppo_marketing.drift import Drift
from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.evaluation import (
    Estimate,
    PairedLift,
    ceiling_of,
    paired_lift,
    play,
    telling_episodes,
)
from ppo_marketing.files import folder_sha256, read_json
from ppo_marketing.jobs.kept_parts import Parts
from ppo_marketing.jobs.release_book import trail_of
from ppo_marketing.pipeline import JUDGING_EPISODES, stream
from ppo_marketing.policy import PolicyActor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import load_policy
from ppo_marketing.releases import standing
from ppo_marketing.tracking import open_tracker

BOOTSTRAP_STREAM = 6


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """The challenger against the champion, both playing the episodes that judged the challenger.

    `lift` is in currency an episode. `notes` say what the comparison could not know.
    """

    champion_version: int
    champion_sha256: str
    challenger_sha256: str
    challenger_value: Estimate
    champion_value: Estimate
    lift: PairedLift
    drift: Drift
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "drift": self.drift.to_dict()}


def standing_champion(project: Path, decision: str) -> Line | None:
    """The release that makes a policy of `decision` champion, by the audit trail; None: none."""
    now = standing(read_trail(trail_of(project)), decision)
    return None if now is None else now.champion


def challenge(parts: Parts, project: Path) -> Challenge | None:
    """Compare a judged policy with the champion; None where there is none, or it is the champion.

    Raises:
        UserError: the two act under other settings, so that what they do cannot be compared.
        IntegrityError: the champion's stored files, or the audit trail, are not what was written.
    """
    decision, config, settings = parts.decision, parts.config, parts.settings
    champion = standing_champion(project, decision.name)
    if champion is None or champion.policy_sha256 == parts.audited.policy_sha256:
        return None
    incumbent, notes = _agent_of(champion, project, parts)
    drift = as_shipped.drift_between(
        decision, parts.calibration, settings, incumbent, parts.policy,
        bounds=config.drift, episodes=config.evaluation.episodes, seed=config.seed,
    )  # fmt: skip
    episodes = config.evaluation.episodes
    world = parts.calibration.judging_world(
        episodes, settings, stream(config.seed, JUDGING_EPISODES)
    )
    telling = telling_episodes(
        ceiling_of(world, episodes, config.seed, decision.ceiling), decision.ceiling_kind
    )
    mine, theirs = (
        play(PolicyActor("policy", who), world, episodes, config.seed, "policy").kpis[
            decision.value_kpi
        ][telling]
        for who in (parts.shipped, incumbent)
    )
    lift = paired_lift(
        np.asarray(mine, np.float64),
        np.asarray(theirs, np.float64),
        unit=settings.currency,
        repetitions=config.evaluation.bootstrap,
        rng=np.random.default_rng([config.seed, BOOTSTRAP_STREAM]),
    )
    assert champion.to_version is not None
    return Challenge(
        champion_version=champion.to_version,
        champion_sha256=champion.policy_sha256,
        challenger_sha256=parts.audited.policy_sha256,
        challenger_value=lift.mine,
        champion_value=lift.theirs,
        lift=lift,
        drift=drift,
        notes=notes,
    )


def _agent_of(champion: Line, project: Path, parts: Parts) -> tuple[Agent, tuple[str, ...]]:
    assert champion.to_version is not None
    registry = open_tracker(project).registry
    version = registry.version(champion.decision, champion.to_version)
    agent = load_policy(registry.policy_folder(version))
    theirs = _settings_of(champion, project)
    if theirs is None:
        return agent, (
            "the champion's own run is no longer in this project: it is compared as if it acted "
            "under the challenger's settings",
        )
    own = read_json(parts.audited.policy / "settings.json")
    differing = [name for name in {**theirs, **own} if theirs.get(name) != own.get(name)]
    if differing:
        raise UserError(
            f"the champion acts under other settings ({', '.join(sorted(differing))}): what the "
            "two do cannot be compared. Train the challenger with the champion's settings, or "
            "judge the champion's run again under these"
        )
    return agent, ()


def _settings_of(champion: Line, project: Path) -> dict[str, Any] | None:
    """The settings in the run's folder that holds the champion's policy; None: there is none."""
    for record in sorted((project / "data" / "runs").glob("*/policy/policy.json")):
        folder = record.parent
        try:
            if folder_sha256(folder, record.name) == champion.policy_sha256:
                return read_json(folder / "settings.json")
        except OSError as error:
            raise IntegrityError(f"{folder.parent.name} cannot be read: {error}") from error
    return None
