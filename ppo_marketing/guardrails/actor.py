"""A guarded actor: the same limits on what the market receives, with any rule to fall back on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ppo_marketing.errors import UserError
from ppo_marketing.guardrails.batch import apply
from ppo_marketing.guardrails.context import Context
from ppo_marketing.guardrails.limits import GuardrailLimits
from ppo_marketing.guardrails.reasons import Interventions

if TYPE_CHECKING:
    from envs.core.world import World
    from ppo_marketing.policy import Actor


class GuardedActor:
    """Plays a world with its controls held by `limits`; adds up its interventions as it plays.

    Rules speak in controls, not in an agent's actions: only here can a rule be the champion that
    changes are measured against. Limits on amounts are in the unit of the control.

    Raises:
        UserError: the limits need units or time, which worlds do not tell.
    """

    def __init__(self, name: str, limits: GuardrailLimits, actor: Actor, fallback: Actor) -> None:
        if limits.needs:
            raise UserError(
                f"a simulated world tells no {', '.join(limits.needs)}, which these limits need: "
                "use limits.alone()"
            )
        self.name = name
        self.limits = limits
        self.actor = actor
        self.fallback = fallback
        self.interventions = Interventions()

    def arena(self, world: World[Any], rng: Generator) -> World[Any]:
        """The world as the actor inside acts in it."""
        return self.actor.arena(world, rng)

    def control(self, world: World[Any], state: Any, rng: Generator) -> NDArray[Any]:
        """The guarded control of every copy, `[n, ...]`."""
        guarded = apply(
            self.limits,
            np.asarray(self.actor.control(world, state, rng)),
            np.asarray(self.fallback.control(world, state, rng)),
            Context(observation=world.observe(state), mask=world.action_mask(state)),
        )
        self.interventions += guarded.interventions
        return guarded.action
