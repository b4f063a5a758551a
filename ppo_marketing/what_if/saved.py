"""Scenarios kept by name in the project's folder, one file a decision."""

from __future__ import annotations

import json
from pathlib import Path

from envs.core.decision import Decision
from ppo_marketing.errors import UserError
from ppo_marketing.files import held_alone, read_json, written_whole
from ppo_marketing.what_if.scenarios import Named, named

FOLDER = Path("data") / "scenarios"
MOST_KEPT = 200


def saved_scenarios(project: Path, decision: Decision) -> tuple[Named, ...]:
    """All that are kept, by name.

    Raises UserError where the file is not what `save_scenario` wrote.
    """
    path = _file(project, decision)
    if not path.exists():
        return ()
    kept = read_json(path)
    if not all(isinstance(values, dict) for values in kept.values()):
        raise UserError(f"{path} must hold names with knobs: mend it, or move it away")
    return tuple(named(decision, name, kept[name]) for name in sorted(kept))


def save_scenario(project: Path, decision: Decision, scenario: Named) -> None:
    """Keep a scenario; one of the same name is replaced.

    Raises:
        UserError: there are too many, or the file cannot be read or written.
        AlreadyRunning: somebody else is saving at this moment.
    """
    _rewritten(project, decision, scenario.name, scenario)


def forget_scenario(project: Path, decision: Decision, name: str) -> None:
    """Drop a scenario; nothing happens where there is none of that name."""
    _rewritten(project, decision, name, None)


def _rewritten(project: Path, decision: Decision, name: str, scenario: Named | None) -> None:
    path = _file(project, decision)
    with held_alone(path.parent, "try again in a moment"):
        kept = {one.name: dict(one.values) for one in saved_scenarios(project, decision)}
        kept.pop(name, None)
        if scenario is not None:
            kept[name] = dict(scenario.values)
        if len(kept) > MOST_KEPT:
            raise UserError(f"{MOST_KEPT} scenarios are kept already: drop one first")
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _file(project: Path, decision: Decision) -> Path:
    return project / FOLDER / f"{decision.name}.json"
