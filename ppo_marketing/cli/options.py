"""What the commands share: their options, and the configuration made of them."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppo_marketing.errors import UserError

if TYPE_CHECKING:
    from ppo_marketing.config import RunConfig


DecisionName = Annotated[str, typer.Argument(help="The decision type: a folder of envs/.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="A YAML file; flags override it.")
]
Seed = Annotated[int | None, typer.Option(help="Fixes every draw of the run.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where results go.")]
Columns = Annotated[
    Path | None, typer.Option(help="YAML: canonical column name -> the name in your file.")
]
ReaderName = Annotated[
    str | None, typer.Option("--reader", help="A named reader of a known format.")
]
ReaderOption = Annotated[
    list[str] | None, typer.Option("--reader-option", help="NAME=NUMBER; may be repeated.")
]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE, a setting of the environment (YAML); may be repeated."),
]
Steps = Annotated[int | None, typer.Option("--steps", help="Environment steps of training.")]
AcceptFidelity = Annotated[
    str | None,
    typer.Option(
        "--accept-failed-fidelity",
        help="Train although the simulator failed its checks; the reason is recorded.",
    ),
]


def account() -> str:
    """The account that a command runs under."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have them
        return f"uid {os.getuid()}"


def config_from(path: Path | None, **flags: Any) -> RunConfig:
    """Return the configuration of a file, overridden by the flags that were set."""
    from ppo_marketing.config import load_config

    return load_config(path, _given(flags))


def log_flags(
    log: Path | None, columns: Path | None, reader: str | None, options: list[str] | None
) -> dict[str, Any]:
    """Return the `log` section that the flags describe."""
    from ppo_marketing.config import read_columns

    return _given(
        {
            "path": log,
            "columns": None if columns is None else read_columns(columns),
            "reader": reader,
            "reader_options": named_values(options),
        }
    )


def named_values(pairs: list[str] | None) -> dict[str, Any]:
    """Return NAME=VALUE pairs as values, read as YAML.

    Raises:
        UserError: a pair has no `=`, or its value is not YAML.
    """
    import yaml

    wrong = [pair for pair in pairs or [] if "=" not in pair]
    if wrong:
        raise UserError(f"write NAME=VALUE, not {', '.join(wrong)}")
    values = {}
    for pair in pairs or []:
        name, value = pair.split("=", 1)
        try:
            values[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"{pair} cannot be read: the value is not YAML ({error})") from error
    return values


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were set, on every level."""
    kept: dict[str, Any] = {}
    for name, value in flags.items():
        inner = _given(value) if isinstance(value, dict) else value
        if inner is not None and inner != {}:
            kept[name] = inner
    return kept
