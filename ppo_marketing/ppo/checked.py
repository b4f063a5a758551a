"""How frozen settings refuse what they are given: misspelt names, values out of range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ppo_marketing.errors import UserError


class Checked:
    """A value whose misspelt settings are refused, not ignored, where a configuration is read."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


def require(*requirements: tuple[str, Any, bool, str]) -> None:
    """Raise UserError that lists every (name, value, holds, allowed) that does not hold."""
    problems: Sequence[str] = [
        f"{name} is {value!r}; it must be {allowed}"
        for name, value, holds, allowed in requirements
        if not holds
    ]
    if problems:
        raise UserError("; ".join(problems))
