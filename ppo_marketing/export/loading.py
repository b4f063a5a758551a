"""A sealed bundle read back: nothing of it is used before all of it is verified.

What decides live imports this, so nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.export.constants import require_finite_constants
from ppo_marketing.export.golden import as_answer, disagreements
from ppo_marketing.export.onnx_policy import OnnxPolicy
from ppo_marketing.export.sealed import opened, read_json_bytes
from ppo_marketing.guardrails.limits import GuardrailLimits

KIND = "policy bundle"
FORMAT = 1
POLICY, SCHEMA, GUARDRAILS, GOLDEN = "policy.onnx", "schema.json", "guardrails.json", "golden.json"
LIVE = "live.json"
"""What a decision's own protocol needs, where it has one (`envs/core/live.py`)."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle; `files` are the very bytes that were verified."""

    policy: OnnxPolicy
    schema: Mapping[str, Any]
    limits: GuardrailLimits | None
    manifest: Mapping[str, Any]
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def sha256(self) -> str:
        """The hash that stands for the whole bundle."""
        return str(self.manifest["sha256"])


def load_bundle(folder: Path, *, sha256: str | None = None) -> Bundle:
    """Read a bundle; nothing of it is used before all of it is verified.

    `sha256` is the hash of the bundle that is expected, kept elsewhere: whoever can rewrite the
    whole folder can make it agree with itself.

    Raises:
        UserError: there is no bundle.
        IntegrityError: a byte differs, a number is not finite, or the policy here does not give
            the golden answers.
    """
    manifest, files = opened(folder, KIND)
    if sha256 is not None and manifest["sha256"] != sha256:
        raise IntegrityError(
            f"{folder} is another bundle ({manifest['sha256'][:12]}) than the one expected "
            f"({sha256[:12]})"
        )
    if manifest["format"] != FORMAT:
        raise UserError(
            f"{folder} is of format {manifest['format']}; this version reads {FORMAT}: export again"
        )
    policy, schema, limits = checked(files)
    return Bundle(policy, schema, limits, manifest, files)


def checked(
    files: Mapping[str, bytes],
) -> tuple[OnnxPolicy, dict[str, Any], GuardrailLimits | None]:
    """What the files make, after the graph answered every golden vector as it must."""
    try:
        schema = read_json_bytes(files[SCHEMA], SCHEMA)
        guards = read_json_bytes(files[GUARDRAILS], GUARDRAILS)
        golden = read_json_bytes(files[GOLDEN], GOLDEN)
        limits = None if guards is None else GuardrailLimits.from_dict(guards)
        require_finite_constants(files[POLICY])
        policy = OnnxPolicy(files[POLICY], schema)
        observation, mask, wanted = as_answer(golden)
        said = policy.answer(observation, mask)
        problems = disagreements(said, wanted, policy.action_schema, golden["tolerance"])
    except IntegrityError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, UserError) as error:
        raise IntegrityError(f"the bundle cannot be used: {error!r}") from error
    if not len(observation):
        problems.append("there are no golden vectors")
    finite = [np.isfinite(values).all() for values in said if values is not None]
    if not all(finite):
        problems.append("an answer is not finite")
    if problems:
        raise IntegrityError(
            f"the policy does not answer as it was trained to: {'; '.join(problems)}"
        )
    return policy, schema, limits
