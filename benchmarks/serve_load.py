"""A served bundle under load: 500 requests a second over 16 connections for a minute.

Bars: p99 below 5 ms, no error, memory flat; start-up below 1 s and 150 MB resident. Decisions of
a bundle, and the bidder with its notices: every bid is told of, one in ten as won. Beside them what
the server answers as fast as it can. Server and generator are two processes on the same machine.
Writes results/serve_load.json.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.load import Heard, Load, Request, as_fast_as_it_answers, at_rate
from benchmarks.report import write_result
from tests.support.serving import decision_bundle

RATE, CONNECTIONS = 500.0, 16
P99_MS, START_SECONDS, START_MB = 5.0, 1.0, 150.0
LARGEST_GROWTH = 0.05
"""Of resident memory after the first third: what allocators do by themselves is about half."""
STARTS = 5


@contextmanager
def server(bundle: Path, folder: Path) -> Iterator[tuple[psutil.Process, int, float]]:
    """A served bundle in a process of its own: the process, its port, seconds to start."""
    command = [sys.executable, "-m", "ppo_marketing", "serve", str(bundle), "--port", "0"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--folder", str(folder)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        took = time.perf_counter() - began
        found = re.search(r":(\d+)$", line)
        assert found is not None, line + process.stderr.read()
        yield psutil.Process(process.pid), int(found[1]), took
    finally:
        process.terminate()
        process.wait()


def post(path: str, values: Any) -> bytes:
    content = json.dumps(values).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


class Deciding:
    """Asks for one decision a request."""

    def __init__(self, size: int) -> None:
        self._bytes = post("/v1/decide", {"decisions": [{"observation": [0.25] * size}]})

    def request(self) -> bytes:
        """What is asked next."""
        return self._bytes

    def heard(self, status: int, content: bytes) -> None:
        """What was answered."""
        assert status != 200 or b'"action"' in content


class Bidding:
    """Asks for bids and tells of their fate: every second request is a notice."""

    def __init__(self) -> None:
        self._notices: deque[bytes] = deque()
        self._number = 0
        self.bids = self.wins = 0

    def request(self) -> bytes:
        """What is asked next."""
        if self._notices:
            return self._notices.popleft()
        self._number += 1
        imp = {
            "id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 1e-5, "bidfloorcur": "USD",
            "metric": [{"type": "click_through_rate", "value": 1e-5}],
        }  # fmt: skip
        return post(
            "/openrtb2/bid",
            {
                "id": str(self._number), "imp": [imp], "at": 2, "tmax": 120, "cur": ["USD"],
                "site": {"id": "s", "domain": "example.com"}, "device": {"ua": "x" * 120, "lmt": 0},
                "user": {"id": "u"}, "regs": {"coppa": 0, "gdpr": 0},
            },
        )  # fmt: skip

    def heard(self, status: int, content: bytes) -> None:
        """What was answered."""
        if b'"seatbid"' not in content:
            return
        (bid,) = json.loads(content)["seatbid"][0]["bid"]
        self.bids += 1
        win = self.bids % 10 == 0
        self.wins += win
        address = bid["nurl" if win else "lurl"]
        address = address.replace("${AUCTION_PRICE}", str(bid["price"] / 2))
        address = address.replace("${AUCTION_CURRENCY}", "USD").replace("${AUCTION_LOSS}", "102")
        parts = urlsplit(address)
        self._notices.append(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nhost: x\r\n\r\n".encode())


async def watched(process: psutil.Process, readings: list[float]) -> None:
    while True:
        readings.append(process.memory_info().rss / 2**20)
        await asyncio.sleep(0.5)


async def measured(
    process: psutil.Process, port: int, asking: Deciding | Bidding, seconds: float
) -> dict[str, Any]:
    request: Request = asking.request
    heard: Heard = asking.heard
    await at_rate(port, request, heard, rate=200, seconds=2, connections=CONNECTIONS)  # warm
    memory: list[float] = []
    watching = asyncio.create_task(watched(process, memory))
    before = _cpu(process)
    load = await at_rate(port, request, heard, rate=RATE, seconds=seconds, connections=CONNECTIONS)
    used = _cpu(process) - before
    watching.cancel()
    most = await as_fast_as_it_answers(
        port, request, heard, seconds=min(seconds, 10), connections=CONNECTIONS
    )
    third = max(1, len(memory) // 3)
    settled, last = statistics.median(memory[third : 2 * third] or memory), memory[-1]
    errors = load.broken + sum(n for status, n in load.statuses.items() if status >= 300)
    latency = load.milliseconds(0.5, 0.9, 0.99, 0.999, 1.0)
    growth = last / settled - 1
    return {
        "requests": len(load.seconds),
        "per_second": round(len(load.seconds) / load.lasted, 1),
        "milliseconds": latency,
        "server_cpu_microseconds": round(1e6 * used / max(1, len(load.seconds))),
        "errors": errors,
        "statuses": {str(status): n for status, n in sorted(load.statuses.items())},
        "memory_mb": {"settled": round(settled, 1), "last": round(last, 1)},
        "memory_growth": round(growth, 4),
        "saturation": _saturation(most),
        "passed": latency["p99"] < P99_MS and errors == 0 and growth < LARGEST_GROWTH,
    }


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _saturation(load: Load) -> dict[str, Any]:
    return {
        "per_second": round(len(load.seconds) / load.lasted),
        "milliseconds": load.milliseconds(0.5, 0.99),
        "errors": load.broken + sum(n for status, n in load.statuses.items() if status >= 300),
    }


def started(bundle: Path, folder: Path) -> dict[str, Any]:
    """Medians over a few starts; files are in the cache, as after any restart."""
    seconds, resident = [], []
    for number in range(STARTS):
        with server(bundle, folder / str(number)) as (process, _, took):
            seconds.append(took)
            resident.append(process.memory_info().rss / 2**20)
    took, mb = statistics.median(seconds), statistics.median(resident)
    passed = took < START_SECONDS and mb < START_MB
    return {"seconds": round(took, 3), "resident_mb": round(mb, 1), "passed": passed}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    found: dict[str, Any] = {}
    load_before = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bundles = {name: decision_bundle(folder / name, name) for name in ("bidding", "sequencing")}
        found["start"] = started(bundles["bidding"], folder / "starts")
        print("start", found["start"])
        gc.freeze()
        gc.disable()
        size = len(
            json.loads((bundles["sequencing"] / "golden.json").read_text())["observation"][0]
        )
        for name, bundle, asking in (
            ("decide", bundles["sequencing"], Deciding(size)),
            ("bidder", bundles["bidding"], Bidding()),
        ):
            with server(bundle, folder / f"of {name}") as (process, port, _):
                found[name] = asyncio.run(measured(process, port, asking, seconds))
            if isinstance(asking, Bidding):
                found[name] |= {"bids": asking.bids, "wins": asking.wins}
            print(name, found[name])
    config = {
        "rate": RATE, "connections": CONNECTIONS, "seconds": seconds, "load_before": load_before,
        "bars": {
            "p99_ms": P99_MS, "memory_growth": LARGEST_GROWTH, "start_seconds": START_SECONDS,
            "start_mb": START_MB,
        },
    }  # fmt: skip
    write_result("serve_load", config, found)


if __name__ == "__main__":
    main()
