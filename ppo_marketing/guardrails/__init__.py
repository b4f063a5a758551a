"""Guardrails: what no policy can do, whatever it proposes and whatever comes in.

`Guardrail` wraps a policy; `apply` guards proposals made elsewhere. Both take `GuardrailLimits`,
which go to plain JSON and back. Nothing here needs more than numpy: what is exported carries it.
"""

from ppo_marketing.guardrails.actor import GuardedActor
from ppo_marketing.guardrails.batch import FRESH, Guarded, apply
from ppo_marketing.guardrails.context import Context
from ppo_marketing.guardrails.guardrail import Always, Counted, Guardrail
from ppo_marketing.guardrails.guards import (
    AmountLimits,
    Budget,
    ChoiceLimits,
    ContactCap,
    Holdout,
    Quiet,
    Support,
)
from ppo_marketing.guardrails.holdout import held_out
from ppo_marketing.guardrails.ledger import LARGEST_JUMP_DAYS, resumed
from ppo_marketing.guardrails.limits import GuardrailLimits
from ppo_marketing.guardrails.reasons import MEANING, Interventions, Reason, reasons_of
from ppo_marketing.guardrails.state import GuardState, Settlement, settled

__all__ = [
    "FRESH",
    "LARGEST_JUMP_DAYS",
    "MEANING",
    "Always",
    "AmountLimits",
    "Budget",
    "ChoiceLimits",
    "ContactCap",
    "Context",
    "Counted",
    "GuardState",
    "Guarded",
    "GuardedActor",
    "Guardrail",
    "GuardrailLimits",
    "Holdout",
    "Interventions",
    "Quiet",
    "Reason",
    "Settlement",
    "Support",
    "apply",
    "held_out",
    "reasons_of",
    "resumed",
    "settled",
]
