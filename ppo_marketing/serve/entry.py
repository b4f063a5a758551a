"""One path as a web application: sender, size and form are checked before anything is answered."""

from __future__ import annotations

import hmac
import json
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from envs.core.live import Asked, Reply
from ppo_marketing.serve.body import BadRequest, read_body
from ppo_marketing.serve.metrics import Metrics
from ppo_marketing.serve.settings import RequestLimits

Answer = Callable[[Asked], Reply]
MOST_QUERY = 8192


class Entry:
    """An endpoint for Starlette's router; `token` is None where nobody is asked for one."""

    def __init__(
        self, path: str, answer: Answer, limits: RequestLimits, metrics: Metrics, token: str | None
    ) -> None:
        self._path, self._answer, self._limits, self._metrics = path, answer, limits, metrics
        self._token = None if token is None else b"Bearer " + token.encode()
        self._seconds = metrics.seconds.labels(path)

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        began = time.perf_counter()
        headers = dict(scope["headers"])
        reply = await self._replied(scope, headers, receive, began)
        await _sent(send, reply)
        self._seconds.observe(time.perf_counter() - began)
        self._metrics.requests.labels(self._path, str(reply.status)).inc()

    async def _replied(
        self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes], receive: Any, began: float
    ) -> Reply:
        given = headers.get(b"authorization", b"")
        if self._token is not None and not hmac.compare_digest(given, self._token):
            return Reply(401, {"error": "a bearer token is needed"}, "token")
        try:
            body = await read_body(receive, headers, self._limits)
            query = scope.get("query_string", b"")
            if len(query) > MOST_QUERY:
                raise BadRequest(f"the query is longer than {MOST_QUERY} bytes")
            asked = Asked(
                body,
                dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)),
                time.time(),
                lambda: time.perf_counter() - began,
            )
            return self._answer(asked)
        except BadRequest as error:
            return Reply(400, {"error": "bad request", "problems": list(error.problems)}, "bad")
        except Exception:
            # A server that many requests share answers one that broke it, and lives.
            traceback.print_exc()
            self._metrics.alerts.labels("error").inc()
            return Reply(500, {"error": "an error of this server's own; it was counted"}, "error")


async def _sent(send: Any, reply: Reply) -> None:
    body = b"" if reply.body is None else json.dumps(reply.body, separators=(",", ":")).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    if reply.body is not None:
        headers.append((b"content-type", b"application/json"))
    elif reply.reason:
        headers.append((b"x-reason", reply.reason.encode()))
    if reply.status == 204:
        headers = headers[1:]  # 204 has no length
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
