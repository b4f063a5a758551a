"""One setting of PPO at a time around its default, so that its worth can be seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppo_marketing.errors import UserError, meant
from ppo_marketing.ppo.config import PPOConfig


@dataclass(frozen=True)
class Sweep:
    """A setting that can be swept: its values around a configuration, and how each is set."""

    values: Callable[[PPOConfig, int], Sequence[float]]
    current: Callable[[PPOConfig], float]
    override: Callable[[float], Mapping[str, Any]]


def _clip_values(config: PPOConfig, rows: int) -> Sequence[float]:
    return (0.05, 0.1, 0.2, 0.3, 0.5)


def _around(current: float, *factors: float) -> tuple[float, ...]:
    return tuple(float(f"{current * factor:.6g}") for factor in factors)


def _clip_of(config: PPOConfig) -> float:
    region = config.trust_region
    if region.kind != "clip" or region.low != region.high:
        raise UserError(
            f"--sweep clip needs a trust region with one epsilon and this decision has {region}: "
            "set training.ppo.trust_region to {kind: clip}"
        )
    return region.high


def _batch_values(config: PPOConfig, rows: int) -> Sequence[float]:
    sizes = _around(config.minibatch_size, 0.25, 0.5, 1, 2, 4)
    return tuple(size for size in sizes if 2 <= size <= rows)


SWEEPS: Mapping[str, Sweep] = {
    "clip": Sweep(
        _clip_values,
        _clip_of,
        lambda value: {"trust_region": {"kind": "clip", "low": value, "high": value}},
    ),
    "epochs": Sweep(
        lambda config, rows: (1, 2, 4, 8, 16),
        lambda config: config.epochs,
        lambda value: {"epochs": int(value)},
    ),
    "batch": Sweep(
        _batch_values,
        lambda config: config.minibatch_size,
        lambda value: {"minibatch_size": int(value)},
    ),
    "learning_rate": Sweep(
        lambda config, rows: _around(config.learning_rate, 0.1, 0.3, 1, 3, 10),
        lambda config: config.learning_rate,
        lambda value: {"learning_rate": value},
    ),
    "gae_lambda": Sweep(
        lambda config, rows: (0.5, 0.8, 0.9, 0.95, 1.0),
        lambda config: config.gae_lambda,
        lambda value: {"gae_lambda": value},
    ),
}


def sweeps_named(names: Sequence[str]) -> tuple[str, ...]:
    """The names of sweeps, each once.

    Raises:
        UserError: listing every name that there is not, with what was meant.
    """
    problems = [
        f"  {name}: no setting that can be swept; {meant(name, SWEEPS)}"
        for name in names
        if name not in SWEEPS
    ]
    if problems:
        raise UserError("these settings cannot be swept:\n" + "\n".join(problems))
    return tuple(dict.fromkeys(names))


def swept_values(name: str, config: PPOConfig, rows: int) -> list[tuple[float, Mapping[str, Any]]]:
    """Values, ascending, with their overrides; the configuration's own, overriding nothing, too."""
    sweep = SWEEPS[name]
    current = sweep.current(config)
    values = sorted({float(value) for value in sweep.values(config, rows)} | {float(current)})
    return [(value, {} if value == current else sweep.override(value)) for value in values]
