"""A judged run made ready to be asked: what if, and why."""

from __future__ import annotations

from ppo_marketing import as_shipped
from ppo_marketing.errors import UserError
from ppo_marketing.explore.explorer import EPISODES as EXPLORED_EPISODES
from ppo_marketing.explore.explorer import Explorer, explorer_of
from ppo_marketing.explore.guarded import Held, held
from ppo_marketing.guardrails.section import GuardrailsSection
from ppo_marketing.jobs.kept_parts import Parts
from ppo_marketing.limit_parts import not_simulated, simulated
from ppo_marketing.pipeline import calibrating
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.what_if.stage import EPISODES, Stage, stage_of


def episodes_of(parts: Parts) -> int:
    """As many as the run is judged on, as far as they answer at once: at most `EPISODES`."""
    return min(EPISODES, parts.config.evaluation.episodes)


def stage_of_run(
    parts: Parts, *, episodes: int | None = None, seed: int | None = None, beside: bool = False
) -> Stage:
    """The stage on which a run's what-ifs are played; with `beside`, tuned rules stand on it too.

    `episodes` None: as `episodes_of` the run; `seed` None: the run's.

    Raises UserError where `episodes` is not positive.
    """
    count = episodes_of(parts) if episodes is None else episodes
    if count < 1:
        raise UserError(f"episodes is {count}: it must be 1 or more")
    market = (parts.decision, parts.calibration, parts.settings)
    rules = calibrating.tuned_rules(*market, parts.config.seed) if beside else ()
    with as_user_error():
        return stage_of(
            *market, parts.shipped, rules,
            seed=parts.config.seed if seed is None else seed,
            episodes=count,
            member_episodes=min(count, parts.config.evaluation.episodes),
        )  # fmt: skip


def explorer_of_run(parts: Parts) -> Explorer:
    """The run's policy with the states that it meets and the log's own cases.

    Raises UserError where the policy's actions are of a kind that cannot be explored.
    """
    with as_user_error():
        return explorer_of(
            parts.decision, parts.calibration, parts.settings, parts.policy,
            seed=parts.config.seed,
            episodes=min(EXPLORED_EPISODES, parts.config.evaluation.episodes),
        )  # fmt: skip


def held_of_run(parts: Parts, explorer: Explorer, section: GuardrailsSection) -> Held | None:
    """The run's policy as it would act under guardrails; None where they limit nothing.

    Raises UserError as `GuardrailsSection.limits`.
    """
    rail = as_shipped.guarded(
        parts.calibration, parts.settings, section, parts.policy, parts.start, parts.config.seed
    )
    if rail is None:
        return None
    # What training saw is not needed to name the limits.
    everything = section.model_copy(update={"support_margin": None})
    asked_for = everything.limits(explorer.world.action_space)
    return held(explorer, rail.guardrail, not_simulated(asked_for, simulated(asked_for)))
