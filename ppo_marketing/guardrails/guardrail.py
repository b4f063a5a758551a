"""A guarded policy: limits around any policy, with another policy to fall back on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ppo_marketing.errors import UserError
from ppo_marketing.guardrails.batch import FRESH, Guarded, apply, outside
from ppo_marketing.guardrails.context import Context, checked, static_mask
from ppo_marketing.guardrails.ledger import choosable
from ppo_marketing.guardrails.limits import GuardrailLimits
from ppo_marketing.guardrails.reasons import Interventions
from ppo_marketing.guardrails.state import GuardState

if TYPE_CHECKING:
    # What decides live imports this module and has no simulator.
    from ppo_marketing.policy import Policy

Array = NDArray[Any]

ROUNDING = 1e-5
"""Probability that single precision loses when a policy's own add up to 1."""


@dataclass(frozen=True)
class Guardrail:
    """A policy that cannot step outside its limits; `fallback` is the champion, or a rule.

    | method | limits | books |
    |---|---|---|
    | `act` | those that need neither unit nor time (it refuses others) | none |
    | `decide` | all | state in, state out |
    | `apply` of this package | all, on proposals that were made elsewhere | state in, state out |
    """

    limits: GuardrailLimits
    policy: Policy
    fallback: Policy

    def act(
        self,
        observation: Array,
        rng: Generator,
        mask: Array | None = None,
        *,
        deterministic: bool = False,
    ) -> Array:
        """What is shipped for every row, `[n, ...]`.

        Raises:
            UserError: as `guarded`.
        """
        return self.guarded(observation, rng, mask, deterministic=deterministic).action

    def guarded(
        self,
        observation: Array,
        rng: Generator,
        mask: Array | None = None,
        *,
        deterministic: bool = False,
    ) -> Guarded:
        """What is shipped for every row, with the reasons.

        Raises:
            UserError: the limits need more than an observation, or as `apply`.
        """
        self._refuse_needy("act")
        context = Context(observation=observation, mask=mask)
        return self.decide(context, rng, deterministic=deterministic)

    def decide(
        self,
        context: Context,
        rng: Generator,
        state: GuardState = FRESH,
        *,
        deterministic: bool = True,
    ) -> Guarded:
        """Ask the policy and the fallback, and ship what the limits allow; pure but for `rng`.

        Neither is shown NaN or what lies outside the support: such values are replaced by the
        nearest that were seen, and the policy's answer to them is not used. The fallback always
        gives its most likely action.

        Raises:
            UserError: as `apply`, or the context has no observation.
        """
        observation, mask = self._shown(context, state)
        proposed = self.policy.act(observation, rng, mask, deterministic=deterministic)
        champion = self.fallback.act(observation, rng, mask, deterministic=True)
        return apply(self.limits, proposed, champion, context, state)

    def log_prob(self, observation: Array, action: Array, mask: Array | None = None) -> Array:
        """log probability of *shipping* an action, `[n]`: the policy's, with what guards moved.

        Choices: P(b) = π(b) [b allowed] + (1 - Σ_{a allowed} π(a)) [b is what the fallback ships],
        and all of it on the fallback's where it decides. Amounts: the policy's own density inside
        the range, -inf outside.

        Raises:
            UserError: the limits need more than an observation; or an amount is on the edge of what
                is allowed or the fallback's, where guards put a mass that has no density, or
                changes are limited, so that the edges move with the champion.
        """
        self._refuse_needy("log_prob")
        context = Context(observation=observation, mask=mask)
        shown, narrowed = self._shown(context, FRESH)
        champion = self.fallback.act(shown, np.random.default_rng(0), narrowed, deterministic=True)
        reference = apply(self.limits, champion, champion, context).action
        forced = np.zeros(len(shown), bool)
        for rows in outside(self.limits, np.asarray(observation, np.float64)).values():
            forced |= rows
        if self.limits.choices is None:
            return self._density(shown, np.asarray(action), forced)
        chosen = np.asarray(action)
        allowed = static_mask(self.limits, narrowed, len(shown))
        own = np.zeros(len(shown))
        kept = np.zeros(len(shown))
        for choice in range(self.limits.choices.choices):
            everywhere = np.full(len(shown), choice)
            chance = np.exp(self.policy.log_prob(shown, everywhere, narrowed)) * allowed[:, choice]
            kept += chance
            own = np.where(chosen == choice, chance, own)
        moved = np.maximum(1.0 - kept, 0.0)
        moved[moved < ROUNDING] = 0.0
        same = chosen == reference
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.where(forced, same, np.minimum(own + moved * same, 1.0))))

    def _density(self, shown: Array, amount: Array, forced: NDArray[np.bool_]) -> Array:
        held = self.limits.amounts
        assert held is not None
        if held.change is not None or held.relative_change is not None:
            raise UserError(
                "log_prob is not defined while changes of an amount are limited: leave `change` "
                "and `relative_change` out of the limits, or ask the policy inside"
            )
        wide = amount if amount.ndim == 2 else amount[:, None]
        edge = (wide == held.floor) | (wide == held.cap) | (wide == held.nothing)
        undefined = int((edge.any(axis=1) | forced).sum())
        if undefined:
            raise UserError(
                f"log_prob is not defined for {undefined} of {len(shown)} amounts: they are on an "
                "edge of the range or the fallback's, where the guards put a mass and not a "
                "density; ask the policy inside"
            )
        inside = ((wide > held.floor) & (wide < held.cap)).all(axis=1)
        density = self.policy.log_prob(shown, amount, None)
        return np.where(inside, density, -np.inf)

    def _shown(self, context: Context, state: GuardState) -> tuple[Array, Array | None]:
        """What policy and fallback see: a readable observation, and what may still be chosen.

        Raises:
            UserError: the context is not one that `apply` takes.
        """
        given = context.observation
        if given is None:
            raise UserError("a policy needs an observation: give Context(observation=...)")
        observation = np.asarray(given)
        zeros = np.zeros(observation.shape[:1])
        asked = checked(self.limits, zeros, zeros, context)
        if any(rows.any() for rows in outside(self.limits, observation).values()):
            observation = self._cleaned(observation)
        return observation, choosable(self.limits, asked, state)

    def _cleaned(self, observation: Array) -> Array:
        low, high, middle = (np.zeros(1) for _ in range(3))
        low, high = low - np.inf, high + np.inf
        support = self.limits.support
        if support is not None:
            low, high = support.bounds()
            middle = np.array(support.low) / 2 + np.array(support.high) / 2
        readable = np.where(np.isfinite(observation), observation, middle)
        return np.asarray(np.clip(readable, low, high), observation.dtype)

    def _refuse_needy(self, method: str) -> None:
        needed = self.limits.needs
        if needed:
            raise UserError(
                f"{method} knows no {', '.join(needed)}, which these limits need: use decide with "
                "a Context and the books, or limits.alone() where units and time do not exist"
            )


class Counted:
    """A guardrail as a policy that adds up its interventions; they change as it acts."""

    def __init__(self, guardrail: Guardrail) -> None:
        self.guardrail = guardrail
        self.interventions = Interventions()

    def act(
        self,
        observation: Array,
        rng: Generator,
        mask: Array | None = None,
        *,
        deterministic: bool = False,
    ) -> Array:
        """As the guardrail acts, counted."""
        guarded = self.guardrail.guarded(observation, rng, mask, deterministic=deterministic)
        self.interventions += guarded.interventions
        return guarded.action

    def log_prob(self, observation: Array, action: Array, mask: Array | None = None) -> Array:
        """As the guardrail's; nothing is counted."""
        return self.guardrail.log_prob(observation, action, mask)


@dataclass(frozen=True)
class Always:
    """The policy that always answers the same: leave everybody alone, or bid as the rule does.

    `action` is one choice, or the amounts of one decision.
    """

    action: int | tuple[float, ...]

    def act(
        self,
        observation: Array,
        rng: Generator,
        mask: Array | None = None,
        *,
        deterministic: bool = False,
    ) -> Array:
        """The action for every row, `[n]` or `[n, d]`, whatever is allowed."""
        one = np.asarray(self.action)
        return np.broadcast_to(one, (len(observation), *one.shape)).copy()

    def log_prob(self, observation: Array, action: Array, mask: Array | None = None) -> Array:
        """0 where it is the action, -inf elsewhere: probabilities, not densities."""
        same = np.asarray(action) == np.asarray(self.action)
        return np.where(same.all(axis=tuple(range(1, same.ndim))), 0.0, -np.inf)
