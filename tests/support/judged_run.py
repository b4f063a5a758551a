"""A run's folder as `run` leaves it, without its training: calibrated and judged."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from envs import load_decision
from envs.core.settings import load_settings, settings_text
from ppo_marketing.config import load_config
from ppo_marketing.gate import Audit, GateRules, judge
from ppo_marketing.jobs.calibration import calibrate
from ppo_marketing.jobs.policy_folder import START
from ppo_marketing.jobs.verdicts import keep_verdict, kept_verdict
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import save_policy
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.progress import SilentReporter as Silent
from tests.support.audits import SOUND

ESTIMATE = {"value": 0.9, "low": 0.8, "high": 1.0, "unit": ""}


def judged_run(folder: Path, decision: str, *, days: int, audit: Audit = SOUND) -> Path:
    """The folder of a run of `decision` with an agent that was never trained."""
    card = load_decision(decision)
    config = load_config(
        None,
        {"decision": decision, "project": folder, "output": folder / "run", "log": {"days": days}},
    )
    calibration = calibrate(card, config, folder / "run" / "calibration", Silent())
    run, policy = folder / "run", folder / "run" / "policy"
    settings: Any = load_settings(run / "calibration", card.settings_type)
    world = calibration.history_world(settings)
    agent = Agent.create(
        world.observation_space,
        world.action_space,
        PPOConfig(start="random", hidden=(8,)),
        np.random.default_rng(0),
    )
    agent.actor.weights[-1].data.mul_(100.0)
    save_policy(agent, policy)
    save_policy(agent, policy / START)
    (policy / "settings.json").write_text(settings_text(settings))
    (run / "config.yaml").write_text(yaml.safe_dump(config.as_values() | {"guardrails": {}}))
    row = {"name": "PPO", "kind": "policy", "value": ESTIMATE, "share_of_ceiling": ESTIMATE}
    evidence = {
        "data_sha256": calibration.data_sha256,
        "config": config.as_values(),
        "notes": list(calibration.notes),
        "optimism_gap": 0.01,
        "later": {
            "world": "simulated from the later part",
            "episodes": 60,
            "best_rule": "popular",
            "rows": [{**row, "policy_lift": None}],
        },
        "verdict": judge(audit, GateRules()).as_dict(),
        "settings": dataclasses.asdict(settings),
    }
    (run / "evidence.json").write_text(json.dumps(evidence, default=str))
    keep_verdict(
        run, decision, audit, GateRules(), policy=policy, data_sha256=calibration.data_sha256
    )
    return run


def copied_run(run: Path, folder: Path, **guardrails: Any) -> Path:
    """A copy with these guardrails, whose verdict speaks of the copy's own policy."""
    shutil.copytree(run, folder)
    config = yaml.safe_load((run / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"guardrails": guardrails}))
    kept = kept_verdict(run)
    keep_verdict(
        folder, kept.decision, kept.audit, kept.rules,
        policy=folder / "policy", data_sha256=kept.data_sha256,
    )  # fmt: skip
    return folder
