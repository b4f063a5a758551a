"""What retrainings told somebody and nothing has answered yet, read back from their folders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ppo_marketing.errors import UserError
from ppo_marketing.files import read_json
from ppo_marketing.jobs.alerts import ALERTS, HEARTBEAT

NEWS = timedelta(days=7)
"""What only has to be known is shown for a week: whoever looks every Monday sees it."""
UNTIL_ONE_ENDS_WELL = ("failed", "silent")
UNTIL_ONE_ENDS_OTHERWISE = ("waiting", "kept")


@dataclass(frozen=True)
class StandingAlert:
    """The last alert of its kind from one retraining, and how many of them stand."""

    retraining: str
    kind: str
    message: str
    time: datetime
    times: int = 1


def standing_alerts(project: Path, decision: str, now: datetime) -> tuple[StandingAlert, ...]:
    """The alerts of a decision's retrainings that stand, the newest first; one of each kind."""
    folder = project / "data" / "retraining"
    found = [
        alert
        for path in (sorted(folder.glob(f"*/{ALERTS}")) if folder.is_dir() else ())
        for alert in still_standing(
            [line for line in _lines(path) if line.get("decision", line["project"]) == decision],
            _last_beat(path.parent),
            now,
        )
    ]
    return tuple(sorted(found, key=lambda alert: alert.time, reverse=True))


def still_standing(
    lines: Sequence[dict[str, Any]], beat: dict[str, Any] | None, now: datetime
) -> tuple[StandingAlert, ...]:
    """The last of each kind that stands, with how many do.

    `lines` are alerts in the order in which they were told, `beat` the last sign that a retraining
    ended well, with its `time` and `outcome`. A failure and a silence stand until one does; a
    challenger that waits, or was not good enough, until one ends otherwise; news stands for `NEWS`.
    """
    ended = None if beat is None else datetime.fromisoformat(beat["time"])
    kinds: dict[str, StandingAlert] = {}
    for line in lines:
        kind, time = line["kind"], datetime.fromisoformat(line["time"])
        if kind in UNTIL_ONE_ENDS_WELL:
            stands = ended is None or time > ended
        elif kind in UNTIL_ONE_ENDS_OTHERWISE:
            stands = beat is None or beat["outcome"] == kind
        else:
            stands = now - time <= NEWS
        if stands:
            alert = StandingAlert(line["project"], kind, line["message"], time)
            before = kinds.get(kind)
            kinds[kind] = replace(alert, times=1 if before is None else before.times + 1)
    return tuple(kinds.values())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Every alert that can be read; a line that a kill cut short is passed over."""
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
            datetime.fromisoformat(line["time"])
            known = all(isinstance(line[name], str) for name in ("project", "kind", "message"))
        except (ValueError, KeyError, TypeError):
            continue
        if known:
            yield line


def _last_beat(folder: Path) -> dict[str, Any] | None:
    try:
        beat: dict[str, Any] = read_json(folder / HEARTBEAT)
        datetime.fromisoformat(beat["time"])
    except (UserError, ValueError, KeyError, TypeError):
        return None
    return beat if "outcome" in beat else None
