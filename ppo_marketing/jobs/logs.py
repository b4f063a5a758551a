"""Reading a log whole, or drawing the built-in sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from envs import load_decision
from envs.core.decision import Decision
from envs.core.log import LogTable
from ppo_marketing.config import LogSection, RunConfig
from ppo_marketing.errors import UserError
from ppo_marketing.files import made, written_whole
from ppo_marketing.pipeline import reading
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.pipeline.streams import SAMPLE, stream
from ppo_marketing.progress import Reporter


class Prepared(NamedTuple):
    """A log that was read whole, and the settings that go with it."""

    decision: str
    log: LogTable
    settings: Any

    def about(self) -> dict[str, Any]:
        """Where the log came from, as kept beside what is fitted to it."""
        log = self.log
        return {
            "decision": self.decision,
            "source": log.source,
            "sha256": log.sha256,
            "rows": log.rows,
            "first": log.first.isoformat(),
            "last": log.last.isoformat(),
            "days": [[day.isoformat(), count] for day, count in log.day_rows],
        }


def decision_named(name: str) -> Decision:
    """The card; an unknown name is the user's error."""
    with as_user_error():
        return load_decision(name)


def generate(decision: Decision, preset: str, days: int, seed: int, path: Path) -> int:
    """Write the built-in sample to a new Parquet file and return its rows."""
    if path.suffix != ".parquet":
        raise UserError(f"a sample is written as Parquet: name a file {path.stem}.parquet")
    if path.exists():
        raise UserError(f"{path} exists already: choose another name, or delete it")
    return _write_sample(decision, preset, days, seed, path)


def _write_sample(decision: Decision, preset: str, days: int, seed: int, path: Path) -> int:
    if preset not in decision.presets:
        known = ", ".join(decision.presets)
        raise UserError(f"there is no preset {preset!r} of {decision.name}: choose one of {known}")
    table = decision.generate(preset, days, stream(seed, SAMPLE))
    made(path.parent)
    with written_whole(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)
    return int(table.num_rows)


def validate(decision: Decision, section: LogSection, project: Path) -> dict[str, Any]:
    """Read a log whole and say what it holds."""
    log = reading.read(decision, section, cache_of(project))
    return {
        "source": log.source,
        "sha256": log.sha256,
        "rows": log.rows,
        "duplicates_dropped": log.duplicates_dropped,
        "first": log.first.isoformat(),
        "last": log.last.isoformat(),
        "days": len(log.days()),
        "columns": list(log.names),
        "notes": list(log.notes),
    }


def prepare(
    decision: Decision, config: RunConfig, reporter: Reporter, *, keep_sample: bool = False
) -> Prepared:
    """The log, read whole; of a user's own log nothing is written outside the cache.

    `keep_sample`: a sample that lies in the output folder already is the one.
    """
    section, sample = config.log, config.log.path is None
    base = decision.sample_settings() if sample else decision.settings_type()
    settings = reading.given_settings(decision, config.environment, base)
    if sample:
        path = config.output / "sample-log.parquet"
        if not (keep_sample and path.exists()):
            length = f"{section.days} {decision.sample_period}"
            with reporter.stage(f"generating a sample log of {length}") as stage:
                rows = _write_sample(decision, section.preset, section.days, config.seed, path)
                stage.reach(1, f"{rows:,} rows")
        section = section.model_copy(update={"path": path})
    with reporter.stage("validating the log") as stage:
        log = reading.read(decision, section, cache_of(config.project))
        stage.reach(1, f"{log.rows:,} rows")
    return Prepared(decision.name, log, reading.settle(decision, log, settings))


def cache_of(project: Path) -> Path:
    """Where logs that were read are kept."""
    return project / "data" / "cache"
