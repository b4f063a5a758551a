"""What the decisions refuse, in the engine's own errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from envs.core.calibration_folder import DamagedFile
from envs.core.log import LogError
from ppo_marketing.errors import IntegrityError, UserError


@contextmanager
def as_user_error() -> Iterator[None]:
    """Turn what the decisions refuse (their ValueErrors) into the engine's bad-data errors."""
    try:
        yield
    except DamagedFile as error:
        raise IntegrityError(str(error)) from error
    except (LogError, ValueError) as error:
        raise UserError(str(error)) from error
