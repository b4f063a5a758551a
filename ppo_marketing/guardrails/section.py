"""The section `guardrails` of a run's configuration, and the limits that it stands for.

The package does not import it: what decides live has the limits and needs no pydantic.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gymnasium import spaces
from pydantic import BaseModel, ConfigDict, Field

from ppo_marketing.errors import UserError
from ppo_marketing.guardrails.guards import (
    AmountLimits,
    Budget,
    ChoiceLimits,
    ContactCap,
    Holdout,
    Quiet,
    Support,
)
from ppo_marketing.guardrails.limits import GuardrailLimits


class ChoicesSection(BaseModel):
    """Guardrails of a decision that chooses; how many choices there are, the decision says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nothing: int | None = None
    """The choice that leaves everybody alone; whatever stops a decision needs it."""
    closed: tuple[int, ...] = ()
    """Choices that nobody gets."""


class GuardrailsSection(BaseModel):
    """What the policy may do at most, whatever it learned; nothing by default (docs/guardrails.md).

    Only whoever ships knows these limits: no default could be right.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    amounts: AmountLimits | None = None
    choices: ChoicesSection = ChoicesSection()
    budget: Budget | None = None
    contact_caps: tuple[ContactCap, ...] = ()
    quiet: Quiet | None = None
    holdout: Holdout | None = None
    support_margin: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Of the range that training saw, how far beyond it the policy decides; none: anywhere."""
    suppressed: tuple[str, ...] = ()
    """Unit ids that are left alone."""
    suppression_list: Path | None = None
    """A text file with one more id a line."""
    changed_share: float | None = Field(default=None, ge=0, le=1)
    """Of a day's decisions, how many may differ from the champion's."""

    def limits(
        self, action_space: spaces.Space[Any], observed: Support | None = None
    ) -> GuardrailLimits:
        """The limits of a policy with these actions; `observed` is what its training saw.

        Amounts without limits of their own get the bounds of the action space.

        Raises:
            UserError: the limits contradict each other or do not fit the actions, the suppression
                list cannot be read, or a support is asked for and nothing observed is given.
        """
        support = None
        if self.support_margin is not None:
            if observed is None:
                raise UserError(
                    "guardrails.support_margin needs the observations of a training: train the "
                    "policy again, or leave it out"
                )
            support = replace(observed, margin=self.support_margin)
        amounts, choices = self._held(action_space)
        return GuardrailLimits(
            amounts=amounts,
            choices=choices,
            budget=self.budget,
            contact_caps=self.contact_caps,
            quiet=self.quiet,
            holdout=self.holdout,
            support=support,
            suppressed=frozenset((*self.suppressed, *_lines(self.suppression_list))),
            changed_share=self.changed_share,
        )

    def _held(self, space: spaces.Space[Any]) -> tuple[AmountLimits | None, ChoiceLimits | None]:
        if isinstance(space, spaces.Discrete) and space.start == 0:
            if self.amounts is not None:
                raise UserError(
                    f"guardrails.amounts do not fit {space}, whose decisions are choices: use "
                    "guardrails.choices"
                )
            menu = int(space.n)
            return None, ChoiceLimits(choices=menu, **self.choices.model_dump())
        if not isinstance(space, spaces.Box):
            raise UserError(f"guardrails hold amounts or choices from 0 on, not {space}")
        if self.choices != ChoicesSection():
            raise UserError(
                f"guardrails.choices do not fit {space}, whose decisions are amounts: use "
                "guardrails.amounts"
            )
        if self.amounts is not None:
            return self.amounts, None
        return AmountLimits(floor=float(space.low.min()), cap=float(space.high.max())), None


def _lines(path: Path | None) -> list[str]:
    """The lines of a text file that are not empty; UserError where it cannot be read."""
    if path is None:
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"guardrails.suppression_list {path} cannot be read: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
