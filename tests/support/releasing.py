"""Policies that were logged to a store of their own, and verdicts of them, passed or not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from ppo_marketing.gate import Audit, GateRules
from ppo_marketing.jobs.release_book import Book, Desk, opened
from ppo_marketing.jobs.verdicts import keep_verdict
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import load_policy, save_policy
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.releases import ReleaseRules
from ppo_marketing.tracking import open_tracker
from ppo_marketing.tracking.registry import CHAMPION
from tests.support.audits import SOUND

DECISION = "shelf"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
POOR = replace(SOUND, positives=12.0)


def logged_policies(project: Path, number: int) -> list[Path]:
    """Folders of policies that runs of a new store in `project` logged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        folders = []
        for seed in range(number):
            rng = np.random.default_rng(seed)
            observed, actions = spaces.Box(-5.0, 5.0, (3,)), spaces.Box(-1.0, 1.0, (1,))
            agent = Agent.create(observed, actions, PPOConfig(start="random", hidden=(4,)), rng)
            folder = project / "policies" / str(seed + 1)
            save_policy(agent, folder)
            log_policy(project, folder)
            folders.append(folder)
    return folders


def log_policy(project: Path, folder: Path) -> None:
    """Let a run of the store in `project` log the policy in `folder`."""
    rng = np.random.default_rng(0)
    example = rng.normal(size=(2, 3)).astype(np.float32)
    answer = load_policy(folder).act(example, rng, deterministic=True)
    with open_tracker(project).start(DECISION, folder.name, params={"run": folder.name}) as run:
        run.policy(folder, observation_example=example, action_example=answer)


def copied(template: Path, project: Path) -> Path:
    """A project with the store of another and its releases; the stored models are shared."""
    (project / "mlruns").mkdir(parents=True)
    shutil.copy(template / "mlruns" / "mlflow.db", project / "mlruns")
    if (template / "data").exists():
        shutil.copytree(template / "data", project / "data")
    return project


def judged(
    folder: Path, policy: Path, audit: Audit = SOUND, release: ReleaseRules | None = None
) -> Path:
    """The folder of a run, with the verdict on a policy."""
    folder.mkdir(parents=True, exist_ok=True)
    keep_verdict(
        folder, DECISION, audit, GateRules(), policy=policy, data_sha256="d" * 64, release=release
    )
    return folder


def desk_at(project: Path, days: float = 0.0, rules: ReleaseRules | None = None) -> Desk:
    """A desk some days after noon."""
    return Desk(project, "deploy", NOON + timedelta(days=days), rules or ReleaseRules())


def state(project: Path) -> tuple[int | None, int | None, list[str]]:
    """The champion by the trail and by the registry, and the actions that were recorded."""
    book: Book
    with opened(desk_at(project)) as book:
        now = book.standing(DECISION)
        by_trail = None if now is None else now.champion.to_version
        actions = [str(line.action) for line in book.lines]
        return by_trail, book.registry.alias(DECISION, CHAMPION), actions
