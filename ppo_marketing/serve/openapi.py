"""The OpenAPI description of a server, made from what its bundle says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppo_marketing.serve.questions import LONGEST_TEXT
from ppo_marketing.serve.server import Server
from ppo_marketing.serve.settings import RequestLimits
from ppo_marketing.serve.words import Words

JSON = "application/json"
_WHOLE = {"type": "integer", "minimum": -(2**53), "maximum": 2**53}
BAD = {
    "description": "not answered: says what is allowed",
    "content": {JSON: {"schema": {"$ref": "#/components/schemas/Problems"}}},
}


def openapi(server: Server) -> dict[str, Any]:
    """The description of every path, OpenAPI 3.1."""
    champion, limits = server.desk.champion, server.settings.requests
    paths: dict[str, dict[str, Any]] = {
        "/v1/decide": {
            "post": operation(
                "Decide", "What to do in each of several situations.",
                {"$ref": "#/components/schemas/Decide"}, {"$ref": "#/components/schemas/Decided"},
            )
        },
        "/v1/settle": {
            "post": operation(
                "Settle", "Book what decisions really cost; frees the rest of what they reserved.",
                {"$ref": "#/components/schemas/Settle"}, {"type": "object"},
            )
        },
    }  # fmt: skip
    schemas: dict[str, Any] = {
        "Decide": _decide(champion.words, champion.choices, limits),
        "Decided": _DECIDED,
        "Settle": _settle(limits),
        "Problems": {
            "type": "object",
            "properties": {
                "error": {"type": "string"},
                "problems": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["error"],
        },
    }
    if server.service is not None:
        schemas |= server.service.schemas
        for one in server.service.endpoints:
            paths.setdefault(one.path, {})[one.method.lower()] = dict(one.describe)
    for path in ("/healthz", "/readyz"):
        paths[path] = {"get": {"responses": {"200": {"description": "as it is"}}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Decisions: {champion.words.decision}",
            "version": champion.version,
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def operation(
    name: str, summary: str, body: Mapping[str, Any], answer: Mapping[str, Any]
) -> dict[str, Any]:
    """A path that takes JSON and answers with JSON, or with what is wrong."""
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": {JSON: {"schema": dict(body)}}},
        "responses": {
            "200": {"description": "answered", "content": {JSON: {"schema": dict(answer)}}},
            "400": BAD,
            "401": {"description": "no token"},
            "503": {"description": "the books cannot be kept: nothing was decided"},
        },
    }


def _decide(words: Words, choices: int, limits: RequestLimits) -> dict[str, Any]:
    numbers = [
        _number(one, low, high)
        for one, low, high in zip(
            words.fields, words.low.tolist(), words.high.tolist(), strict=True
        )
    ]
    named = {
        "type": "object",
        "properties": dict(zip(words.names, numbers, strict=True)),
        "required": list(words.names),
        "additionalProperties": False,
    }
    size = len(words.names)
    listed = {"type": "array", "prefixItems": numbers, "minItems": size, "maxItems": size}
    cost: dict[str, Any] = {"type": "number", "minimum": 0}
    text = {"type": "string", "maxLength": LONGEST_TEXT}
    properties: dict[str, Any] = {
        "id": text,
        "observation": {"anyOf": [named, listed]},
        "unit": {"anyOf": [{**text, "minLength": 1}, _WHOLE]},
        "hour": {"type": "number", "minimum": 0, "exclusiveMaximum": 24},
        "cost": cost,
        "context": {
            "type": "object",
            "maxProperties": limits.context,
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
    }
    if choices:
        several = {"type": "array", "minItems": choices, "maxItems": choices}
        properties["mask"] = {**several, "items": {"type": "boolean"}}
        properties["cost"] = {"anyOf": [cost, {**several, "items": cost}]}
    return {
        "type": "object",
        "properties": {
            "decision": {"const": words.decision},
            "decisions": {
                "type": "array",
                "minItems": 1,
                "maxItems": limits.decisions,
                "items": {
                    "type": "object",
                    "properties": properties,
                    "required": ["observation"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["decisions"],
        "additionalProperties": False,
    }


def _number(one: Mapping[str, Any], low: float, high: float) -> dict[str, Any]:
    said = "; ".join(str(one[name]) for name in ("meaning", "unit") if one.get(name))
    number: dict[str, Any] = {"type": ["number", "null"], "description": said}
    if np.isfinite(low):
        number["minimum"] = low
    if np.isfinite(high):
        number["maximum"] = high
    return number


def _settle(limits: RequestLimits) -> dict[str, Any]:
    one = {
        "type": "object",
        "properties": {
            "receipt": {**_WHOLE, "minimum": 0},
            "spent": {"type": "number", "minimum": 0},
        },
        "required": ["receipt", "spent"],
    }
    several = {"type": "array", "minItems": 1, "maxItems": limits.decisions, "items": one}
    return {
        "type": "object", "properties": {"settlements": several}, "required": ["settlements"],
    }  # fmt: skip


_DECIDED: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "decision": {"type": "string"},
        "policy": {"type": "string"},
        "decisions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "decision_id": {"type": "string"},
                    "id": {"type": "string"},
                    "action": {"type": "object"},
                    "propensity": {"type": ["number", "null"], "minimum": 0},
                    "reasons": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "reason": {"type": "string"},
                                "meaning": {"type": "string"},
                            },
                        },
                    },
                    "receipt": {"type": "integer"},
                },
                "required": ["decision_id", "action", "propensity", "reasons"],
            },
        },
    },
    "required": ["decision", "policy", "decisions"],
}
