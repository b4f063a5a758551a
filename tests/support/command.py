"""`ppo-marketing` in a process of its own that does not pay for the imports again.

Each call is forked from a server that has imported them: its own memory, working folder, variables
and exit code, as from a shell. What is tested of the start itself, or by signals, starts Python
anew.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ppo_marketing.config import PROJECT

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.support.preloaded"])
OURS = ("app", "envs", "ppo_marketing", "tests")


def run_command(
    *arguments: str | Path,
    folder: Path = PROJECT,
    variables: Mapping[str, str] | None = None,
    code: Path = PROJECT,
) -> subprocess.CompletedProcess[str]:
    """Call `ppo-marketing` with these arguments, in `folder`, with `variables` beside our own.

    `code` is another copy of this repository, where that is what is to be called.
    """
    said = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "err")
        process = PROCESSES.Process(
            target=_main, args=(said, folder, {**os.environ, **(variables or {})}, out, err, code)
        )
        process.start()
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(
            said, process.exitcode, out.read_text("utf-8"), err.read_text("utf-8")
        )


def _main(
    arguments: list[str], folder: Path, variables: dict[str, str], out: Path, err: Path, code: Path
) -> None:
    from tests.support.stores import copy_store

    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = ["ppo-marketing", *arguments]
    if code != PROJECT:
        _import_from(code)
    from ppo_marketing.cli import main
    from ppo_marketing.tracking import tracker

    tracker._create_database = copy_store
    main()


def _import_from(code: Path) -> None:
    """Forget what was imported of this repository: what is imported from now on is another's."""
    import gymnasium

    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    for name in [name for name in gymnasium.registry if name.startswith("marketing/")]:
        del gymnasium.registry[name]
    sys.path[:] = [str(code), *(place for place in sys.path if Path(place).resolve() != PROJECT)]
    importlib.invalidate_caches()
