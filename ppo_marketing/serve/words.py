"""What a bundle says of its numbers: names and ranges of what goes in, words of what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Words:
    """The names of a policy's observations and actions.

    `low` and `high [obs]` are infinite where nothing is said. `choices` are empty where actions are
    amounts, `amounts` where they are choices.
    """

    decision: str
    fields: tuple[Mapping[str, Any], ...]
    names: tuple[str, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    choices: tuple[Mapping[str, str], ...]
    amounts: tuple[str, ...]
    logged: Mapping[str, str]

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> Words:
        """The words of a bundle's schema; plain numbers where it has none."""
        about = schema["about"]
        live = about.get("live") or {}
        size, action = int(schema["observation"]["size"]), schema["action"]
        fields = live.get("fields") or [{"name": f"observation_{k}"} for k in range(size)]
        choices, amounts = live.get("choices") or [], live.get("amounts") or []
        if "choices" in action and not choices:
            labels = about.get("labels") or [str(k) for k in range(int(action["choices"]))]
            choices = [{"choice": label} for label in labels]
        if "choices" not in action and not amounts:
            amounts = [{"name": f"amount_{k}"} for k in range(len(action["low"]))]
        return cls(
            decision=str(about.get("decision", "")),
            fields=tuple(fields),
            names=tuple(one["name"] for one in fields),
            low=_bounds(fields, "low", -np.inf),
            high=_bounds(fields, "high", np.inf),
            choices=tuple(choices),
            amounts=tuple(one["name"] for one in amounts),
            logged=live.get("logged") or {},
        )


def _bounds(fields: list[Mapping[str, Any]], name: str, otherwise: float) -> NDArray[np.float64]:
    found = [one.get(name) for one in fields]
    return np.array([otherwise if value is None else value for value in found], np.float64)
