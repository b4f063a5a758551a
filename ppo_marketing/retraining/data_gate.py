"""May this log be trained on? Every check at once, as pure functions of what is known of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ppo_marketing.errors import UserError
from ppo_marketing.retraining.profile import LogFacts


@dataclass(frozen=True, kw_only=True)
class DataRules:
    """What a log must be like to be trained on; null leaves a check out.

    Raises UserError where a bound is out of range; all are listed.
    """

    most_hours_old: float | None = 72.0
    """Since the last row: a weekend, and a job that was late."""
    volume_change: float | None = 0.5
    """Of rows a day, against the last training: half more or half less is another feed."""
    most_duplicates: float = 0.01
    """Of rows that came twice: they are dropped, but many of them mean that a feed repeats."""
    empty_change: float = 0.05
    """Of a column's share of empty cells, against the last training."""
    scale_change: float | None = 10.0
    """Of the median of amounts, up or down: another currency, or cents for units."""

    def __post_init__(self) -> None:
        checks = (
            ("most_hours_old", self.most_hours_old, 0.0, math.inf),
            ("volume_change", self.volume_change, 0.0, math.inf),
            ("most_duplicates", self.most_duplicates, -1.0, 1.0),
            ("empty_change", self.empty_change, 0.0, 1.0),
            ("scale_change", self.scale_change, 1.0, math.inf),
        )
        problems = [
            f"{name} is {value}: it must be above {max(low, 0):g}"
            + ("" if math.isinf(high) else f" and at most {high:g}")
            for name, value, low, high in checks
            if value is not None and not low < value <= high
        ]
        if problems:
            raise UserError("; ".join(problems))


@dataclass(frozen=True)
class DataCheck:
    """One check: what was found, what is allowed, whether it holds."""

    name: str
    found: str
    allowed: str
    holds: bool


def freshness(last: str, now: datetime, rules: DataRules) -> DataCheck | None:
    """How old the last row is; None where nobody asks."""
    if rules.most_hours_old is None:
        return None
    hours = (now - datetime.fromisoformat(last)).total_seconds() / 3600
    return DataCheck(
        "freshness",
        f"its last row is of {last}, {hours:,.0f} hours ago",
        f"at most {rules.most_hours_old:g} hours",
        hours <= rules.most_hours_old,
    )


def checked(
    log: LogFacts, last: LogFacts | None, rules: DataRules, now: datetime
) -> tuple[DataCheck, ...]:
    """Every check of a log against the rules and against the log of the last training."""
    share = log.duplicates / (log.rows + log.duplicates)
    fresh = freshness(log.last, now, rules)
    found = [
        *([] if fresh is None else [fresh]),
        DataCheck(
            "duplicates",
            f"{100 * share:.2g} % of its rows came twice",
            f"at most {100 * rules.most_duplicates:g} %",
            share <= rules.most_duplicates,
        ),
    ]
    if last is not None:
        found += _against(log, last, rules)
    return tuple(found)


def _against(log: LogFacts, last: LogFacts, rules: DataRules) -> list[DataCheck]:
    gone = sorted(last.columns.keys() - log.columns.keys())
    kinds = [
        f"{name} ({last.columns[name].kind} then, {facts.kind} now)"
        for name, facts in log.columns.items()
        if name in last.columns and last.columns[name].kind != facts.kind
    ]
    checks = [
        DataCheck(
            "schema",
            "; ".join(
                [*([f"columns are gone: {', '.join(gone)}"] if gone else []), *kinds]
                or ["every column of the last training is there"]
            ),
            "the columns that the last training had",
            not gone and not kinds,
        ),
        DataCheck(
            "currency",
            f"{log.currency} (last training: {last.currency})",
            "the same",
            log.currency == last.currency,
        ),
    ]
    if rules.volume_change is not None:
        change = log.rows_per_day / last.rows_per_day - 1.0
        checks.append(
            DataCheck(
                "volume",
                f"{log.rows_per_day:,.0f} rows a day, {100 * change:+.0f} % on the last training",
                f"within {100 * rules.volume_change:g} %",
                abs(change) <= rules.volume_change,
            )
        )
    shared = [name for name in log.columns if name in last.columns]
    checks += [_empties(log, last, name, rules) for name in shared]
    if rules.scale_change is not None:
        checks += [
            check
            for name in shared
            if (check := _scale(log, last, name, rules.scale_change)) is not None
        ]
    return checks


def _empties(log: LogFacts, last: LogFacts, name: str, rules: DataRules) -> DataCheck:
    now, then = log.columns[name].empty_share, last.columns[name].empty_share
    return DataCheck(
        f"empty cells of {name}",
        f"{100 * now:.1f} % (last training: {100 * then:.1f} %)",
        f"within {100 * rules.empty_change:g} points",
        abs(now - then) <= rules.empty_change,
    )


def _scale(log: LogFacts, last: LogFacts, name: str, most: float) -> DataCheck | None:
    """Whether amounts are in the unit they were in; only of columns that have one."""
    now, then = log.columns[name].positive_median, last.columns[name].positive_median
    if not log.columns[name].one_unit or now is None or then is None:
        return None
    ratio = now / then
    return DataCheck(
        f"unit of {name}",
        f"a median of {now:.4g}, {ratio:.3g} times that of the last training",
        f"within a factor of {most:g}",
        1 / most <= ratio <= most,
    )


def require_sound(checks: tuple[DataCheck, ...], source: str) -> None:
    """Raise UserError that lists every check that does not hold."""
    failed = [check for check in checks if not check.holds]
    if failed:
        listed = "\n".join(f"  {c.name}: {c.found}; allowed: {c.allowed}" for c in failed)
        raise UserError(
            f"{source} is not trained on:\n{listed}\nNothing was changed. Mend the feed; or, where "
            "the change is meant, widen `data:` in the project file"
        )


def checks_as_plain(checks: tuple[DataCheck, ...]) -> list[dict[str, Any]]:
    """Plain values for JSON."""
    return [asdict(check) for check in checks]
