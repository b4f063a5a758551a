"""The app as people start it: by the command line, in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# A page is drawn and nothing runs any more: no running man, no spinner, nothing greyed.
SETTLED = (
    "!document.querySelector('[data-testid=stStatusWidget]')"
    " && !document.querySelector('[data-testid=stSpinner]')"
    " && !document.querySelector('[data-stale=true]')"
    " && !!document.querySelector('[data-testid=stMain] h1')"
)


@contextmanager
def served(project: Path, **settings: str) -> Iterator[tuple[str, int]]:
    """The app of a project: its address, and the process that serves it.

    `settings` are environment variables, for it and for the jobs that it starts.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ppo_marketing", "app", "--port", str(port), "--no-browser"]
    server = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PPO_MARKETING_PROJECT": str(project), "PYTHONPATH": str(REPOSITORY)}
        | settings,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(f"{url}/_stcore/health"):
            assert server.poll() is None, "the app ended before it answered"
            time.sleep(0.2)
        yield url, server.pid
    finally:
        server.terminate()
        server.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
