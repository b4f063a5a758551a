"""`serve`, `score` and `join`: an exported policy at work, and what comes of its decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BundleFolder = Annotated[Path, typer.Argument(help="The folder that `export` wrote.")]


def serve(
    bundle: BundleFolder,
    config_file: Annotated[
        Path | None, typer.Option("--config", "-c", help="A YAML file; flags override it.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="The address; other than this machine needs a token.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0: any that is free.")] = None,
    folder: Annotated[
        str | None, typer.Option(help="Books and decision log; one server at a time has it.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="The bundle's hash, kept elsewhere; another is refused.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Let books go on after a pause of over a month.")
    ] = False,
) -> None:
    """Answer live: what to do in each situation, behind the policy's guardrails.

    A newly exported bundle in the same folder takes over by itself, once it is verified.
    """
    from ppo_marketing.serve.run import serve as run
    from ppo_marketing.serve.settings import read_settings

    settings = read_settings(config_file, {"host": host, "port": port, "folder": folder})
    run(bundle, settings, sha256=sha256, resume=resume)
