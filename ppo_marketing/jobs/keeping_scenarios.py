"""Keeping and dropping scenarios in a project: by those who may."""

from __future__ import annotations

from envs.core.decision import Decision
from ppo_marketing.access import Permission
from ppo_marketing.jobs.admission import admit
from ppo_marketing.jobs.release_book import Desk
from ppo_marketing.what_if.saved import forget_scenario, save_scenario
from ppo_marketing.what_if.scenarios import Named


def keep_scenario(desk: Desk, decision: Decision, scenario: Named) -> None:
    """Keep a scenario in the project; one of the same name is replaced.

    Raises Refused where whoever stands at the desk may not, recorded; as `save_scenario` else.
    """
    asked = f"keep the scenario {scenario.name}"
    admit(desk, Permission.KEEP_SCENARIOS, decision=decision.name, asked=asked)
    save_scenario(desk.project, decision, scenario)


def drop_scenario(desk: Desk, decision: Decision, name: str) -> None:
    """Drop a scenario from the project.

    Raises as `keep_scenario`.
    """
    asked = f"drop the scenario {name}"
    admit(desk, Permission.KEEP_SCENARIOS, decision=decision.name, asked=asked)
    forget_scenario(desk.project, decision, name)
