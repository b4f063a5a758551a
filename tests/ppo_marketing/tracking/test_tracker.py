from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from ppo_marketing.errors import Interrupted, PpoMarketingError, UserError
from ppo_marketing.tracking import Tracker, open_tracker

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def the_run(client: MlflowClient, run_id: str) -> Any:
    return client.get_run(run_id)


def test_the_store_lies_in_the_project_folder_whatever_the_current_one_is(
    project: Path, tracker: Tracker, client: MlflowClient
) -> None:
    with tracker.start("place", "one", params={}) as run:
        run.json("report", {"value": 1})
    assert (project / "mlruns" / "mlflow.db").stat().st_size > 0
    artifacts = project / "mlruns" / run.id / "artifacts"
    assert json.loads((artifacts / "report.json").read_text()) == {"value": 1}
    assert the_run(client, run.id).info.artifact_uri == artifacts.as_uri()


def test_a_run_that_ends_well_is_finished_and_carries_its_configuration(
    tracker: Tracker, client: MlflowClient, project: Path
) -> None:
    config = {"seed": 3, "ppo": {"clip": 0.2, "hidden": [64, 64]}, "note": "x" * 9000}
    with tracker.start("bidding", "seed 3", params=config, note="*why*") as run:
        assert the_run(client, run.id).info.status == "RUNNING"
    record = the_run(client, run.id)
    assert (record.info.status, record.info.run_name) == ("FINISHED", "seed 3")
    assert record.data.params["ppo.clip"] == "0.2"
    assert record.data.params["ppo.hidden"] == "[64, 64]"
    assert len(record.data.params["note"]) == 6000
    assert record.data.tags["mlflow.note.content"] == "*why*"
    whole = project / "mlruns" / run.id / "artifacts" / "config.json"
    assert json.loads(whole.read_text()) == config


def test_more_parameters_than_one_batch_holds_are_all_recorded(
    tracker: Tracker, client: MlflowClient
) -> None:
    config = {f"p{number}": number for number in range(250)}
    with tracker.start("bidding", "wide", params=config) as run:
        pass
    assert the_run(client, run.id).data.params == {name: str(v) for name, v in config.items()}


def test_equal_configurations_have_equal_hashes_whatever_their_order(
    tracker: Tracker, client: MlflowClient
) -> None:
    hashes = []
    for config in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3}):
        with tracker.start("bidding", "hash", params=config) as run:
            pass
        hashes.append(the_run(client, run.id).data.tags["config.sha256"])
    assert len(hashes[0]) == 64
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("the market closed"), "FAILED"),
        (UserError("the log is empty"), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (Interrupted("stopped after saving", 15), "KILLED"),
    ],
)
def test_an_exception_closes_the_run_says_why_and_goes_on(
    tracker: Tracker, client: MlflowClient, error: BaseException, status: str
) -> None:
    with (
        pytest.raises(type(error)) as raised,
        tracker.start("bidding", "ends", params={}) as run,
    ):
        raise error
    assert raised.value is error
    record = the_run(client, run.id)
    assert record.info.status == status
    assert record.data.tags["job.closed_because"] == f"{type(error).__name__}: {error}"


def test_a_deleted_experiment_is_not_written_to(tracker: Tracker, client: MlflowClient) -> None:
    client.delete_experiment(client.create_experiment("gone"))
    with (
        pytest.raises(UserError, match="mlflow experiments restore"),
        tracker.start("gone", "x", params={}),
    ):
        pytest.fail("a run was started")


def test_only_runs_of_this_machine_whose_process_is_gone_are_closed(
    tracker: Tracker, client: MlflowClient
) -> None:
    me = psutil.Process()
    own = {"job.host": socket.gethostname(), "job.pid": str(me.pid)}
    started = f"{me.create_time():.2f}"
    jobs = {
        "alive": {**own, "job.process_started": started},
        "its process id was given to a later process": {**own, "job.process_started": "1000.00"},
        "another machine": {**own, "job.host": "elsewhere", "job.process_started": "1000.00"},
        "not ours": {},
    }
    experiment = client.create_experiment("orphans")
    ids = {
        name: client.create_run(experiment, tags=tags).info.run_id for name, tags in jobs.items()
    }
    reused = ids["its process id was given to a later process"]
    assert tracker.close_orphans() == [reused]
    statuses = {name: the_run(client, run_id).info.status for name, run_id in ids.items()}
    assert statuses.pop("its process id was given to a later process") == "KILLED"
    assert set(statuses.values()) == {"RUNNING"}
    assert "ended without closing" in the_run(client, reused).data.tags["job.closed_because"]
    assert tracker.close_orphans() == []


def test_the_named_store_is_used_before_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: Tracker, store_uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    with open_tracker(tmp_path).start("named", "one", params={}) as run:
        pass
    assert tracker._client.get_run(run.id).info.run_name == "one"
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()


def test_a_server_that_does_not_answer_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(PpoMarketingError, match=r"127\.0\.0\.1:9") as refused:
        open_tracker(tmp_path)
    assert "secret" not in str(refused.value)


def test_the_history_of_an_experiment_begins_with_its_newest_run(tracker: Tracker) -> None:
    for name, share in (("first", 0.5), ("second", 0.75)):
        with tracker.start("shelf", name, params={}) as run:
            run.metrics({"evidence.share_of_ceiling": share}, 1)
    found = tracker.history("shelf", 5)
    assert [one.name for one in found] == ["second", "first"]
    assert [one.metrics["evidence.share_of_ceiling"] for one in found] == [0.75, 0.5]
    assert {one.status for one in found} == {"FINISHED"}
    assert all(one.minutes is not None and one.minutes >= 0 for one in found)
    assert len(tracker.history("shelf", 1)) == 1
    assert tracker.history("nothing", 5) == ()
