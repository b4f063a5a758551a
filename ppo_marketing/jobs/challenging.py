"""A judged policy against the one that runs today: what changes, for whom, and what it earns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppo_marketing import as_shipped
from ppo_marketing.audit_trail import Line
from ppo_marketing.drift import Drift
from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import (
    Estimate,
    ceiling_of,
    play,
    telling_episodes,
)
from ppo_marketing.files import read_json
from ppo_marketing.jobs.incumbents import policy_of
from ppo_marketing.jobs.kept_parts import Parts
from ppo_marketing.jobs.kept_runs import runs_of
from ppo_marketing.jobs.release_book import standing_champion
from ppo_marketing.lifts import PairedLift, paired_lift
from ppo_marketing.pipeline.streams import JUDGING_EPISODES, stream
from ppo_marketing.policy import PolicyActor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import load_policy
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


def challenge(parts: Parts, project: Path) -> Challenge | None:
    """Compare a judged policy with the champion; None where there is none, or it is the champion.

    Raises:
        UserError: the two act under other settings, so that what they do cannot be compared.
        IntegrityError: the champion's stored files, or the audit trail, are not what was written.
    """
    decision, config, settings = parts.decision, parts.config, parts.settings
    found = incumbent_of(parts, project)
    if found is None:
        return None
    champion, incumbent, notes = found
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


def incumbent_of(parts: Parts, project: Path) -> tuple[Line, Agent, tuple[str, ...]] | None:
    """The champion that a run's policy would replace, with notes; None: none, or it is that itself.

    Raises as `challenge`.
    """
    champion = standing_champion(project, parts.decision.name)
    if champion is None or champion.policy_sha256 == parts.audited.policy_sha256:
        return None
    return champion, *_agent_of(champion, project, parts)


def _agent_of(champion: Line, project: Path, parts: Parts) -> tuple[Agent, tuple[str, ...]]:
    """The champion's agent, from its own run where that is still here, else from the registry."""
    folder = policy_of(champion, (run.folder for run in runs_of(project, champion.decision)))
    if folder is None:
        assert champion.to_version is not None
        registry = open_tracker(project).registry
        version = registry.version(champion.decision, champion.to_version)
        return load_policy(registry.policy_folder(version)), (
            "the champion's own run is no longer in this project: it is compared as if it acted "
            "under the challenger's settings",
        )
    theirs, own = (read_json(f / "settings.json") for f in (folder, parts.audited.policy))
    differing = [name for name in {**theirs, **own} if theirs.get(name) != own.get(name)]
    if differing:
        raise UserError(
            f"the champion acts under other settings ({', '.join(sorted(differing))}): what the "
            "two do cannot be compared. Train the challenger with the champion's settings, or "
            "judge the champion's run again under these"
        )
    return load_policy(folder), ()
