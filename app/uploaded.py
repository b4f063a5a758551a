"""Small tables that people hand in to a page: bounded, read, and gone again."""

from __future__ import annotations

from envs.core.log_problems import LogError, Problems
from envs.core.log_source import open_log
from ppo_marketing.errors import UserError
from ppo_marketing.uploads import MEGABYTE, UploadLimits, held

__all__ = ["LIMITS", "held", "names_of"]

LIMITS = UploadLimits(
    bytes=20 * MEGABYTE, unpacked_bytes=200 * MEGABYTE, rows=1_000_000, columns=200
)


def names_of(content: bytes) -> list[str]:
    """The columns of a table; raises UserError where it is none, or too large."""
    with held(content, LIMITS) as path:
        try:
            raw = open_log(path, Problems("the file"))
        except LogError as error:
            raise UserError(str(error)) from error
        return list(raw.names)
