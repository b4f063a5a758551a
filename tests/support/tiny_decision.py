"""The fourth decision as a part of this program: a whole retraining of it takes seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gymnasium
import pytest

import envs
from tests.support.fourth_decision import NEW

NAME = NEW.name
ID = "marketing/Pricing-v0"


@contextmanager
def known() -> Iterator[None]:
    """Let the decision be found beside the built-in ones, for a while."""
    found = envs.decision_names
    if NAME in found():
        yield
        return

    def names(folder: Path | None = None) -> tuple[str, ...]:
        return (*found(folder), NAME) if folder is None else found(folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envs, "__path__", [*envs.__path__, str(NEW.parent)])
        patch.setattr(envs, "decision_names", names)
        entry = f"envs.{NAME}.env"
        gymnasium.register(
            ID, entry_point=f"{entry}:PricingEnv", vector_entry_point=f"{entry}:PricingVectorEnv"
        )
        try:
            yield
        finally:
            gymnasium.registry.pop(ID, None)
            # Other tests find the same names in copies of this repository.
            for module in [m for m in sys.modules if m.startswith(f"envs.{NAME}")]:
                del sys.modules[module]
