"""The held-out log's own word on a judged policy, in all detail: estimators, weights, support.

The verdict keeps the lift alone. Here it is worked out once more from the same rows with the same
random numbers, so that what is shown adds up to what was judged.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np

from ppo_marketing.audit import (
    BOOTSTRAP,
    Floats,
    proposed,
    replayed,
    rows_report,
    sequences_report,
)
from ppo_marketing.files import read_json
from ppo_marketing.gate import LogLift
from ppo_marketing.jobs.kept_parts import Parts
from ppo_marketing.maturity import Day, days_of
from ppo_marketing.ope.battery import OffPolicyReport
from ppo_marketing.ope.lift import Lift
from ppo_marketing.policy import PolicyActor


@dataclass(frozen=True, kw_only=True)
class LogWord:
    """What the log says: `lift` as it was judged, and one of the three kinds of detail.

    `rows`: every estimator, where decisions stand alone. `sequences`: fitted Q evaluation, where
    they follow each other. `gains [n]`: the policy's value less the log's own in each held-out
    episode, where the log could be replayed.
    """

    lift: LogLift | None
    rows: OffPolicyReport | None = None
    sequences: Lift | None = None
    gains: Floats | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = self.sequences
        return {
            "lift": None if self.lift is None else asdict(self.lift),
            "rows": None if self.rows is None else self.rows.as_dict(),
            "sequences": None
            if found is None
            else {
                "target": found.target._asdict(),
                "logging": found.logging._asdict(),
                "lift": found.lift._asdict(),
                "units": found.units,
                "effective_trajectories": found.effective_trajectories.tolist(),
                "unsupported_by_step": found.support.by_step.tolist(),
            },
            "gains": None if self.gains is None else self.gains.tolist(),
        }


def log_word(parts: Parts) -> LogWord:
    """Ask the held-out part of the log again, as the gate did."""
    lift, seed = parts.audited.audit.lift, parts.config.seed
    decision, calibration, settings = parts.decision, parts.calibration, parts.settings
    rng = np.random.default_rng([seed, 4])  # the gate's own stream
    logged = calibration.heldout_decisions(settings)
    if logged is None:
        world, logging = calibration.heldout_world(settings), decision.logging_rule(calibration)
        if world is None or logging is None:
            return LogWord(lift=lift)
        actor = PolicyActor("policy", parts.shipped)
        mine, theirs = replayed(world, actor, logging, seed)
        return LogWord(lift=lift, gains=mine[decision.value_kpi] - theirs[decision.value_kpi])
    action = proposed(parts.shipped, logged, np.random.default_rng(seed)).action
    if logged.sequential:
        return LogWord(lift=lift, sequences=sequences_report(logged, action, BOOTSTRAP, rng))
    return LogWord(lift=lift, rows=rows_report(logged, action, BOOTSTRAP, rng))


def log_days(parts: Parts) -> tuple[Day, ...]:
    """The days of the run's log; none where the run was made before they were kept."""
    about = read_json(parts.run / "calibration" / "log.json")
    given = [(date.fromisoformat(day), int(rows)) for day, rows in about.get("days", ())]
    return days_of(given, parts.calibration.judged_from, parts.decision.attribution_days)
