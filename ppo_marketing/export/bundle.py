"""The bundle: everything that one policy needs to decide elsewhere, sealed.

| file               | what it is                                                            |
|--------------------|-----------------------------------------------------------------------|
| policy.onnx        | normaliser, network and most likely action (`graph.py`)               |
| schema.json        | observations, masks, actions: sizes, ranges, labels, what they mean   |
| guardrails.json    | the limits that hold it wherever it decides; null: none were set      |
| golden.json        | observations with the trained policy's own answers                    |
| model-card.md/json | data, fidelity, evidence, verdict, limits                             |
| decision-table.csv | situations in words and what to do; where the decision has such       |
| live.json          | what the decision's own protocol needs live; where it has one         |
| manifest.json      | SHA-256 of every file and of itself; what was left out and why        |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppo_marketing.export.agent_answers import golden_vectors
from ppo_marketing.export.graph import policy_graph
from ppo_marketing.export.loading import (
    FORMAT,
    GOLDEN,
    GUARDRAILS,
    KIND,
    POLICY,
    SCHEMA,
    checked,
    load_bundle,
)
from ppo_marketing.export.onnx_policy import Array
from ppo_marketing.export.sealed import as_json, sealed
from ppo_marketing.guardrails.limits import GuardrailLimits
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.categorical import CategoricalHead
from ppo_marketing.ppo.gaussian import GaussianHead

__all__ = ["KIND", "bundle_files", "load_bundle", "schema_of"]


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
    checked(files)
    own = {"kind": KIND, "format": FORMAT, "policy_sha256": agent.sha256()}
    return sealed(files, {**manifest, **own})
