"""Simulated marketing decisions, calibrated from historical logs.

Importing this package registers `marketing/<Name>-v0` for every decision folder that it finds; the
folders themselves are imported only when one of their environments is made or their card is asked
for.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import gymnasium

from envs.core.decision import Decision


def decision_names(folder: Path | None = None) -> tuple[str, ...]:
    """The names of the decision folders, alphabetically."""
    root = folder or Path(__file__).parent
    return tuple(
        sorted(
            module.name
            for module in pkgutil.iter_modules([str(root)])
            if module.ispkg and module.name != "core"
        )
    )


def load_decision(name: str) -> Decision:
    """The card of a decision type.

    Raises ValueError, naming the ones that exist, where there is no such folder.
    """
    names = decision_names()
    if name not in names:
        raise ValueError(f"there is no decision {name!r}: choose one of {', '.join(names)}")
    card = importlib.import_module(f"envs.{name}").DECISION
    assert isinstance(card, Decision)
    return card


def _register(name: str) -> None:
    title = name.title().replace("_", "")
    gymnasium.register(
        f"marketing/{title}-v0",
        entry_point=f"envs.{name}.env:{title}Env",
        vector_entry_point=f"envs.{name}.env:{title}VectorEnv",
    )


for _name in decision_names():
    _register(_name)
