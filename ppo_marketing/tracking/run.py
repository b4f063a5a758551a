"""One run: parameters, metrics, data, files and the policy."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat

import numpy.typing as npt

from ppo_marketing.errors import UserError
from ppo_marketing.files import read_json
from ppo_marketing.tracking.model import POLICY_FILES, save_model
from ppo_marketing.tracking.store import Store, patiently
from ppo_marketing.tracking.values import finite_metrics, json_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.tracking import MlflowClient

Array = npt.NDArray[Any]

PARAMS_PER_BATCH = 100  # MLflow's limits
DIGEST_CHARACTERS = 36


class Run:
    """One run that is being recorded; what a call hands over is in the store when it returns."""

    def __init__(self, client: MlflowClient, store: Store, run_id: str, experiment_id: str) -> None:
        self._client = client
        self._store = store
        self._experiment_id = experiment_id
        self.id = run_id

    def metrics(self, values: Mapping[str, SupportsFloat], step: int) -> None:
        """Record all numbers of one step, in one transaction (about 20 ms).

        Raises:
            PpoMarketingError: a value is not finite or a name cannot be recorded, in which case
                nothing of the step is; or the store failed.
        """
        from mlflow.entities import Metric

        finite = finite_metrics(values, step)
        now_ms = int(time.time() * 1000)
        entities = [Metric(name, value, now_ms, step) for name, value in finite.items()]
        patiently(self._store, lambda: self._client.log_batch(self.id, metrics=entities))

    def curve(self, name: str, values: Mapping[int, SupportsFloat]) -> None:
        """Record one number at many steps, in one transaction.

        Raises:
            PpoMarketingError: as `metrics`.
        """
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        entities = [
            Metric(metric, value, now_ms, step)
            for step, number in values.items()
            for metric, value in finite_metrics({name: number}, step).items()
        ]
        patiently(self._store, lambda: self._client.log_batch(self.id, metrics=entities))

    def dataset(
        self,
        name: str,
        sha256: str,
        rows: int,
        source: str,
        *,
        context: Literal["training", "evaluation"] = "training",
    ) -> None:
        """Record which data were used: their SHA-256 (hex), number of rows and where they lay.

        Raises:
            PpoMarketingError: the store failed; see `tracking.store.explained`.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        # MLflow's digest holds 36 characters; the whole hash goes into the profile and a tag.
        used = DatasetInput(
            Dataset(
                name=name,
                digest=sha256[:DIGEST_CHARACTERS],
                source_type="local",
                source=json.dumps({"uri": source}),
                profile=json.dumps({"num_rows": rows, "sha256": sha256}),
            ),
            [InputTag("mlflow.data.context", context)],
        )
        patiently(self._store, lambda: self._client.log_inputs(self.id, [used]))
        if context == "training":
            self.tag("data.sha256", sha256)

    def tag(self, name: str, value: str) -> None:
        """Set one tag.

        Raises:
            PpoMarketingError: the store failed; see `tracking.store.explained`.
        """
        patiently(self._store, lambda: self._client.set_tag(self.id, name, value))

    def json(self, name: str, values: Mapping[str, Any]) -> None:
        """Record a mapping of plain values and numpy numbers as `<name>.json`.

        Raises:
            PpoMarketingError: a value is not finite or of another type, or the store failed.
        """
        self.text(f"{name.removesuffix('.json')}.json", json_text(name, values))

    def figure(self, name: str, figure: Figure) -> None:
        """Record a matplotlib figure as `<name>.png`.

        Raises:
            PpoMarketingError: the store failed; see `tracking.store.explained`.
        """
        file = f"{name.removesuffix('.png')}.png"
        patiently(self._store, lambda: self._client.log_figure(self.id, figure, file))

    def file(self, path: Path) -> None:
        """Record a copy of a file under its own name.

        Raises:
            UserError: there is no such file.
            PpoMarketingError: the store failed; see `tracking.store.explained`.
        """
        _require_files([path])
        patiently(self._store, lambda: self._client.log_artifact(self.id, str(path)))

    def policy(
        self,
        folder: Path,
        *,
        observation_example: Array,
        action_example: Array,
        name: str = "policy",
    ) -> str:
        """Record a saved policy as an MLflow model, and return its address `models:/m-...`.

        `folder` is what `ppo.checkpoint.save_policy` wrote; `observation_example` [n, obs] and
        `action_example` [n, ...], the policy's deterministic answer to it, give the signature and
        the input example. The model holds the policy's two files, the script `policy_model` and a
        copy of `ppo_marketing.ppo`: no pickle. It is loaded back before it counts as recorded.

        Raises:
            UserError: a file of the policy is missing.
            IntegrityError: the stored model answers the example differently.
            PpoMarketingError: the store failed; see `tracking.store.explained`.
        """
        from mlflow.models import Model

        files = [folder / file for file in POLICY_FILES]
        _require_files(files)

        def saved(record: Any, workplace: Path) -> Path:
            model = Model(
                artifact_path=record.artifact_location,
                model_uuid=record.model_id,
                run_id=self.id,
                model_id=record.model_id,
            )
            return save_model(model, folder, observation_example, action_example, workplace)

        sha256 = hashlib.sha256(files[0].read_bytes()).hexdigest()
        return self._model(name, sha256, saved)

    def bundle(self, folder: Path, *, name: str = "policy") -> str:
        """Record a sealed folder as a model of its files alone, and return its address.

        Its `policy.json` names every other file with its hash (`registry.named_files`); whatever
        reads such files loads it, and MLflow runs none of it.

        Raises:
            UserError: the folder has no such record.
            PpoMarketingError: the store failed; see `tracking.store.explained`.
        """

        def saved(record: Any, workplace: Path) -> Path:
            shutil.copytree(folder, workplace / "model" / "artifacts" / "policy")
            return workplace / "model"

        return self._model(name, str(read_json(folder / "policy.json")["sha256"]), saved)

    def _model(self, name: str, sha256: str, saved: Callable[[Any, Path], Path]) -> str:
        """Record what `saved` writes as a model of this run; READY once all of it is stored."""
        from mlflow.entities import LoggedModelOutput

        record = patiently(
            self._store,
            lambda: self._client.create_logged_model(
                self._experiment_id,
                name=name,
                source_run_id=self.id,
                tags={"policy.sha256": sha256},
            ),
        )
        status = "FAILED"
        try:
            with tempfile.TemporaryDirectory(prefix="ppo-marketing-") as temporary:
                place = patiently(self._store, lambda: saved(record, Path(temporary)))
                patiently(
                    self._store,
                    lambda: self._client.log_model_artifacts(record.model_id, str(place)),
                )
            output = LoggedModelOutput(record.model_id, step=0)
            patiently(self._store, lambda: self._client.log_outputs(self.id, [output]))
            status = "READY"
        finally:
            patiently(
                self._store, lambda: self._client.finalize_logged_model(record.model_id, status)
            )
        return f"models:/{record.model_id}"

    def params(self, flat: Mapping[str, str]) -> None:
        """Record parameters, as `values.flat_params` returns them.

        Raises:
            PpoMarketingError: the store failed; see `tracking.store.explained`.
        """
        from mlflow.entities import Param

        params = [Param(name, value) for name, value in flat.items()]

        def record() -> None:
            for first in range(0, len(params), PARAMS_PER_BATCH):
                batch = params[first : first + PARAMS_PER_BATCH]
                self._client.log_batch(self.id, params=batch)

        patiently(self._store, record)

    def text(self, file: str, text: str) -> None:
        """Record text as a file.

        Raises:
            PpoMarketingError: the store failed; see `tracking.store.explained`.
        """
        patiently(self._store, lambda: self._client.log_text(self.id, text, file))


def _require_files(paths: list[Path]) -> None:
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise UserError(f"these files are missing and cannot be recorded: {', '.join(missing)}")
