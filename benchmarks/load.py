"""A load generator: requests at a fixed rate over a few connections, timed from when they were due.

An open loop: a server that falls behind does not slow the clock down, and waiting counts
(Tene's coordinated omission). HTTP/1.1 over asyncio's transports, nothing else: a library's client
would be slower than the server that it measures.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

Request = Callable[[], bytes]
Heard = Callable[[int, bytes], None]


@dataclass
class Load:
    """What a run found; seconds from due to answered."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    lasted: float = 0.0

    def milliseconds(self, *quantiles: float) -> dict[str, float]:
        """Quantiles of the latency."""
        ordered = sorted(self.seconds)
        last = len(ordered) - 1
        return {
            f"p{100 * q:g}": round(1000 * ordered[min(last, int(q * len(ordered)))], 3)
            for q in quantiles
        }


class _Connection(asyncio.Protocol):
    """One request at a time; what is due meanwhile waits its turn."""

    def __init__(self, load: Load, heard: Heard) -> None:
        self._load, self._heard = load, heard
        self._waiting: deque[tuple[float, Request]] = deque()
        self._due: float | None = None
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.on_idle: Callable[[_Connection], None] | None = None

    @property
    def owes(self) -> int:
        """Requests that are not answered."""
        return len(self._waiting) + (self._due is not None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to ask."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """What was not answered never will be."""
        self._load.broken += self.owes
        self._waiting.clear()
        self._due = self._transport = None

    def ask(self, due: float, request: Request) -> None:
        """Send a request as soon as its turn comes; on a lost connection it never does."""
        if self._transport is None:
            self._load.broken += 1
            return
        self._waiting.append((due, request))
        self._next()

    def _next(self) -> None:
        if self._due is None and self._waiting and self._transport is not None:
            self._due, request = self._waiting.popleft()
            self._transport.write(request())

    def data_received(self, data: bytes) -> None:
        """A part of an answer, or all of it."""
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or self._due is None:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            if line.lower().startswith(b"content-length:"):
                length = int(line[15:])
        if len(rest) < length:
            return
        status = int(head[9:12])
        self._load.seconds.append(time.perf_counter() - self._due)
        self._load.statuses[status] += 1
        self._due, self._buffer = None, rest[length:]
        self._heard(status, rest[:length])
        self._next()
        if self._due is None and self.on_idle is not None:
            self.on_idle(self)


async def _connected(port: int, connections: int, load: Load, heard: Heard) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(load, heard), "127.0.0.1", port)
        for _ in range(connections)
    ]
    return [protocol for _, protocol in made]


async def at_rate(
    port: int, request: Request, heard: Heard, *, rate: float, seconds: float, connections: int
) -> Load:
    """`rate` requests a second for so long, each timed from when it was due."""
    load = Load()
    lines = await _connected(port, connections, load, heard)
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        lines[number % connections].ask(due, request)
    return await _finished(load, lines, began)


async def as_fast_as_it_answers(
    port: int, request: Request, heard: Heard, *, seconds: float, connections: int
) -> Load:
    """A closed loop: every connection asks again as soon as it is answered."""
    load = Load()
    lines = await _connected(port, connections, load, heard)
    began = time.perf_counter()

    def again(line: _Connection) -> None:
        if time.perf_counter() - began < seconds:
            line.ask(time.perf_counter(), request)

    for line in lines:
        line.on_idle = again
        again(line)
    await asyncio.sleep(seconds)
    return await _finished(load, lines, began)


async def _finished(load: Load, lines: Sequence[_Connection], began: float) -> Load:
    for _ in range(2000):
        if not any(line.owes for line in lines):
            break
        await asyncio.sleep(0.01)
    load.lasted = time.perf_counter() - began
    load.broken += sum(line.owes for line in lines)
    for line in lines:
        if line._transport is not None:
            line._transport.abort()
    return load
