"""The web application over a server: its paths, who may ask them, and the tasks beside them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ppo_marketing.serve.answering import answer_decide, answer_settle
from ppo_marketing.serve.entry import Answer, Entry
from ppo_marketing.serve.openapi import openapi
from ppo_marketing.serve.server import Server

TICK_SECONDS = 1.0


def application(server: Server) -> Starlette:
    """The paths of a server; the tasks beside them run while it does."""
    desk, limits = server.desk, server.settings.requests
    token = server.settings.token()
    described = openapi(server)

    def entry(path: str, answer: Answer, method: str, *, asks: bool = True) -> Route:
        guarded = Entry(path, answer, limits, desk.metrics, token if asks else None)
        return Route(path, guarded, methods=[method])

    async def reload(request: Request) -> Response:
        if token is None:
            return JSONResponse({"error": "set token_variable, or send SIGHUP"}, 403)
        if not _is(request, token):
            return JSONResponse({"error": "a bearer token is needed"}, 401)
        before = desk.champion.version
        await look(server, again=True)
        said = {"before": before, "policy": desk.champion.version, "refused": server.refused}
        return JSONResponse(said, 409 if server.refused else 200)

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(request: Request) -> Response:
        problems = [] if desk.logging else ["the decision log cannot be written"]
        if server.refused:
            problems.append(f"a new bundle was refused: {server.refused}")
        said = {
            "status": "ready",
            "decision": desk.champion.words.decision,
            "policy": desk.champion.version,
            "bundle": desk.champion.bundle.sha256,
            "problems": problems,
        }
        return JSONResponse(said)

    async def metrics(request: Request) -> Response:
        if not _is(request, token):
            return JSONResponse({"error": "a bearer token is needed"}, 401)
        return Response(desk.metrics.text(), media_type="text/plain; version=0.0.4")

    async def schema(request: Request) -> Response:
        return JSONResponse(described)

    routes = [
        entry("/v1/decide", lambda asked: answer_decide(desk, asked, limits), "POST"),
        entry("/v1/settle", lambda asked: answer_settle(desk, asked, limits), "POST"),
        Route("/admin/reload", reload, methods=["POST"]),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/openapi.json", schema),
    ]
    if server.service is not None:
        routes += [
            entry(one.path, one.answer, one.method, asks=not one.open)
            for one in server.service.endpoints
        ]
    return Starlette(routes=routes, lifespan=partial(_beside, server))


@contextlib.asynccontextmanager
async def _beside(server: Server, app: Starlette) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(_ticking(server)), asyncio.create_task(_watching(server))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ticking(server: Server) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        server.tick(time.time())


async def _watching(server: Server) -> None:
    while True:
        await asyncio.sleep(server.settings.watch_seconds)
        await look(server)


async def look(server: Server, *, again: bool = False) -> None:
    """Verify what lies in the bundle's folder beside the event loop, and swap to it on it."""
    found = await asyncio.to_thread(server.challenger, again=again)
    if found is not None:
        server.swap(found)


def _is(request: Request, token: str | None) -> bool:
    import hmac

    given = request.headers.get("authorization", "").encode()
    return token is None or hmac.compare_digest(given, b"Bearer " + token.encode())
