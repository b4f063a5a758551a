"""MLflow's model registry: versions of a decision's policies, and who is champion.

A version is a policy that a run logged from code (safetensors weights, JSON configuration), with
tags for commit, data, configuration and verdict. Aliases say who is `champion` and `challenger`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.tracking.store import Store, patiently

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
PREFIX = "ppo-marketing-"
POLICY_TAG = "policy.sha256"
TAG_CHARACTERS = 5000  # MLflow's limit

Result = TypeVar("Result")


def model_name(decision: str) -> str:
    """What the registered model of a decision is called."""
    return f"{PREFIX}{decision}"


def named_files(record: Mapping[str, Any]) -> dict[str, str]:
    """The files that a `policy.json` answers for, with their SHA-256: its weights, or all it names.

    A network of the core is one file of weights, whose hash is `sha256`; a bundle of a language
    model lists every file under `files`.
    """
    return dict(record["files"]) if "files" in record else {"policy.safetensors": record["sha256"]}


class LoggedPolicy(NamedTuple):
    """A policy that a run logged: where it lies, and the tags of its run."""

    model_id: str
    location: str
    run_id: str
    run_tags: dict[str, str]


class Version(NamedTuple):
    """A registered version."""

    model: str
    number: int
    location: str
    run_id: str
    tags: dict[str, str]


class Registry:
    """The registry of an open store; all calls are patient and explain what fails."""

    def __init__(self, client: MlflowClient, store: Store) -> None:
        self._client = client
        self._store = store

    def logged_policy(self, decision: str, folder: Path) -> LoggedPolicy:
        """The model that a run logged of the policy in `folder`, its stored files compared.

        Raises:
            UserError: no run logged it to this store.
            IntegrityError: the stored files are not the policy in `folder`.
        """
        policy = (folder / "policy.json").read_bytes()
        weights_sha256 = json.loads(policy)["sha256"]
        logged = self._ask(lambda: self._search_logged(decision, weights_sha256))
        if not logged:
            raise UserError(
                f"no run of {decision} in {self._store.label} logged the policy in {folder}: it "
                "was trained into another store. Set PPO_MARKETING_PROJECT (or "
                "MLFLOW_TRACKING_URI) to the one it was trained with, or train it again"
            )
        newest = max(logged, key=lambda model: model.creation_timestamp)
        run = self._ask(lambda: self._client.get_run(newest.source_run_id))
        found = LoggedPolicy(
            newest.model_id, newest.artifact_location, newest.source_run_id, dict(run.data.tags)
        )
        self._require_files(found.location, hashlib.sha256(policy).hexdigest(), str(folder))
        return found

    def register(
        self, decision: str, policy: LoggedPolicy, policy_sha256: str, tags: Mapping[str, str]
    ) -> Version:
        """The version of a policy: the one there is, or a new one with `tags`, all at once."""
        from mlflow.exceptions import MlflowException

        name = model_name(decision)

        def create_model() -> None:
            try:
                self._client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise

        self._ask(create_model)
        for version in self.history(decision):
            if version.tags.get(POLICY_TAG) == policy_sha256:
                return version
        # The address models:/m-... would be looked up in the store that MLflow has set globally.
        made = self._ask(
            lambda: self._client.create_model_version(
                name,
                policy.location,
                run_id=policy.run_id,
                tags=_short({**tags, POLICY_TAG: policy_sha256, "model.id": policy.model_id}),
                model_id=policy.model_id,
            )
        )
        return self.version(decision, int(made.version))

    def history(self, decision: str) -> tuple[Version, ...]:
        """All versions, the oldest first; none where nothing was registered."""
        return self._versions(f"name = '{model_name(decision)}'")

    def everything(self) -> tuple[Version, ...]:
        """All versions of all decisions."""
        return tuple(
            version
            for version in self._versions(f"name LIKE '{PREFIX}%'")
            if version.model.startswith(PREFIX)
        )

    def version(self, decision: str, number: int) -> Version:
        """One version.

        Raises IntegrityError where it was deleted.
        """
        for version in self.history(decision):
            if version.number == number:
                return version
        raise IntegrityError(
            f"version {number} of {model_name(decision)} is no longer in {self._store.label}, "
            "though the audit trail says that it was released: restore the store from a copy"
        )

    def alias(self, decision: str, alias: str) -> int | None:
        """The number of the version that an alias names; None where there is none."""
        return self._aliases(decision).get(alias)

    def champion(self, decision: str) -> Version | None:
        """The version that the alias `champion` names; None where there is none."""
        number = self.alias(decision, CHAMPION)
        return None if number is None else self.version(decision, number)

    def set_champion(self, decision: str, number: int) -> None:
        """Let the alias `champion` name a version; it is no challenger any more."""
        name = model_name(decision)
        self._ask(lambda: self._client.set_registered_model_alias(name, CHAMPION, str(number)))
        if self.alias(decision, CHALLENGER) == number:
            self._ask(lambda: self._client.delete_registered_model_alias(name, CHALLENGER))

    def set_challenger(self, decision: str, number: int) -> None:
        """Let the alias `challenger` name a version."""
        name = model_name(decision)
        self._ask(lambda: self._client.set_registered_model_alias(name, CHALLENGER, str(number)))

    def drop_challenger(self, decision: str) -> None:
        """Let the alias `challenger` name nothing."""
        name = model_name(decision)
        self._ask(lambda: self._client.delete_registered_model_alias(name, CHALLENGER))

    def tag(self, decision: str, number: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version, in the order given."""
        name = model_name(decision)
        for key, value in _short(tags).items():
            self._ask(partial(self._client.set_model_version_tag, name, str(number), key, value))

    def output_of(self, run_id: str) -> Path | None:
        """The folder that a run wrote to, as its parameters say; None where they say none."""
        from mlflow.exceptions import MlflowException

        def ask() -> str | None:
            try:
                place: str | None = self._client.get_run(run_id).data.params.get("output")
            except MlflowException:
                return None
            return place

        place = self._ask(ask)
        return None if place is None else Path(place)

    def require_untouched(self, version: Version) -> None:
        """Raise IntegrityError where the stored files are not those that were registered."""
        self._require_files(
            version.location,
            version.tags.get(POLICY_TAG, ""),
            f"version {version.number} of {version.model}",
        )

    def policy_folder(self, version: Version) -> Path:
        """Where the stored files of a version's policy can be read, verified.

        Raises IntegrityError where they are not those that were registered.
        """
        from mlflow.artifacts import download_artifacts

        self.require_untouched(version)
        found: str = self._ask(
            lambda: download_artifacts(
                artifact_uri=f"{version.location}/artifacts/policy",
                tracking_uri=self._store.uri,
                registry_uri=self._store.uri,
            )
        )
        return Path(found)

    def _require_files(self, location: str, policy_sha256: str, whose: str) -> None:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        def content(file: str) -> bytes:
            place = download_artifacts(
                artifact_uri=f"{location}/artifacts/policy/{file}",
                tracking_uri=self._store.uri,
                registry_uri=self._store.uri,
            )
            return Path(place).read_bytes()

        def sound() -> bool:
            try:
                policy = content("policy.json")
                named = named_files(json.loads(policy))
                whole = all(hashlib.sha256(content(n)).hexdigest() == named[n] for n in named)
            except (MlflowException, OSError, ValueError, KeyError, TypeError):
                return False
            return whole and hashlib.sha256(policy).hexdigest() == policy_sha256

        if not self._ask(sound):
            raise IntegrityError(
                f"the files stored in {location} are missing or are not the policy of {whose}: "
                "nothing is released from them. Restore the store from a copy, or train again"
            )

    def _search_logged(self, decision: str, weights_sha256: str) -> list[Any]:
        experiment = self._client.get_experiment_by_name(decision)
        if experiment is None:
            return []
        wanted = f"tags.`policy.sha256` = '{weights_sha256}'"
        found: list[Any] = self._client.search_logged_models(
            [experiment.experiment_id], filter_string=wanted
        )
        return [model for model in found if model.status == "READY"]

    def _versions(self, wanted: str) -> tuple[Version, ...]:
        def search() -> list[Any]:
            found: list[Any] = []
            token: str | None = ""
            while token is not None:
                page = self._client.search_model_versions(wanted, page_token=token or None)
                found += page
                token = page.token or None
            return found

        versions = (
            Version(v.name, int(v.version), v.source, v.run_id or "", dict(v.tags))
            for v in self._ask(search)
        )
        return tuple(sorted(versions, key=lambda version: (version.model, version.number)))

    def _aliases(self, decision: str) -> dict[str, int]:
        from mlflow.exceptions import MlflowException

        def get() -> dict[str, int]:
            try:
                model = self._client.get_registered_model(model_name(decision))
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return {}
                raise
            return {alias: int(number) for alias, number in model.aliases.items()}

        return self._ask(get)

    def _ask(self, call: Callable[[], Result]) -> Result:
        return patiently(self._store, call)


def _short(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value[:TAG_CHARACTERS] for name, value in tags.items()}
