"""What a judged run consists of, loaded and verified: for whoever asks it something further."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from envs.core.decision import Calibration, Decision
from envs.core.settings import load_settings
from ppo_marketing import as_shipped
from ppo_marketing.config import RunConfig, load_config
from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.files import read_json
from ppo_marketing.guardrails import Counted
from ppo_marketing.jobs.calibration import load_calibration
from ppo_marketing.jobs.logs import decision_named
from ppo_marketing.jobs.policy_folder import START
from ppo_marketing.jobs.verdicts import Audited, kept_verdict
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.policy import Policy
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import load_policy


class Parts(NamedTuple):
    """A judged run: its folder, card and market, the policy with its start, how it was judged."""

    run: Path
    decision: Decision
    calibration: Calibration
    settings: Any  # those that the policy acts under
    policy: Agent
    start: Agent
    config: RunConfig
    audited: Audited

    @property
    def guarded(self) -> Counted | None:
        """The policy behind the run's guardrails; None where it has none."""
        return as_shipped.guarded(
            self.calibration, self.settings, self.config.guardrails, self.policy, self.start,
            self.config.seed,
        )  # fmt: skip

    @property
    def shipped(self) -> Policy:
        """The policy as it was judged."""
        rail = self.guarded
        return self.policy if rail is None else rail


def parts_of(run: Path) -> Parts:
    """Load a judged run.

    Raises:
        UserError: it is not judged, or its calibration is not beside its verdict.
        IntegrityError: verdict, policy or calibration is not what was judged.
    """
    audited = kept_verdict(run)
    if not (run / "calibration").is_dir():
        raise UserError(
            f"{run} holds no calibration: name the folder that `run` wrote to, or evaluate into "
            "the folder that holds the calibration"
        )
    decision = decision_named(audited.decision)
    calibration, _ = load_calibration(decision, run / "calibration")
    if calibration.data_sha256 != audited.data_sha256:
        raise IntegrityError(f"{run} holds a calibration of another log than its verdict's")
    with as_user_error():
        settings: Any = load_settings(audited.policy, decision.settings_type)
    # As flags: what was effective then is not overridden by what is set now.
    config = load_config(None, read_json(run / "evidence.json")["config"])
    return Parts(
        run, decision, calibration, settings, load_policy(audited.policy),
        load_policy(audited.policy / START), config, audited,
    )  # fmt: skip
