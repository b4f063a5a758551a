"""How a bundle is served: a YAML file read strictly, without pydantic."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ppo_marketing.errors import UserError
from ppo_marketing.guardrails.plain import from_plain, refuse_unless

LARGEST_BATCH = 4096


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """What a request may be at most; beyond it the answer is 400 and nothing is parsed."""

    bytes: int = 262_144
    """As sent, and again after decompression: a batch of 64 decisions has a tenth of it."""
    depth: int = 32
    """Of nested lists and mappings; OpenRTB's deepest objects have about ten."""
    decisions: int = 64
    """In one request: guards take up to 0.1 ms each, and requests wait for each other."""
    context: int = 64
    """Further columns that one decision may bring for the log."""

    def __post_init__(self) -> None:
        most = f"from 1 to {LARGEST_BATCH}"
        refuse_unless(
            "limits on requests",
            ("bytes", self.bytes, 1024 <= self.bytes <= 2**26, "from 1,024 to 67,108,864"),
            ("depth", self.depth, 2 <= self.depth <= 100, "from 2 to 100"),
            ("decisions", self.decisions, 1 <= self.decisions <= LARGEST_BATCH, most),
            ("context", self.context, 0 <= self.context <= 1000, "from 0 to 1,000"),
        )


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """The decision log: JSON lines in files that are rotated by size and by day."""

    bytes: int = 67_108_864
    files: int = 0
    """How many finished files are kept; 0: all, since the next calibration reads them."""

    def __post_init__(self) -> None:
        refuse_unless(
            "the decision log",
            ("bytes", self.bytes, self.bytes >= 1000, "1,000 or more"),
            ("files", self.files, self.files >= 0, "0 or more"),
        )


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Where and how a bundle is served; everything has a default that is safe on one machine."""

    host: str = "127.0.0.1"
    port: int = 8080
    token_variable: str | None = None
    """The environment variable that holds the bearer token; any other address than loopback needs
    one."""
    folder: str = "data/serve"
    """Books, decision log and secret; one server at a time has it."""
    act: Literal["most_likely", "sample"] = "most_likely"
    """`sample` draws from the policy, so that the next log can judge other policies by it."""
    fallback: float | None = None
    """The action where the policy cannot answer; none: nothing, or the amount nearest to 0."""
    sync_seconds: float = 0.2
    """Books are on disk after every decision; a power cut can lose so much. 0: nothing, slower."""
    watch_seconds: float = 2.0
    requests: RequestLimits = RequestLimits()
    log: LogSettings = LogSettings()
    live: Mapping[str, Any] = field(default_factory=dict)
    """What the decision's own protocol is told; its page lists it."""

    def __post_init__(self) -> None:
        refuse_unless(
            "the settings of serve",
            ("port", self.port, 0 <= self.port <= 65535, "from 0 to 65,535"),
            ("sync_seconds", self.sync_seconds, 0 <= self.sync_seconds <= 60, "from 0 to 60"),
            ("watch_seconds", self.watch_seconds, self.watch_seconds >= 0.1, "0.1 or more"),
            (
                "token_variable",
                self.token_variable,
                self.token_variable is not None or _loopback(self.host),
                f"given where host is {self.host}: others than this machine could decide",
            ),
        )

    def token(self) -> str | None:
        """The token; UserError where its variable is named and not set."""
        if self.token_variable is None:
            return None
        token = os.environ.get(self.token_variable, "")
        if len(token) < 16:
            raise UserError(
                f"the environment variable {self.token_variable} must hold a token of at least 16 "
                "characters"
            )
        return token


def read_settings(path: Path | None, flags: Mapping[str, Any]) -> ServeSettings:
    """The settings of a YAML file under the flags that were set.

    Raises:
        UserError: lists every unknown name, wrong type and contradiction.
    """
    values: dict[str, Any] = {}
    if path is not None:
        import yaml

        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"{path} cannot be read: {error}") from error
        if not isinstance(found, dict):
            raise UserError(f"{path} must hold `name: value` lines")
        values = found
    values = {**values, **{name: value for name, value in flags.items() if value is not None}}
    live = values.pop("live", {})
    if not isinstance(live, dict):
        raise UserError(f"live is {live!r}: it must be `name: value` pairs")
    # The protocol reads its own section: what it may hold is not for this package to know.
    return replace(from_plain(ServeSettings, values, "the settings of serve"), live=live)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
