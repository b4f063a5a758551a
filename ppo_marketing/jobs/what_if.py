"""A run's folder made ready to be asked: its policy, its simulator, whom it is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from envs.core.decision import Calibration, Decision, Rule
from envs.core.settings import load_settings
from ppo_marketing import as_shipped, pipeline
from ppo_marketing.config import RunConfig, load_config
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.calibration import load_calibration
from ppo_marketing.jobs.logs import decision_named
from ppo_marketing.jobs.training import START
from ppo_marketing.policy import Policy
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import load_policy
from ppo_marketing.what_if.stage import EPISODES, Stage, stage_of


class ReadRun(NamedTuple):
    """A trained run, read: `shipped` is the policy behind its guardrails, or the agent itself."""

    decision: Decision
    config: RunConfig
    calibration: Calibration
    settings: Any
    agent: Agent
    shipped: Policy

    def rules(self) -> tuple[Rule[Any], ...]:
        """Every rule, tuned on the earlier part; takes a while."""
        return pipeline.tuned_rules(
            self.decision, self.calibration, self.settings, self.config.seed
        )


def read_run(run: Path) -> ReadRun:
    """Read what `run`, or `calibrate` and `train`, left in a folder.

    Raises:
        UserError: something is missing; all of it is listed.
        IntegrityError: a file is not what was written.
    """
    wanted = ("config.yaml", "calibration", "policy")
    missing = [name for name in wanted if not (run / name).exists()]
    if missing:
        raise UserError(
            f"{run} holds no {', '.join(missing)}: name the folder that `run` wrote to, or train "
            "into the folder that holds the calibration"
        )
    config = load_config(run / "config.yaml", {})
    decision = decision_named(config.decision)
    calibration, _ = load_calibration(decision, run / "calibration")
    agent, start = load_policy(run / "policy"), load_policy(run / "policy" / START)
    with pipeline.as_user_error():
        settings: Any = load_settings(run / "policy", decision.settings_type)
    rail = as_shipped.guarded(calibration, settings, config.guardrails, agent, start, config.seed)
    return ReadRun(decision, config, calibration, settings, agent, rail or agent)


def stage_of_run(
    read: ReadRun, *, episodes: int | None = None, seed: int | None = None, beside: bool = False
) -> Stage:
    """The stage on which a run's what-ifs are played; with `beside`, tuned rules stand on it too.

    `episodes` None: as many as the run is judged on, at most `EPISODES`; `seed` None: the run's.

    Raises UserError where `episodes` is not positive.
    """
    judged_on = read.config.evaluation.episodes
    count = min(EPISODES, judged_on) if episodes is None else episodes
    if count < 1:
        raise UserError(f"episodes is {count}: it must be 1 or more")
    with pipeline.as_user_error():
        return stage_of(
            read.decision, read.calibration, read.settings, read.shipped,
            read.rules() if beside else (),
            seed=read.config.seed if seed is None else seed,
            episodes=count,
            member_episodes=min(count, judged_on),
        )  # fmt: skip
