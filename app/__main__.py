"""`python -m app` serves the app; `ppo-marketing app` runs this.

The engine's libraries are imported while the server starts, so that the first page need not wait
for them.
"""

from __future__ import annotations

import argparse
import importlib
import socket
import sys
import threading
import time
import urllib.request
import webbrowser
from pathlib import Path

MAIN = Path(__file__).parent / "main.py"
WARM = (
    "altair",
    "app.asked",
    "app.running",
    "ppo_marketing.overview",
    "ppo_marketing.gate",
)
PATIENCE_S = 60.0


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--browser", action="store_true")
    given = parser.parse_args()
    port = given.port or _free_port(given.address)
    url = f"http://{given.address}:{port}"
    print(f"ppo-marketing app: {url}  (Ctrl-C ends it; jobs that it started go on)", flush=True)
    threading.Thread(target=_warm, daemon=True).start()
    if given.browser:
        threading.Thread(target=_open_browser, args=(url,), daemon=True).start()
    from streamlit.web import cli

    flags = {"server.port": port, "server.address": given.address}
    sys.argv = ["streamlit", "run", str(MAIN), *(f"--{k}={v}" for k, v in flags.items())]
    cli.main(prog_name="streamlit")


def _warm() -> None:
    for name in WARM:
        importlib.import_module(name)
    envs = importlib.import_module("envs")
    for name in envs.decision_names():
        envs.load_decision(name)


def _open_browser(url: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                webbrowser.open(url)
                return
        except OSError:
            time.sleep(0.2)


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
