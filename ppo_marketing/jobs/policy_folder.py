"""A kept policy: its start, what it acts under, what it was trained on, what it must not judge."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from envs.core.decision import Calibration
from envs.core.settings import settings_text
from ppo_marketing.errors import UserError
from ppo_marketing.files import read_json, write_atomically
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import save_policy
from ppo_marketing.ppo.constraint import PIDLagrangian

START = "start"
"""Where a policy's folder keeps the agent that training started from."""


def keep_policy(
    policy: Agent,
    start: Agent,
    settings: Any,
    calibration: Calibration,
    constraint: PIDLagrangian | None,
    folder: Path,
) -> None:
    """Write the policy, its start, the settings they act under and what they were trained on."""
    save_policy(start, folder / START)
    save_policy(policy, folder)
    write_atomically(folder / "settings.json", settings_text(settings).encode())
    seen = {
        "data_sha256": calibration.data_sha256,
        "before": calibration.judged_from.isoformat(),
        "limit": None if constraint is None else asdict(constraint),
    }
    write_json(folder / "trained-on.json", seen)


def limit_of(folder: Path) -> PIDLagrangian | None:
    """Return the limit that the policy kept in `folder` was trained within, if there was one."""
    limit = read_json(folder / "trained-on.json")["limit"]
    return None if limit is None else PIDLagrangian(**limit)


def require_unseen_days(policy_folder: Path, calibration: Calibration) -> None:
    """Refuse to judge a policy on days that it was trained on.

    Raises UserError.
    """
    seen = read_json(policy_folder / "trained-on.json")
    if date.fromisoformat(seen["before"]) > calibration.judged_from:
        raise UserError(
            f"the policy in {policy_folder} was trained on days before {seen['before']}, and this "
            f"calibration judges on days from {calibration.judged_from} on: the policy has seen "
            f"them. Calibrate on a log whose last third begins on {seen['before']} or later"
        )
