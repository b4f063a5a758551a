"""Simulated marketing decisions, calibrated from historical logs.

Importing this package registers `marketing/<Name>-v0` for every decision folder that it finds, and
`marketing/<Name><Variant>-v0` for every module `<variant>_env.py` in one; the folders themselves
are imported only when one of their environments is made or their card is asked for.
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


def environments(folder: Path | None = None) -> dict[str, tuple[str, str]]:
    """What is registered: id -> (module, class prefix), found by file name without an import."""
    root = folder or Path(__file__).parent
    found = {}
    for name in decision_names(root):
        variants = sorted(path.stem for path in (root / name).glob("*_env.py"))
        for module in ("env", *variants):
            title = _title(name) + _title(module.removesuffix("env"))
            found[f"marketing/{title}-v0"] = (f"envs.{name}.{module}", title)
    return found


def _title(name: str) -> str:
    return name.title().replace("_", "")


for _id, (_module, _prefix) in environments().items():
    gymnasium.register(
        _id,
        entry_point=f"{_module}:{_prefix}Env",
        vector_entry_point=f"{_module}:{_prefix}VectorEnv",
    )
