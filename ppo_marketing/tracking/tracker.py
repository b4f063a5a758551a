"""The open store: a fresh one is set up, orphans are closed, runs are started."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ppo_marketing.errors import Interrupted, PpoMarketingError, UserError
from ppo_marketing.tracking.registry import Registry
from ppo_marketing.tracking.run import Run
from ppo_marketing.tracking.store import (
    SQLITE,
    Store,
    check_database,
    patiently,
    set_up_alone,
    store_in,
)
from ppo_marketing.tracking.values import (
    commit_tags,
    flat_params,
    json_text,
    process_is_running,
    process_tags,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

TAG_CHARACTERS = 5000  # MLflow's limit

# Set where the user has not: nothing is printed or sent, and since waiting is silent then, a server
# that does not answer is given up after half a minute instead of five.
SETTINGS = {
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
}


def open_tracker(folder: Path, *, patience_s: float = 60.0) -> Tracker:
    """Return the tracker of the project in `folder`, and close the runs of killed jobs.

    A fresh database is set up once, under a lock and out of sight, so jobs may start together
    and be killed while they do. Other jobs are waited for during `patience_s` seconds.

    Raises:
        AlreadyRunning: another process kept the store locked.
        IntegrityError: the database is damaged.
        UserError: the store may not be written.
        PpoMarketingError: the store cannot be reached.
    """
    store = store_in(folder, os.environ)
    if store.database is not None:
        with set_up_alone(store.database, patience_s):
            # Nothing slow happens here once the database is there: jobs need not queue for it.
            if not store.database.exists() or store.database.stat().st_size == 0:
                patiently(store, lambda: _create_database(store))
        check_database(store.database, patience_s)
    tracker = Tracker(patiently(store, lambda: _client(store)), store)
    tracker.close_orphans()
    return tracker


class Recorded(NamedTuple):
    """A run as the store has it; `metrics` are the last values, `minutes` None while it runs."""

    id: str
    experiment_id: str
    name: str
    status: str
    started: datetime
    minutes: float | None
    metrics: dict[str, float]


class Tracker:
    """An open store; `start` records one run in it."""

    def __init__(self, client: MlflowClient, store: Store) -> None:
        self._client = client
        self._store = store

    @contextmanager
    def start(
        self,
        experiment: str,
        name: str,
        *,
        params: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
        note: str = "",
        parent: Run | None = None,
    ) -> Iterator[Run]:
        """Record the block as one run: FINISHED, FAILED by an exception, or KILLED by an interrupt.

        `params` is the configuration, nested as it is: it is recorded flat as parameters, whole
        as `config.json`, and by its SHA-256. `note` is the run's description, in Markdown; the
        run is shown under `parent`, where there is one.

        Raises:
            UserError: a parameter's name cannot be recorded; all are listed.
            PpoMarketingError: the store failed; see `tracking.store.explained`.
        """
        flat = flat_params(params)
        text = json_text("config", params)
        all_tags = {
            **(tags or {}),
            **process_tags(),
            **commit_tags(Path(__file__).parent),
            "config.sha256": hashlib.sha256(text.encode()).hexdigest(),
            "mlflow.source.name": "ppo-marketing",
            **({"mlflow.note.content": note} if note else {}),
            **({} if parent is None else {"mlflow.parentRunId": parent.id}),
        }
        experiment_id = self._experiment(experiment)
        record = patiently(
            self._store,
            lambda: self._client.create_run(experiment_id, tags=all_tags, run_name=name),
        )
        run = Run(self._client, self._store, record.info.run_id, experiment_id)
        try:
            run.params(flat)
            run.text("config.json", text)
            yield run
        except BaseException as error:
            self._close_after(run, error)
            raise
        patiently(self._store, lambda: self._client.set_terminated(run.id, "FINISHED"))

    def history(self, experiment: str, most: int) -> tuple[Recorded, ...]:
        """The last runs of an experiment, the newest first; none where there is no such experiment.

        Raises:
            PpoMarketingError: the store failed; see `tracking.store.explained`.
        """
        found = patiently(self._store, lambda: self._client.get_experiment_by_name(experiment))
        if found is None:
            return ()
        runs = patiently(
            self._store,
            lambda: self._client.search_runs(
                [found.experiment_id], order_by=["attributes.start_time DESC"], max_results=most
            ),
        )
        return tuple(_recorded(run) for run in runs)

    @property
    def registry(self) -> Registry:
        """The model registry of the same store."""
        return Registry(self._client, self._store)

    def close_orphans(self) -> list[str]:
        """Set runs of this machine whose process is gone to KILLED, and return their ids.

        Raises:
            PpoMarketingError: the store failed; see `tracking.store.explained`.
        """
        return patiently(self._store, self._close_orphans)

    def _close_orphans(self) -> list[str]:
        host = process_tags()["job.host"]
        running = f"attributes.status = 'RUNNING' and tags.`job.host` = '{host}'"
        experiments = [found.experiment_id for found in self._client.search_experiments()]
        # Closing takes a run out of the answer, so all pages are read before the first is closed.
        found: list[Any] = []
        token: str | None = ""
        while experiments and token is not None:
            page = self._client.search_runs(experiments, running, page_token=token or None)
            found += page
            token = page.token or None
        orphans = [run for run in found if not process_is_running(run.data.tags)]
        for run in orphans:
            pid = run.data.tags["job.pid"]
            reason = f"its process {pid} on {host} ended without closing the run"
            self._client.set_tag(run.info.run_id, "job.closed_because", reason)
            self._client.set_terminated(run.info.run_id, "KILLED")
        return [run.info.run_id for run in orphans]

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        def find_or_create() -> str:
            found = self._client.get_experiment_by_name(name)
            if found is None:
                try:
                    return str(self._client.create_experiment(name, self._store.artifact_uri))
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                # Another job has just created it.
                found = self._client.get_experiment_by_name(name)
            if found.lifecycle_stage != "active":
                raise UserError(
                    f"the experiment {name!r} was deleted in {self._store.label}. Choose another "
                    f"name, or run `mlflow experiments restore -x {found.experiment_id}`"
                )
            return str(found.experiment_id)

        return patiently(self._store, find_or_create)

    def _close_after(self, run: Run, error: BaseException) -> None:
        interrupted = isinstance(error, Interrupted | KeyboardInterrupt)
        reason = f"{type(error).__name__}: {error}"[:TAG_CHARACTERS]

        def close() -> None:
            self._client.set_tag(run.id, "job.closed_because", reason)
            self._client.set_terminated(run.id, "KILLED" if interrupted else "FAILED")

        try:
            patiently(self._store, close)
        except PpoMarketingError as second:
            # What ended the job matters more; the next start closes the run as an orphan.
            error.add_note(f"The run could not be closed either: {second}")


def _recorded(run: Any) -> Recorded:
    info = run.info
    took_ms = None if info.end_time is None else info.end_time - info.start_time
    return Recorded(
        id=info.run_id,
        experiment_id=info.experiment_id,
        name=info.run_name,
        status=info.status,
        started=datetime.fromtimestamp(info.start_time / 1000, UTC),
        minutes=None if took_ms is None else took_ms / 60_000,
        metrics=dict(run.data.metrics),
    )


def _client(store: Store) -> MlflowClient:
    """Connect; the first question makes MLflow open the store and check its version."""
    _configure()
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)
    client.search_experiments(max_results=1)
    return client


def _create_database(store: Store) -> None:
    """Set a fresh database up under another name, then give it its own: a kill leaves no half."""
    _configure()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    assert store.database is not None
    unfinished = store.database.with_name(f".{store.database.name}.unfinished")
    for leftover in [unfinished, unfinished.with_name(f"{unfinished.name}-journal")]:
        leftover.unlink(missing_ok=True)
    SqlAlchemyStore(f"{SQLITE}{unfinished}", store.artifact_uri).engine.dispose()
    unfinished.replace(store.database)


def _configure() -> None:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
