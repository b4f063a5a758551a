"""The bundle: everything that one policy needs to decide elsewhere, sealed.

| file               | what it is                                                            |
|--------------------|-----------------------------------------------------------------------|
| policy.onnx        | normaliser, network and most likely action (`graph.py`)               |
| schema.json        | observations, masks, actions: sizes, ranges, labels, what they mean   |
| guardrails.json    | the limits that hold it wherever it decides; null: none were set      |
| golden.json        | observations with the trained policy's own answers                    |
| model-card.md/json | data, fidelity, evidence, verdict, limits                             |
| decision-table.csv | situations in words and what to do; where the decision has such       |
| manifest.json      | SHA-256 of every file and of itself; what was left out and why        |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.export.golden import as_answer, disagreements, golden_vectors
from ppo_marketing.export.graph import policy_graph, require_finite_constants
from ppo_marketing.export.onnx_policy import Array, OnnxPolicy
from ppo_marketing.export.sealed import as_json, opened, read_json_bytes, sealed
from ppo_marketing.guardrails.limits import GuardrailLimits
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.distributions import CategoricalHead, GaussianHead

KIND = "policy bundle"
FORMAT = 1
POLICY, SCHEMA, GUARDRAILS, GOLDEN = "policy.onnx", "schema.json", "guardrails.json", "golden.json"


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


def schema_of(agent: Agent, about: Mapping[str, Any]) -> dict[str, Any]:
    """What goes in and what comes out; `about` is what only the decision can say of it."""
    action = dict(agent.head.describe())
    if isinstance(agent.head, CategoricalHead):
        action |= {
            "choices": agent.head.choices,
            "counts": list(agent.head.counts),
            "starts": list(agent.head.starts),
            "scalar": agent.head.scalar,
        }
    elif isinstance(agent.head, GaussianHead):
        action["log_std"] = agent.head.log_std.detach().cpu().tolist()
    return {
        "format": FORMAT,
        "observation": {"size": agent.observation_size, "dtype": "float32"},
        "mask": isinstance(agent.head, CategoricalHead),
        "action": action,
        "about": dict(about),
    }


def bundle_files(
    agent: Agent,
    *,
    observation: Array,
    mask: Array | None,
    limits: GuardrailLimits | None,
    about: Mapping[str, Any],
    documents: Mapping[str, bytes],
    manifest: Mapping[str, Any],
) -> dict[str, bytes]:
    """Every file of a policy's bundle, sealed and checked as whoever loads it will.

    `observation [n, obs]` and `mask` are real ones: golden vectors are made of them. `documents`
    are further files by name.

    Raises:
        UserError: the policy is not finite, or has no ONNX form.
        IntegrityError: the graph does not answer as the agent does.
    """
    schema = schema_of(agent, about)
    files = {
        POLICY: policy_graph(agent),
        SCHEMA: as_json(schema),
        GUARDRAILS: as_json(None if limits is None else limits.as_dict()),
        GOLDEN: as_json(golden_vectors(agent, observation, mask)),
        **documents,
    }
    _checked(files)
    own = {"kind": KIND, "format": FORMAT, "policy_sha256": agent.sha256()}
    return sealed(files, {**manifest, **own})


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
    policy, schema, limits = _checked(files)
    return Bundle(policy, schema, limits, manifest, files)


def _checked(
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
