"""A finished stage of content, recorded in MLflow: its inputs, what it gave, how it went."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppo_marketing.content.stages.folder import RECORD, RESULT, write_json
from ppo_marketing.files import read_json
from ppo_marketing.progress import Reporter
from ppo_marketing.tracking import open_tracker

EXPERIMENT = "content"
RUN = "run.json"
"""Where a stage's folder says which run recorded it."""
CURVES = ("score", "kl", "kl_k3", "coefficient", "length", "ended", "entropy")


def record_stage(output: Path, project: Path, reporter: Reporter) -> str:
    """Record the finished stage in `output` once, and return the id of its run.

    After the work, not around it: what is refused leaves no run, and a stage that is resumed on
    another day is one run.

    Raises:
        UserError: the folder holds no finished stage.
        PpoMarketingError: the store failed.
    """
    if (output / RUN).exists():
        return str(read_json(output / RUN)["run"])
    inputs, result = read_json(output / RECORD), read_json(output / RESULT)
    with reporter.stage("recording the run"):
        tracker = open_tracker(project)
        name = f"{inputs['stage']} {output.name}"
        with tracker.start(EXPERIMENT, name, params=inputs) as run:
            run.json("result", result)
            run.metrics(numbers(result), step=0)
            history = output / "history.json"
            rows = read_json(history)["updates"] if history.exists() else []
            for curve in CURVES if rows else ():
                run.curve(curve, {row["update"]: row[curve] for row in rows})
        write_json(output / RUN, {"run": run.id})
    return run.id


def numbers(result: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers of nested mappings by their path, a list's last number for the list."""
    found: dict[str, float] = {}
    for key, value in result.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= numbers(value, f"{name}.")
        elif isinstance(value, list) and value and _is_number(value[-1]):
            found[name] = float(value[-1])
        elif _is_number(value):
            found[name] = float(value)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
