"""Servers that are killed, told to stop or given a damaged bundle: real processes, real sockets."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ppo_marketing.serve.decision_log import read_lines
from tests.support.serving import decision_bundle

BUDGET_TOTAL = 0.12
REQUEST = {
    "id": "1",
    "imp": [
        {
            "id": "1",
            "banner": {},
            "metric": [{"type": "click_through_rate", "value": 0.5}],
        }
    ],
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decision_bundle(tmp_path_factory.mktemp("killed") / "bundle", "bidding")


def started(bundle: Path, folder: Path, **settings: Any) -> subprocess.Popen[str]:
    config = folder.with_suffix(".yaml")
    # JSON is YAML.
    config.write_text(json.dumps({"live": {"budget_total": BUDGET_TOTAL}, **settings}))
    command = [sys.executable, "-m", "ppo_marketing", "serve", str(bundle), "--port", "0"]
    return subprocess.Popen(
        [*command, "--folder", str(folder), "--config", str(config)],
        stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
    assert found is not None, line + process.stderr.read()
    return int(found[1])


@contextmanager
def running(bundle: Path, folder: Path, **settings: Any) -> Iterator[tuple[Any, int]]:
    process = started(bundle, folder, **settings)
    try:
        yield process, port_of(process)
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def post(connection: http.client.HTTPConnection, address: str, values: Any) -> tuple[int, Any]:
    connection.request("POST", address, json.dumps(values))
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, json.loads(content) if content else None


def prices_until(port: int, enough: int) -> tuple[list[float], bool]:
    """Prices of bids that came back, currency; whether the budget ended them."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    prices: list[float] = []
    while len(prices) < enough:
        status, found = post(connection, "/openrtb2/bid", REQUEST)
        if status == 204:
            return prices, True
        prices.append(found["seatbid"][0]["bid"][0]["price"] / 1000)
    return prices, False


def test_a_server_killed_between_bids_never_bids_above_its_budget_afterwards(
    bundle: Path, tmp_path: Path
) -> None:
    bid, ended = [], False
    for kills in (7, 12, 1000):
        with running(bundle, tmp_path / "state") as (process, port):
            prices, ended = prices_until(port, kills)
            bid += prices
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert ended
    assert len(bid) > 20
    assert BUDGET_TOTAL - 0.004 < round(sum(bid), 9) <= BUDGET_TOTAL
    # What the killed ones had logged is finished by the next, and readable.
    lines = [
        line
        for path in (tmp_path / "state" / "decisions").glob("*.jsonl*")
        for line in read_lines(path)
        if line["row"]["bid_cpm"] > 0
    ]
    assert len(lines) >= len(bid)


def test_a_server_killed_while_bids_are_in_flight_never_bids_above_its_budget_afterwards(
    bundle: Path, tmp_path: Path
) -> None:
    """Requests are sent ahead, so that the kill falls in the middle of some."""
    received, content = 0.0, json.dumps(REQUEST).encode()
    ahead = b"POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (
        len(content),
        content,
    )
    for number in range(3):
        with (
            running(bundle, tmp_path / "state") as (process, port),
            socket.create_connection(("127.0.0.1", port), timeout=10) as pipe,
        ):
            pipe.sendall(ahead * 40)
            answers = b""
            while answers.count(b'"price"') < 3 + 4 * number:
                part = pipe.recv(4096)
                answers += part
                if b" 204 " in answers or not part:
                    break
            process.send_signal(signal.SIGKILL)
            process.wait()
            with suppress(OSError):  # the connection dies with the server
                while part := pipe.recv(65536):
                    answers += part
        received += sum(float(p) for p in re.findall(rb'"price":([0-9.]+)', answers)) / 1000
    assert 0.02 < round(received, 9) <= BUDGET_TOTAL


def test_sigterm_lets_go_of_everything_and_says_so(bundle: Path, tmp_path: Path) -> None:
    with running(bundle, tmp_path / "state") as (process, port):
        prices, _ = prices_until(port, 3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    snapshot = (tmp_path / "state" / "live" / "purse-0" / "snapshot.json").read_bytes()
    spent = json.loads(snapshot.partition(b" ")[2])["state"]["state"]["spent_total"]
    assert spent == pytest.approx(sum(prices) * 1e9)
    assert not list((tmp_path / "state" / "decisions").glob("*.partial"))


def test_a_hang_up_signal_looks_at_the_bundle_and_keeps_the_old_one_where_it_is_damaged(
    tmp_path: Path,
) -> None:
    mine = decision_bundle(tmp_path / "bundle", "bidding")
    with running(mine, tmp_path / "state", watch_seconds=3600) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

        def ready() -> Any:
            connection.request("GET", "/readyz")
            return json.loads(connection.getresponse().read())

        first = ready()["policy"]
        decision_bundle(mine, "bidding", seed=4)
        graph = (mine / "policy.onnx").read_bytes()
        (mine / "policy.onnx").write_bytes(graph[:-1] + bytes([graph[-1] ^ 1]))
        process.send_signal(signal.SIGHUP)
        assert waited_for(lambda: bool(ready()["problems"]))
        assert ready()["policy"] == first
        (mine / "policy.onnx").write_bytes(graph)
        process.send_signal(signal.SIGHUP)
        assert waited_for(lambda: ready()["policy"] != first)
        assert ready()["problems"] == []


def waited_for(condition: Any) -> bool:
    for _ in range(400):
        if condition():
            return True
        time.sleep(0.025)
    return False


def test_a_second_server_of_the_same_folder_exits_75_and_a_damaged_journal_6(
    bundle: Path, tmp_path: Path
) -> None:
    with running(bundle, tmp_path / "state") as (process, port):
        prices_until(port, 3)
        second = started(bundle, tmp_path / "state")
        assert second.wait(60) == 75
        assert second.stderr is not None
        second.stderr.close()
        process.send_signal(signal.SIGKILL)
        process.wait()
    (journal,) = (tmp_path / "state" / "live" / "purse-0").glob("journal-*")
    content = bytearray(journal.read_bytes())
    content[20] ^= 1
    journal.write_bytes(content)
    third = started(bundle, tmp_path / "state")
    assert third.wait(60) == 6
    assert third.stderr is not None
    assert "not what was written" in third.stderr.read()
    third.stderr.close()
