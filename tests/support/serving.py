"""Servers for tests: bundles made in milliseconds, and a client that needs no socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from envs import load_decision
from ppo_marketing.export.bundle import bundle_files
from ppo_marketing.export.loading import LIVE
from ppo_marketing.export.sealed import as_json
from ppo_marketing.export.whole_folder import write_whole
from ppo_marketing.guardrails import GuardrailLimits
from ppo_marketing.guardrails.section import GuardrailsSection
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.serve.app import application
from ppo_marketing.serve.server import Server, opened
from ppo_marketing.serve.settings import ServeSettings
from tests.support.agents import agent_of, states

LIMITS = "the decision's own"


def plain_bundle(folder: Path, kind: str, limits: GuardrailLimits | None, *, seed: int = 0) -> Path:
    """A bundle of an agent of some kind of action, without words."""
    agent = agent_of(kind, seed, hidden=(8,))
    observation, mask = states(agent, 8)
    files = bundle_files(
        agent, observation=observation, mask=mask, limits=limits, about={"decision": "shelf"},
        documents={}, manifest={"decision": "shelf"},
    )  # fmt: skip
    write_whole(folder, files)
    return folder


@cache
def _world(decision: str) -> Any:
    card = load_decision(decision)
    return card.true_world(card.presets[0], 8, card.sample_settings(), np.random.default_rng(3))


@cache
def _files(decision: str, seed: int) -> dict[str, bytes]:
    card, world = load_decision(decision), _world(decision)
    rng = np.random.default_rng(seed)
    config = PPOConfig(start="random", hidden=(8,))
    agent = Agent.create(world.observation_space, world.action_space, config, rng)
    state = world.initial(8, rng)
    assert card.live_form is not None
    form = card.live_form(world, None)
    space = world.observation_space
    fields = [
        {**asdict(field), "low": float(low), "high": float(high)}
        for field, low, high in zip(form.fields, space.low, space.high, strict=True)
    ]
    live = {
        "fields": fields,
        "choices": [dict(one) for one in form.choices],
        "amounts": [asdict(one) for one in form.amounts],
        "logged": dict(form.logged),
    }
    terms = {} if form.terms is None else {LIVE: as_json(dict(form.terms))}
    return bundle_files(
        agent,
        observation=world.observe(state),
        mask=world.action_mask(state),
        limits=GuardrailsSection().limits(world.action_space),
        about={"decision": decision, "live": live},
        documents=terms,
        manifest={"decision": decision},
    )


def decision_bundle(folder: Path, decision: str, *, seed: int = 0) -> Path:
    """A bundle of a decision type, its agent never trained, played in the generator's world."""
    write_whole(folder, _files(decision, seed))
    return folder


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The answer's values."""
        return json.loads(self.content)


class Client:
    """Asks an application in this process; `loop` lives as long as the test."""

    def __init__(self, server: Server) -> None:
        self.server, self.app = server, application(server)
        self.loop = asyncio.new_event_loop()

    def ask(self, method: str, address: str, content: bytes = b"", **headers: str) -> Answer:
        """One request; underscores of header names are hyphens."""
        return self.loop.run_until_complete(self._ask(method, address, content, headers))

    def post(self, address: str, values: Any, **headers: str) -> Answer:
        """One request with JSON."""
        return self.ask("POST", address, json.dumps(values).encode(), **headers)

    async def _ask(
        self, method: str, address: str, content: bytes, headers: Mapping[str, str]
    ) -> Answer:
        parts = urlsplit(address)
        sent: list[Any] = []
        waiting = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> Any:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": parts.path, "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(), "root_path": "", "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            ],
        }  # fmt: skip
        await self.app(scope, receive, send)
        start = sent[0]
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], found, b"".join(one.get("body", b"") for one in sent[1:]))


@contextmanager
def served(bundle: Path, folder: Path, **settings: Any) -> Iterator[Client]:
    """A client of a bundle's server, closed afterwards as a server that stops is."""
    with opened(bundle, ServeSettings(folder=str(folder), **settings)) as server:
        client = Client(server)
        try:
            yield client
        finally:
            client.loop.close()
