"""The load generator: what is slow is timed as slow, what fails is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.load import Load, as_fast_as_it_answers, at_rate

ASKED = b"GET / HTTP/1.1\r\n\r\n"
Answer = Callable[[int], Awaitable[bytes]]


def loaded(answer: Answer, **run: float) -> tuple[Load, list[tuple[int, bytes]]]:
    """A run against a server that answers the n-th request with `answer(n)`."""
    heard: list[tuple[int, bytes]] = []
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await reader.readuntil(b"\r\n\r\n"):
            asked += 1
            content = await answer(asked)
            if not content:
                writer.close()
                return
            writer.write(content[:20])  # in two parts, as networks do
            await writer.drain()
            writer.write(content[20:])

    async def run_it() -> Load:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        request, hears = (lambda: ASKED), (lambda status, body: heard.append((status, body)))
        if "rate" in run:
            load = await at_rate(
                port, request, hears, rate=run["rate"], seconds=run["seconds"], connections=2
            )
        else:
            load = await as_fast_as_it_answers(
                port, request, hears, seconds=run["seconds"], connections=2
            )
        server.close()
        return load

    return asyncio.run(run_it()), heard


async def good(number: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_every_request_is_asked_and_heard() -> None:
    load, heard = loaded(good, rate=200.0, seconds=0.2)
    assert heard == [(200, b"ok")] * 40
    assert load.statuses == {200: 40}
    assert load.broken == 0
    assert len(load.seconds) == 40


def test_a_server_that_stalls_once_makes_all_wait_that_were_due_meanwhile() -> None:
    async def stalls(number: int) -> bytes:
        if number <= 2:
            await asyncio.sleep(0.3)
        return await good(number)

    load, _ = loaded(stalls, rate=100.0, seconds=0.3)
    # A closed loop would see two slow answers; 30 were due while the server stood still.
    assert sum(one > 0.05 for one in load.seconds) > 15


def test_statuses_and_answers_that_never_came_are_counted() -> None:
    async def fails(number: int) -> bytes:
        if number == 10:
            return b""
        if number == 5:
            return b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"
        return b"HTTP/1.1 204 No Content\r\n\r\n"

    load, heard = loaded(fails, rate=100.0, seconds=0.3)
    assert load.statuses[503] == 1
    assert load.statuses[204] == len(heard) - 1
    assert load.broken >= 1
    assert load.statuses.total() + load.broken == 30


def test_a_closed_loop_asks_as_soon_as_it_is_answered() -> None:
    load, heard = loaded(good, seconds=0.1)
    assert len(heard) > 20
    assert set(load.milliseconds(0.5, 0.99)) == {"p50", "p99"}
