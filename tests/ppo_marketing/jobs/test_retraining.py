"""One retraining after another: from the rule, from the champion, kept, waiting, and not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ppo_marketing.errors import AlreadyRunning, UserError
from ppo_marketing.files import held_alone
from ppo_marketing.jobs.release_book import Desk
from ppo_marketing.jobs.released import champion_of
from ppo_marketing.jobs.releasing import approve
from ppo_marketing.jobs.retraining import retrain
from ppo_marketing.jobs.retraining_job import Retrained
from ppo_marketing.jobs.retraining_record import Record
from ppo_marketing.ppo.checkpoint import load_policy
from ppo_marketing.retraining.decisions import Outcome
from ppo_marketing.tracking import open_tracker
from ppo_marketing.tracking.registry import CHALLENGER
from tests.support.audits import SOUND
from tests.support.retraining import (
    LATER,
    NOW,
    POOR,
    alerts,
    champion_number,
    job_of,
    judged_as,
    onward,
    project_in,
    supported,
)
from tests.support.tiny_decision import NAME


@pytest.fixture(autouse=True, scope="module")
def _supported() -> Iterator[None]:
    with supported():
        yield


@pytest.fixture(scope="module")
def first(champion_project: Path) -> Path:
    return champion_project


@pytest.fixture(scope="module")
def second(first: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Retrained]:
    """The same project after its log has grown and it was retrained."""
    file = onward(first, tmp_path_factory.mktemp("second") / "project")
    return file.parent, retrain(job_of(file, LATER))


def desk(folder: Path) -> Desk:
    return Desk(folder, "deploy", LATER)


def record_of(done: Retrained) -> Record:
    return Record.opened(done.folder.parent, done.key, NOW)


def test_the_first_champion_comes_from_the_rule_and_is_exported(first: Path) -> None:
    standing = champion_of(NAME, desk(first)).standing
    assert standing is not None
    assert standing.champion.approver == "ppo-marketing retrain"
    assert (first / "exports" / "bundle" / "manifest.json").exists()
    assert alerts(first) == []


def test_the_second_time_there_is_nothing_to_do(first: Path) -> None:
    done = retrain(job_of(first / "project.yaml"))
    assert not done.new
    assert done.outcome is Outcome.PROMOTED


def test_a_grown_log_gives_a_challenger_that_stays_near_the_champion_and_takes_over(
    second: tuple[Path, Retrained],
) -> None:
    folder, done = second
    assert done.outcome is Outcome.PROMOTED
    assert done.new
    record = record_of(done)
    trained = [record.said(f"seed {seed}") for seed in (0, 1)]
    assert all(said is not None and 0 <= said["kl"] <= 0.08 for said in trained)
    standing = champion_of(NAME, desk(folder)).standing
    assert standing is not None
    assert standing.champion.to_version == 2
    assert [line.to_version for line in standing.earlier] == [1]


def test_champion_rules_and_floor_are_what_a_challenger_is_judged_beside(
    second: tuple[Path, Retrained],
) -> None:
    evidence = json.loads((second[1].folder / "evidence.json").read_text())
    kinds = {row["kind"] for row in evidence["later"]["rows"]}
    assert {"policy", "champion", "rule", "floor", "untrained"} <= kinds
    assert evidence["drift"]["within_bounds"] in (True, False)
    assert "champion" in (second[1].folder / "report.md").read_text()


def test_a_run_is_tracked_with_its_seeds_below_it(second: tuple[Path, Retrained]) -> None:
    client = open_tracker(second[0])._client
    experiment = client.get_experiment_by_name(NAME)
    runs = client.search_runs([experiment.experiment_id])
    parents = [r for r in runs if r.data.tags.get("retrain.key") == second[1].key]
    assert len(parents) == 1
    below = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert {r.info.run_name for r in below} == {"seed 0", "seed 1"}
    assert all("champion.kl" in r.data.metrics for r in below)
    assert {r.info.status for r in runs} == {"FINISHED"}


def test_a_training_that_finds_nothing_better_is_no_news(first: Path, tmp_path: Path) -> None:
    file = onward(first, tmp_path / "project", run={"training": POOR}, retraining={"seeds": 1})
    done = retrain(job_of(file, LATER))
    assert done.outcome is Outcome.KEPT
    assert "no training went beyond the champion" in done.reasons[0]


def test_what_the_gate_refuses_keeps_the_champion_and_says_why(first: Path, tmp_path: Path) -> None:
    file = onward(first, tmp_path / "project")
    with judged_as(replace(SOUND, positives=12.0)):
        done = retrain(job_of(file, LATER))
    assert done.outcome is Outcome.KEPT
    assert "events" in done.reasons[0]
    assert champion_number(file.parent) == 1
    assert alerts(file.parent) == ["kept"]
    assert not retrain(job_of(file, LATER)).new


def test_where_four_eyes_are_asked_for_a_challenger_waits_until_somebody_agrees(
    first: Path, tmp_path: Path
) -> None:
    file = onward(first, tmp_path / "project", run={"release": {"four_eyes": True}})
    done = retrain(job_of(file, LATER))
    assert done.outcome is Outcome.WAITING
    assert "four eyes" in done.reasons[0]
    registry = open_tracker(file.parent).registry
    assert registry.alias(NAME, CHALLENGER) == 2
    assert registry.alias(NAME, "champion") == 1
    again = retrain(job_of(file, LATER))
    assert (again.outcome, again.new) == (Outcome.WAITING, False)
    assert alerts(file.parent) == ["waiting"]

    approve(done.folder, desk(file.parent), approver="Grace")
    promoted = retrain(job_of(file, LATER))
    assert (promoted.outcome, promoted.new) == (Outcome.PROMOTED, True)
    assert registry.alias(NAME, "champion") == 2
    assert registry.alias(NAME, CHALLENGER) is None


def test_changed_settings_mean_a_new_start_and_that_a_person_looks(
    first: Path, tmp_path: Path
) -> None:
    file = onward(first, tmp_path / "project", run={"environment": {"unit_cost": 0.9}})
    done = retrain(job_of(file, LATER))
    assert done.outcome is Outcome.WAITING
    assert "other settings (unit_cost)" in done.reasons[0]
    assert "kl" not in (record_of(done).said("seed 0") or {})


def test_an_export_that_would_be_refused_promotes_nobody(first: Path, tmp_path: Path) -> None:
    notes = {"target": "bundle", "output": "notes"}
    file = onward(first, tmp_path / "project", exports=[notes])
    (file.parent / "notes").mkdir()
    (file.parent / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(UserError):
        retrain(job_of(file, LATER))
    assert champion_number(file.parent) == 1
    assert (file.parent / "notes" / "mine.txt").read_text() == "mine"
    assert alerts(file.parent) == ["failed"]


def test_a_shifted_log_stops_or_is_only_told(first: Path, tmp_path: Path) -> None:
    file = onward(first, tmp_path / "project", data={"volume_change": None})
    table = pq.read_table(file.parent / "log.parquet")
    new = pc.greater(table["timestamp"], pa.scalar(NOW - timedelta(days=1)))
    cheap = table.filter(pc.or_(pc.invert(new), pc.less(table["price"], 2.5)))
    pq.write_table(cheap, file.parent / "log.parquet")
    with pytest.raises(UserError, match=r"has shifted[\s\S]*price: PSI"):
        retrain(job_of(file, LATER))
    assert open_tracker(file.parent).registry.alias(NAME, "champion") == 1
    project_in(file.parent, data={"volume_change": None}, shift={"alert_stops": False})
    assert retrain(job_of(file, LATER)).outcome is Outcome.PROMOTED
    assert alerts(file.parent) == ["failed", "shifted"]


def test_a_log_that_stopped_growing_is_noticed_though_there_is_nothing_to_do(
    first: Path, tmp_path: Path
) -> None:
    file = Path(shutil.copytree(first, tmp_path / "project")) / "project.yaml"
    assert not retrain(job_of(file, NOW)).new
    with pytest.raises(UserError, match=r"the log has not grown[\s\S]*at most 72 hours"):
        retrain(job_of(file, NOW + timedelta(days=3)))


def test_a_second_job_is_turned_away_at_once(first: Path) -> None:
    job = job_of(first / "project.yaml")
    with held_alone(job.project.folder), pytest.raises(AlreadyRunning) as refused:
        retrain(job)
    assert refused.value.exit_code == 75
    assert alerts(first) == []


def test_old_runs_are_let_go_but_not_those_that_a_rollback_goes_back_to(
    second: tuple[Path, Retrained], tmp_path: Path
) -> None:
    file = Path(shutil.copytree(second[0], tmp_path / "project")) / "project.yaml"
    with judged_as(replace(SOUND, positives=12.0)):
        kept = []
        for seed in (3, 4):
            project_in(file.parent, run={"seed": seed}, retraining={"keep_runs": 1, "seeds": 1})
            kept.append(retrain(job_of(file, LATER + timedelta(seconds=seed))))
    runs = {path.name for path in kept[0].folder.parent.iterdir()}
    assert kept[0].folder.name not in runs, "kept by nobody"
    assert {kept[1].folder.name, second[1].folder.name} <= runs
    assert len(runs) == 3, "both champions and the newest"
    assert len(list((file.parent / "data" / "cache").glob("*.parquet"))) == 2, "a log is kept once"
    assert not list(kept[1].folder.rglob("checkpoint.pt"))
    load_policy(kept[1].folder / "policy")
