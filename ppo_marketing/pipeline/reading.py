"""A log read whole, and the settings that it is read with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envs.core.decision import Decision
from envs.core.log import LogTable, read_log
from ppo_marketing.config import LogSection, build
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.restricted_log import unrestricted


def read(decision: Decision, section: LogSection, cache: Path) -> LogTable:
    """The log, validated whole; less what its special ad category takes out."""
    assert section.path is not None
    with as_user_error():
        log = read_log(
            section.path,
            decision.schema,
            columns=section.columns or None,
            cache=cache,
            reader=section.reader,
            reader_options=section.reader_options or None,
        )
    return unrestricted(log, section.special_ad_category, section.protected, section.columns)


def given_settings(decision: Decision, given: Mapping[str, Any], base: Any) -> Any:
    """The decision's settings: the given ones over those of `base`."""
    return build(decision.settings_type, {**vars(base), **given}, decision.name)


def settle(decision: Decision, log: LogTable, settings: Any) -> Any:
    """The settings with what the log itself says filled in."""
    with as_user_error():
        return decision.settle(log, settings)
