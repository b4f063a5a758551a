"""Judged runs as campaigns: where each comes from, and what other spend would bring it."""

from __future__ import annotations

from dataclasses import replace

from ppo_marketing.jobs.asking import stage_of_run
from ppo_marketing.jobs.kept_parts import Parts
from ppo_marketing.what_if.campaigns import Origin
from ppo_marketing.what_if.curve import Curve, spend_curve
from ppo_marketing.what_if.scenarios import Named
from ppo_marketing.what_if.stage import Stage


def origin_of(parts: Parts, stage: Stage | None = None) -> Origin:
    """Where a run's curve comes from; with its stage, how long its episodes are too."""
    return Origin(
        run=parts.run.name,
        decision=parts.decision.name,
        currency=parts.settings.currency,
        log_sha256=parts.calibration.data_sha256,
        steps=None if stage is None else stage.world.horizon,
    )


def curve_of_run(
    parts: Parts, scenario: Named, *, episodes: int | None = None, seed: int | None = None
) -> tuple[Origin, Curve]:
    """What other spend would bring a run's policy in a scenario; the curve is named after the run.

    Raises UserError as `stage_of_run` and `spend_curve`.
    """
    stage = stage_of_run(parts, episodes=episodes, seed=seed)
    return origin_of(parts, stage), replace(spend_curve(stage, scenario), name=parts.run.name)
