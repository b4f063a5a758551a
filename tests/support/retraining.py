"""Projects of the tiny decision, whose log can grow, and a gate that lets its policies pass."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from ppo_marketing import as_shipped
from ppo_marketing.gate import Audit
from ppo_marketing.jobs.alerts import ALERTS
from ppo_marketing.jobs.release_book import Desk
from ppo_marketing.jobs.released import champion_of
from ppo_marketing.jobs.retraining import retrain
from ppo_marketing.jobs.retraining_job import Job
from ppo_marketing.progress import SilentReporter
from ppo_marketing.retraining.decisions import Outcome
from ppo_marketing.retraining.project import load_project
from tests.support.audits import SOUND
from tests.support.tiny_decision import NAME, known
from tests.support.unpainted import unpainted

DAYS = 12
NOW = datetime(2024, 1, 14, 12, tzinfo=UTC)
"""Two days after the last row of a log of `DAYS` days."""
LATER = NOW + timedelta(days=6)
TRAINING = {"total_steps": 8_192, "episodes": 64, "validation_episodes": 32}
POOR = {**TRAINING, "total_steps": 2_048, "ppo": {"learning_rate": 1e-9}}
"""It stays where it starts: what comes after it finds something to improve."""


@contextmanager
def supported() -> Iterator[None]:
    """The tiny decision is known, and the log speaks for whatever is judged."""
    with known(), judged_as(SOUND), unpainted(), pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("PPO_MARKETING_PROJECT", raising=False)
        yield


@contextmanager
def judged_as(audit: Audit) -> Iterator[None]:
    """What the gate is told of every policy, whose own log cannot say."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(as_shipped, "audit_policy", lambda *arguments: audit)
        yield


def offers(days: int, first: int = 0, seed: int = 0) -> pa.Table:
    """A log of so many days, from day `first` on."""
    from envs import load_decision

    table = load_decision(NAME).generate("default", days, np.random.default_rng(seed))
    moved = pc.add(table["timestamp"], pa.scalar(86_400_000_000 * first, pa.duration("us")))
    return table.set_column(0, "timestamp", moved)


def project_in(folder: Path, **sections: Any) -> Path:
    """A project file, and its log beside it where there is none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "log.parquet").exists():
        pq.write_table(offers(DAYS), folder / "log.parquet")
    run = {
        "decision": NAME,
        "project": ".",
        "log": {"path": "log.parquet"},
        "training": TRAINING,
        **sections.pop("run", {}),
    }
    retraining = {"seeds": 2, "least_lift": -1.0, **sections.pop("retraining", {})}
    content = {"run": run, "retraining": retraining, **sections}
    (folder / "project.yaml").write_text(yaml.safe_dump(content))
    return folder / "project.yaml"


def job_of(file: Path, now: datetime = NOW) -> Job:
    """A job at a desk whose clock stands still."""
    return Job(load_project(file), "deploy", lambda: now, SilentReporter())


def first_champion(folder: Path) -> Path:
    """A project with a champion that was trained from the rule and exported."""
    exports = [{"target": "bundle", "output": "exports/bundle"}]
    with supported():
        file = project_in(folder, run={"training": POOR}, exports=exports)
        assert retrain(job_of(file)).outcome is Outcome.PROMOTED
    return folder


def alerts(folder: Path) -> list[str]:
    """The kinds of what a project told somebody, in order."""
    path = folder / "data" / "retraining" / NAME / ALERTS
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["kind"] for line in lines]


def champion_number(folder: Path) -> int | None:
    """The version that is champion by the record."""
    standing = champion_of(NAME, Desk(folder, "deploy", LATER)).standing
    return None if standing is None else standing.champion.to_version


def onward(template: Path, folder: Path, **sections: Any) -> Path:
    """The file of a project as another is, with a log of six days more; stored models are shared.

    A champion that was trained poorly finds more to learn from, and time to.
    """
    shutil.copytree(template, folder)
    log = folder / "log.parquet"
    pq.write_table(pa.concat_tables([pq.read_table(log), offers(6, DAYS, 1)]), log)
    return project_in(folder, **sections)
