"""Files that are either whole or absent: training checkpoints and saved policies.

checkpoint   magic (8 bytes) | SHA-256 of the payload (32 bytes) | payload (torch, no pickle
             beyond plain values and tensors)
policy       policy.safetensors (parameters, normaliser) and policy.json (architecture, spaces,
             SHA-256 of the tensors), written in that order
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.files import made, write_atomically
from ppo_marketing.ppo.agent import Agent

MAGIC = b"PPOMKT01"
DIGEST_BYTES = 32
POLICY_FORMAT = 1


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a nested mapping of numpy arrays and plain values, atomically.

    Raises:
        UserError: a value is neither an array of numbers nor plain; its place is named.
        PpoMarketingError: the file cannot be written; an earlier one is untouched.
    """
    # Into memory first: on a full disk torch raises a bare RuntimeError and leaves half a file.
    payload = io.BytesIO()
    torch.save(_to_tensors(state, "state"), payload)
    content = payload.getvalue()
    write_atomically(path, MAGIC + hashlib.sha256(content).digest() + content)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; arrays come back as numpy arrays.

    Raises:
        IntegrityError: the file is not a checkpoint, or is not what was written.
        PpoMarketingError: the file cannot be read.
    """
    content = _read(path)
    header = len(MAGIC) + DIGEST_BYTES
    digest, payload = content[len(MAGIC) : header], content[header:]
    if not content.startswith(MAGIC):
        raise IntegrityError(f"{path} is not a training checkpoint; delete it to start afresh")
    if hashlib.sha256(payload).digest() != digest:
        raise IntegrityError(
            f"the checkpoint {path} is damaged: its SHA-256 does not match its content. "
            "Restore it from a copy, or delete it to start afresh"
        )
    state: dict[str, Any] = _to_arrays(torch.load(io.BytesIO(payload), weights_only=True))
    return state


def save_policy(agent: Agent, folder: Path) -> None:
    """Write `policy.safetensors` and `policy.json` into `folder`, each atomically.

    The JSON goes last and names the tensors' SHA-256, so a pair torn by a crash is refused by
    `load_policy`, never mixed.

    Raises:
        PpoMarketingError: the files cannot be written.
    """
    tensors = save_tensors(agent.arrays())
    description = {
        "format": POLICY_FORMAT,
        "sha256": hashlib.sha256(tensors).hexdigest(),
        "agent": agent.describe(),
    }
    made(folder)
    write_atomically(folder / "policy.safetensors", tensors)
    text = json.dumps(description, indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_atomically(folder / "policy.json", text.encode())


def load_policy(folder: Path) -> Agent:
    """Return the agent that `save_policy` wrote.

    Raises:
        IntegrityError: the files are not a policy, or not what was written.
        PpoMarketingError: the files cannot be read.
    """
    described, tensors = _read(folder / "policy.json"), _read(folder / "policy.safetensors")
    try:
        description = json.loads(described)
        written_format, written_digest = description["format"], description["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{folder / 'policy.json'} is not a policy: {error!r}") from error
    if written_format != POLICY_FORMAT:
        raise IntegrityError(
            f"{folder} holds a policy of format {written_format!r}; this version reads format "
            f"{POLICY_FORMAT}. Train it again with this version"
        )
    if hashlib.sha256(tensors).hexdigest() != written_digest:
        raise IntegrityError(
            f"the policy in {folder} is damaged: policy.safetensors is not the file that "
            "policy.json describes. Restore both from a copy, or train again"
        )
    try:
        agent = Agent.from_description(description["agent"])
        agent.load_arrays(load_tensors(tensors))
    except (UserError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{folder} does not hold a usable policy: {error}") from error
    return agent


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def _to_tensors(value: Any, place: str) -> Any:
    """Replace arrays by tensors: a checkpoint is then loaded without unpickling any class."""
    if isinstance(value, Mapping):
        return {key: _to_tensors(item, f"{place}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(
            _to_tensors(item, f"{place}[{index}]") for index, item in enumerate(value)
        )
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(np.array(value, order="C"))
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    kind = f"array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    raise UserError(
        f"{place} is of type {kind} and cannot be checkpointed; state_dict() may hold arrays of "
        "numbers or booleans, int, float, str, bool, None, and lists, tuples and dicts of them"
    )


def _to_arrays(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.numpy()
    if isinstance(value, dict):
        return {key: _to_arrays(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_to_arrays(item) for item in value)
    return value
