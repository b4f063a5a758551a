"""A stage's folder: held by one job, of one stage with its inputs, finished or to be resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppo_marketing.errors import Interrupted, UserError
from ppo_marketing.files import held_alone, read_json, write_atomically
from ppo_marketing.ppo.checkpoint import load_checkpoint, save_checkpoint
from ppo_marketing.ppo.signals import StopSignal

RECORD, RESULT, CHECKPOINT = "stage.json", "result.json", "checkpoint.pt"


@dataclass(frozen=True)
class Stage:
    """A folder while its stage is worked on."""

    folder: Path

    @property
    def result(self) -> dict[str, Any] | None:
        """What the stage gave, where it is finished."""
        path = self.folder / RESULT
        return read_json(path) if path.exists() else None

    def finish(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Keep what the stage gave; the checkpoint is needed no more."""
        write_json(self.folder / RESULT, values)
        (self.folder / CHECKPOINT).unlink(missing_ok=True)
        return read_json(self.folder / RESULT)

    def resume(self) -> dict[str, Any] | None:
        """Return the state that was saved, if there is one."""
        path = self.folder / CHECKPOINT
        return load_checkpoint(path) if path.exists() else None

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a state to go on from."""
        save_checkpoint(self.folder / CHECKPOINT, state)

    def heed(self, stop: StopSignal) -> None:
        """End here where a stop was asked for and the state is saved.

        Raises:
            Interrupted: it was.
        """
        if stop.number is not None:
            raise Interrupted(
                f"stopped; the state is saved in {self.folder}, the same command goes on",
                stop.number,
            )


@contextmanager
def stage_folder(folder: Path, name: str, inputs: Mapping[str, Any]) -> Iterator[Stage]:
    """Hold a stage's folder; `inputs` (hashes, settings) must be those of what lies there.

    Raises:
        UserError: the folder holds another stage, or this one of other inputs; they are listed.
        AlreadyRunning: another job has it.
    """
    own = json.loads(json.dumps({"stage": name, **inputs}, default=str))
    with held_alone(folder):
        record = folder / RECORD
        if record.exists():
            kept = read_json(record)
            differing = [key for key in own if kept.get(key) != own[key]]
            if differing:
                raise UserError(
                    f"{folder} holds {kept.get('stage')!r} of other inputs; what differs: "
                    f"{', '.join(differing)}. Choose another --output, or delete the folder"
                )
        else:
            write_json(record, own)
        yield Stage(folder)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON, whole or not at all."""
    write_atomically(path, (json.dumps(values, indent=1, default=str) + "\n").encode())
