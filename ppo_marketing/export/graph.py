"""A policy as an ONNX graph: normaliser, network, mask and the most likely action in one file.

| tensor      | shape                | type    | meaning                                         |
|-------------|----------------------|---------|-------------------------------------------------|
| observation | [n, size]            | float32 | as the environment gives it, not normalised     |
| mask        | [n, choices]         | bool    | what is allowed; only where the policy chooses  |
| score       | [n, choices or dims] | float32 | masked logits; the mean before it is bounded    |
| probability | [n, choices]         | float32 | softmax of scores; only where the policy chooses|
| action      | [n] or [n, parts]    | i64/f32 | the most likely, in the environment's terms     |

The graph is written node by node, so that it does what `Agent.act(deterministic=True)` does and
nothing else: no tracing, no exporter, no pickle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.categorical import MASKED_LOGIT, CategoricalHead, ItemHead
from ppo_marketing.ppo.gaussian import GaussianHead, SquashedGaussianHead
from ppo_marketing.ppo.normalise import OBSERVATION_LIMIT, centre_and_scale

Array = npt.NDArray[Any]

OPSET = 20
IR_VERSION = 10
"""Of the format: what onnxruntime has read since 1.18; newer ones shut out older servers."""


class _Nodes:
    """Nodes and constants as they are added, each under the name of what it makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Array | np.floating[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


def policy_graph(agent: Agent) -> bytes:
    """The serialised ONNX model of a policy, the same bytes for the same policy.

    Raises:
        UserError: a parameter is not finite, or the head is of a kind without a graph.
    """
    _refuse_unfinished(agent)
    nodes = _Nodes()
    output = _network(nodes, agent)
    size = agent.observation_size
    inputs = [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", size])]
    if isinstance(agent.head, CategoricalHead):
        choices = agent.head.choices
        inputs.append(helper.make_tensor_value_info("mask", TensorProto.BOOL, ["n", choices]))
        outputs = _choices(nodes, agent.head, output)
    elif isinstance(agent.head, GaussianHead):
        outputs = _amounts(nodes, agent.head, output)
    else:
        raise UserError(f"a policy whose actions are {agent.head.describe()} has no ONNX form")
    graph = helper.make_graph(nodes.nodes, "policy", inputs, outputs, nodes.constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="ppo-marketing"
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _refuse_unfinished(agent: Agent) -> None:
    bad = [name for name, array in agent.arrays().items() if not np.isfinite(array).all()]
    if bad:
        raise UserError(
            f"the policy cannot be exported: {', '.join(bad)} hold values that are not finite; "
            "train it again"
        )


def _network(nodes: _Nodes, agent: Agent) -> str:
    """The actor's last layer: normaliser in double precision, as the agent has it, then tanh."""
    x = "observation"
    if agent.normaliser is not None:
        centre, scale = centre_and_scale(agent.normaliser, agent.observation_size)
        x = nodes.add("Cast", [x], "exact", to=TensorProto.DOUBLE)
        x = nodes.add("Sub", [x, nodes.constant("centre", centre)], "centred")
        x = nodes.add("Mul", [x, nodes.constant("scale", scale)], "scaled")
        x = nodes.add("Cast", [x], "single", to=TensorProto.FLOAT)
        limit = np.float32(OBSERVATION_LIMIT)
        low, high = nodes.constant("least", -limit), nodes.constant("most", limit)
        x = nodes.add("Clip", [x, low, high], "normalised")
    layers = list(zip(agent.actor.weights, agent.actor.biases, strict=True))
    for number, (weight, bias) in enumerate(layers):
        w = nodes.constant(f"weight{number}", weight.detach().cpu().numpy())
        b = nodes.constant(f"bias{number}", bias.detach().cpu().numpy())
        x = nodes.add("Gemm", [x, w, b], f"layer{number}", transB=1)
        if number + 1 < len(layers):
            x = nodes.add("Tanh", [x], f"hidden{number}")
    return x


def _choices(nodes: _Nodes, head: CategoricalHead, output: str) -> list[onnx.ValueInfoProto]:
    """Logits of allowed choices, their softmax and the largest of every component."""
    if isinstance(head, ItemHead):
        features = nodes.constant("features", head.features.cpu().numpy().T)
        output = nodes.add("MatMul", [output, features], "logit")
    forbidden = nodes.constant("forbidden", np.float32(MASKED_LOGIT))
    nodes.add("Where", ["mask", output, forbidden], "score")
    counts = nodes.constant("counts", np.array(head.counts, np.int64))
    parts = [f"part{number}" for number in range(len(head.counts))]
    nodes.nodes.append(helper.make_node("Split", ["score", counts], parts, name="parts", axis=1))
    chances = [nodes.add("Softmax", [part], f"{part}chance", axis=1) for part in parts]
    nodes.add("Concat", chances, "probability", axis=1)
    keep = 0 if head.scalar else 1
    best = [nodes.add("ArgMax", [p], f"{p}best", axis=1, keepdims=keep) for p in parts]
    joined = best[0] if head.scalar else nodes.add("Concat", best, "best", axis=1)
    starts = np.array(head.starts[0] if head.scalar else head.starts, np.int64)
    nodes.add("Add", [joined, nodes.constant("starts", starts)], "action")
    shape: list[str | int] = ["n"] if head.scalar else ["n", len(head.counts)]
    return [
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", head.choices]),
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", head.choices]),
        helper.make_tensor_value_info("action", TensorProto.INT64, shape),
    ]


def _amounts(nodes: _Nodes, head: GaussianHead, output: str) -> list[onnx.ValueInfoProto]:
    """The mean, and the mean as the environment takes it: bounded."""
    nodes.add("Identity", [output], "score")
    bounded = "score"
    if isinstance(head, SquashedGaussianHead):
        bounded = nodes.add("Tanh", [bounded], "squashed")
        bounded = nodes.add("Mul", [bounded, nodes.constant("radius", head.radius)], "stretched")
        bounded = nodes.add("Add", [bounded, nodes.constant("middle", head.centre)], "placed")
    # An absent bound is left out: the largest float stands for it and is finite.
    largest = np.finfo(np.float32).max
    low = nodes.constant("low", np.maximum(head.low, -largest))
    high = nodes.constant("high", np.minimum(head.high, largest))
    above = nodes.add("Max", [bounded, low], "above")
    nodes.add("Min", [above, high], "action")
    return [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", head.outputs])
        for name in ("score", "action")
    ]
