"""Background jobs that do not pay for the imports again: the same worker, forked, not started."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tests.support.command import PROCESSES


class Forked:
    """What `subprocess.Popen` is to a job: a process in a session of its own, with its log."""

    def __init__(
        self, command: Sequence[str], *, stdout: IO[bytes], env: Mapping[str, str], **how: Any
    ) -> None:
        arguments = (command[-1], str(stdout.name), dict(env))
        self._process = PROCESSES.Process(target=_work, args=arguments)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def wait(self) -> None:
        """Until it has ended."""
        self._process.join()


def _work(folder: str, log: str, variables: dict[str, str]) -> None:
    from ppo_marketing.cli.worker import work

    os.setsid()
    os.environ.clear()
    os.environ.update(variables)
    for number in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), number)
    work(Path(folder))
