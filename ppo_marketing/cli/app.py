"""`app`: the analysts' app in a browser; the engine itself never imports it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def app(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8501,
    address: Annotated[
        str, typer.Option(help="Who may reach it: 127.0.0.1 is this machine alone.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open the analysts' app: data, simulator, training, what-if, evidence and release."""
    import importlib.util
    import subprocess

    from ppo_marketing.config import PROJECT
    from ppo_marketing.errors import UserError

    if importlib.util.find_spec("streamlit") is None:
        raise UserError("the app needs Streamlit: pip install -c constraints.txt -e .")
    command = [sys.executable, "-m", "app", "--port", str(port), "--address", address]
    # Streamlit reads .streamlit/config.toml of the folder that it is started in.
    server = subprocess.Popen([*command, *(["--browser"] if browser else [])], cwd=PROJECT)
    try:
        code = server.wait()
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait()
    if code not in (0, -2, 130):
        raise typer.Exit(1)
