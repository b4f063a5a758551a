"""What goes into a run's record, as text: flat parameters, strict JSON, whose process, which code.

Nothing here imports MLflow; its limits on names and lengths are kept here.
"""

from __future__ import annotations

import json
import math
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np
import psutil

from ppo_marketing.errors import PpoMarketingError, UserError

PARAM_CHARACTERS = 6000
NAME = re.compile(r"[\w.\- :/]{1,250}")
NAME_RULE = "1 to 250 letters, digits, spaces and _ . - : /"

# How far two readings of one process's start may differ: it is derived from the system clock.
SAME_START_S = 2.0
GIT_PATIENCE_S = 5.0


def flat_params(params: Mapping[str, Any]) -> dict[str, str]:
    """Return a nested configuration as dotted names and text: {"ppo": {"clip": .2}} -> ppo.clip.

    Text stays as it is, other values are written as JSON; what is longer than MLflow records
    ends in a remark, since the whole configuration is recorded as a file as well.

    Raises:
        UserError: a name cannot be recorded, or two become the same; all are listed.
    """
    flat: dict[str, str] = {}
    problems = []
    for name, value in _leaves(params, ""):
        if not NAME.fullmatch(name):
            problems.append(f"{name!r} is not a name; names are {NAME_RULE}")
        if name in flat:
            problems.append(f"{name!r} is there twice, once with a dot in its name")
        text = value if isinstance(value, str) else json.dumps(value, default=_plain)
        flat[name] = _shortened(text)
    if problems:
        listed = "\n  ".join(problems)
        raise UserError(f"these parameters cannot be recorded; rename them:\n  {listed}")
    return flat


def finite_metrics(values: Mapping[str, SupportsFloat], step: int) -> dict[str, float]:
    """Return the metrics of one step as plain floats.

    Raises:
        PpoMarketingError: a value is not finite (MLflow would record an infinity as 1.8e308) or a
            name cannot be recorded; all are listed.
    """
    plain = {name: float(value) for name, value in values.items()}
    problems = [f"{name} is {value}" for name, value in plain.items() if not math.isfinite(value)]
    problems += [f"{name!r} is not a name" for name in plain if not NAME.fullmatch(name)]
    if problems:
        raise PpoMarketingError(
            f"nothing of step {step} was recorded: {'; '.join(problems)}. Metrics are finite "
            f"numbers, their names {NAME_RULE}"
        )
    return plain


def json_text(name: str, values: Mapping[str, Any]) -> str:
    """Return strict JSON, keys sorted; numpy numbers and arrays and paths become plain values.

    Raises:
        PpoMarketingError: a value is not finite, or of a type that JSON does not have.
    """
    try:
        return json.dumps(values, indent=2, sort_keys=True, allow_nan=False, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        raise PpoMarketingError(
            f"{name!r} cannot be recorded as JSON: {error}. Give finite numbers, text, lists and "
            "mappings, and None for what is not defined"
        ) from error


def process_tags(pid: int | None = None) -> dict[str, str]:
    """Return the tags that tell a process from every other, also from a later one of its id.

    None: this process. Raises psutil.NoSuchProcess where there is none.
    """
    process = psutil.Process(pid)
    return {
        "job.host": socket.gethostname(),
        "job.pid": str(process.pid),
        "job.process_started": f"{process.create_time():.2f}",
    }


def process_is_running(tags: Mapping[str, str]) -> bool:
    """Whether the process of `process_tags` still runs; a killed one not yet collected does not."""
    try:
        process = psutil.Process(int(tags["job.pid"]))
        started_s = float(tags["job.process_started"])
        same = abs(process.create_time() - started_s) <= SAME_START_S
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def commit_tags(folder: Path) -> dict[str, str]:
    """Return the tags of the git commit that `folder` is checked out at; none outside of git."""
    described = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *described],
            capture_output=True,
            text=True,
            timeout=GIT_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if answer.returncode != 0:
        return {}
    commit, _, dirty = answer.stdout.strip().partition("-")
    return {
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.dirty": "true" if dirty else "false",
    }


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and (value or not name):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _shortened(text: str) -> str:
    if len(text) <= PARAM_CHARACTERS:
        return text
    remark = f"... ({len(text)} characters; whole in config.json)"
    return text[: PARAM_CHARACTERS - len(remark)] + remark


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} is of type {type(value).__name__}")
