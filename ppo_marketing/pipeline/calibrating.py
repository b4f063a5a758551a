"""From a log to a market that can be trained in, and the rules tuned on its history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envs.core.decision import Calibration, Decision, Rule
from envs.core.log import LogTable
from ppo_marketing.errors import UserError
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.pipeline.streams import CALIBRATE, TUNE, stream


def calibrate(decision: Decision, log: LogTable, settings: Any, seed: int) -> Calibration:
    """The fitted market with its fidelity report.

    On one thread: the fits are many small steps, which took twice as long on two.
    """
    from ppo_marketing.ppo.threads import single_threaded

    with as_user_error(), single_threaded():
        return decision.fit(log, settings, stream(seed, CALIBRATE))


def require_fidelity(calibration: Calibration, accepted_because: str | None) -> None:
    """Refuse to train on a simulator that does not reproduce the held-out days."""
    if not calibration.fidelity.passed and accepted_because is None:
        listed = "\n".join(
            f"  {c.name}: {c.value:.4g}, allowed {c.low:.4g} to {c.high:.4g}: {c.meaning}"
            for c in calibration.fidelity.failures
        )
        listed = listed or "  the log supports no check at all"
        raise UserError(
            f"the simulator does not reproduce the held-out days; training on it is refused:\n"
            f"{listed}\nMend the log or the calibration; or accept it by name with "
            "--accept-failed-fidelity REASON, which is recorded with the run."
        )


def require_playable(calibration: Calibration, settings: Any) -> None:
    """Refuse settings that only the calibrated market shows to be impossible."""
    with as_user_error():
        calibration.history_world(settings)


def tuned_rules(
    decision: Decision, calibration: Calibration, settings: Any, seed: int
) -> tuple[Rule[Any], ...]:
    """Every rule, tuned on the history days only."""
    history = calibration.history_world(settings)
    return tuple(rule.tuned(history, stream(seed, TUNE)) for rule in decision.rules())


def anchored(decision: Decision, settings: Any, rules: Sequence[Rule[Any]]) -> Any:
    """The settings with the agent's action 0 on the best closed-form rule."""
    return decision.anchored(settings, rules)
