"""Guardrails and fairness: what the policy may never do and what that costs; who is treated."""

from __future__ import annotations

from app import errors, experiment_panel, fairness_panel, layout, limits_panel

LIMITS = ":material/shield: Limits"
FAIRNESS = ":material/balance: Fairness"
EXPERIMENT = ":material/science: Experiment"


def page() -> None:
    """Draw the page."""
    choice, run = layout.require("judged", "Guardrails and fairness")
    with errors.kindly():
        layout.headline("Guardrails and fairness", limits_panel.in_a_sentence(choice.decision, run))
    layout.tabs(
        "guardrails-tab",
        {
            LIMITS: lambda: limits_panel.draw(choice.decision, run),
            FAIRNESS: lambda: fairness_panel.draw(run),
            EXPERIMENT: experiment_panel.draw,
        },
    )


page()
