"""The errors a user can meet, each with the exit code the command line gives it.

UserError                 3   bad data or configuration
├── GateNotPassed         4   the evidence does not support the policy
├── Refused               5   a guardrail or an approval stands in the way
└── IntegrityError        6   a file is not what was written
TrainingDiverged          1   a loss, a gradient or a reward is no longer a finite number
AlreadyRunning           75   another job holds the lock
Interrupted         130/143   stopped by Ctrl-C or SIGTERM, after saving
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


class PpoMarketingError(Exception):
    """Base of every error this program raises on purpose; `exit_code` is what the shell sees."""

    exit_code = 1


class UserError(PpoMarketingError):
    """Bad data or configuration: the message lists every problem and what to do."""

    exit_code = 3


class GateNotPassed(UserError):
    """The evidence does not support the policy."""

    exit_code = 4


class Refused(UserError):
    """A guardrail or a missing approval stands in the way."""

    exit_code = 5


class IntegrityError(UserError):
    """A file is not what was written: its hash or its form is wrong."""

    exit_code = 6


class TrainingDiverged(PpoMarketingError):
    """A loss, a gradient or a reward is no longer a finite number; the last checkpoint is kept."""

    exit_code = 1


class AlreadyRunning(PpoMarketingError):
    """Another job holds the lock; try again when it has finished."""

    exit_code = 75


class Interrupted(PpoMarketingError):
    """Stopped by a signal after the state was saved; the same command resumes."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one most likely means; None where none is near."""
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return near[0] if near else None


def meant(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not known: the one that was meant, or all that there are."""
    names = tuple(known)
    near = closest(name, names)
    return f"known: {', '.join(names)}" if near is None else f"did you mean {near}?"


def below_one(counts: Mapping[str, int]) -> list[str]:
    """What to say of every count that is not at least one."""
    return [f"{name} is {n}: it must be at least 1" for name, n in counts.items() if n < 1]
