"""Judging a policy by a log alone: no simulator, the log's rows and the policy's probabilities."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from envs.core.decision import Decision
from envs.core.log import LogTable
from envs.core.one_step import OneStepRows
from ppo_marketing.config import LogSection, RunConfig
from ppo_marketing.errors import UserError
from ppo_marketing.files import held_alone, write_atomically
from ppo_marketing.jobs.folder import tracked, write_json
from ppo_marketing.jobs.logs import cache_of
from ppo_marketing.jobs.policy_table import (
    Floats,
    PolicyTable,
    key_of,
    matched,
    read_policy,
    uniform,
)
from ppo_marketing.ope.battery import OffPolicyReport, off_policy_report
from ppo_marketing.ope.from_log import decisions_from_log
from ppo_marketing.pipeline import reading
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.pipeline.streams import OFF_POLICY, stream
from ppo_marketing.progress import Reporter
from ppo_marketing.report_off_policy import off_policy_markdown
from ppo_marketing.tracking import Run

UNIFORM = "uniform"
"""In place of a file: every eligible action equally likely."""

UNSEEN = (
    "the policy must not have learnt from these rows: of rows that it was fitted to every estimate "
    "is too good, and nothing in the log can show it"
)

T = TypeVar("T")


@dataclass(frozen=True)
class JudgedByLog:
    """What a log says of a policy, of which policy and which log."""

    report: OffPolicyReport
    policy: str
    policy_sha256: str | None
    log: LogTable
    actions: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "policy": self.policy,
            "policy_sha256": self.policy_sha256,
            "log": {"source": self.log.source, "sha256": self.log.sha256, "rows": self.log.rows},
            "actions": list(self.actions),
            "notes": list(self.notes),
            **self.report.as_dict(),
        }


def evaluate_on_log(
    decision: Decision, policy: Path, config: RunConfig, reporter: Reporter
) -> JudgedByLog:
    """`evaluate --log`: a table of probabilities, or `uniform`, against a log.

    That the log cannot say is a result, not an error.

    Raises:
        UserError: decisions do not stand alone, or the log or the policy is bad; one message lists
            everything, and nothing is written.
    """
    if decision.one_step is None:
        raise UserError(
            f"a log alone cannot judge a policy of {decision.name}: its decisions do not stand "
            "alone, so that a table of probabilities leaves open what would have followed. Do: "
            f"ppo-marketing calibrate {decision.name} LOG, then evaluate {decision.name} "
            "--calibration FOLDER --policy FOLDER"
        )
    assert config.log.path is not None, "the command asks for it"
    with reporter.stage("reading the log and the policy"):
        log, rows, target, actions = _read(decision, decision.one_step, policy, config)
    with reporter.stage("asking the log"):
        judged = _judged(log, rows, target, actions, policy, config)
    with (
        held_alone(config.output),
        tracked(decision, config, f"evaluate {policy.name} on a log", reporter) as run,
    ):
        _keep(decision, judged, config, run)
    return judged


def _read(
    decision: Decision,
    one_step: Callable[[LogTable], OneStepRows],
    policy: Path,
    config: RunConfig,
) -> tuple[LogTable, OneStepRows, Floats, tuple[str, ...]]:
    """The log and the policy's probabilities of its decisions; what is wrong with both, at once."""
    told: list[str] = []

    def tried(read: Callable[[], T]) -> T | None:
        try:
            with as_user_error():
                return read()
        except UserError as error:
            told.append(str(error))
            return None

    section = config.log
    log = tried(lambda: reading.read(decision, section, cache_of(config.project)))
    rows = None if log is None else tried(lambda: one_step(log))
    table = None
    if not _is_uniform(policy):
        key = key_of(decision.schema)
        names = () if key is None else (key, section.columns.get(key, key))
        logged = () if rows is None else rows.actions
        table = tried(lambda: read_policy(policy, names, logged))
    found = None
    if log is not None and rows is not None and (table is not None or _is_uniform(policy)):
        found = tried(lambda: _target(table, log, rows, section))
    if told:
        raise UserError("\n".join(told))
    assert log is not None, "else it has been told"
    assert rows is not None, "else it has been told"
    assert found is not None, "else it has been told"
    return log, rows, *found


def _target(
    table: PolicyTable | None, log: LogTable, rows: OneStepRows, section: LogSection
) -> tuple[Floats, tuple[str, ...]]:
    """The policy's probabilities `[n, A]` of every decision, the log's own actions first."""
    if table is None:
        return uniform(len(rows.actions), len(rows.row), rows.eligible), rows.actions
    by_row, names = matched(table, log, section, rows.actions)
    actions = (*rows.actions, *(name for name in names if name not in rows.actions))
    target = by_row[:, [names.index(action) for action in actions]][rows.row]
    if rows.eligible is not None:
        own = len(rows.actions)
        outside = (target[:, :own] * ~rows.eligible).sum(axis=1) + target[:, own:].sum(axis=1)
        wrong = np.flatnonzero(outside > 0)
        if len(wrong):
            first = ", ".join(str(row + 1) for row in np.unique(rows.row[wrong])[:5])
            raise UserError(
                f"{table.source} gives probability to actions that were not eligible in "
                f"{len(wrong):,} rows of the log (first {first}, in the order of time). Allowed: 0 "
                "there. To do: divide the rest of each row by its sum"
            )
    return target, actions


def _judged(
    log: LogTable,
    rows: OneStepRows,
    target: Floats,
    actions: tuple[str, ...],
    policy: Path,
    config: RunConfig,
) -> JudgedByLog:
    rng = stream(config.seed, OFF_POLICY)
    made = decisions_from_log(
        context=rows.context,
        action=rows.action,
        reward=rows.reward,
        target_probabilities=target,
        propensity=rows.propensity,
        unit=rows.unit,
        weight=rows.weight,
        cell=rows.cell,
        rng=rng,
    )
    report = off_policy_report(
        made.decisions,
        rng,
        repetitions=config.evaluation.bootstrap,
        calibration=made.calibration,
        names=actions,
    )
    return JudgedByLog(
        report=report,
        policy=UNIFORM if _is_uniform(policy) else str(policy),
        policy_sha256=None if _is_uniform(policy) else _sha256(policy),
        log=log,
        actions=actions,
        notes=(*rows.notes, *(() if _is_uniform(policy) else (UNSEEN,))),
    )


def _keep(decision: Decision, judged: JudgedByLog, config: RunConfig, run: Run) -> None:
    log, report = judged.log, judged.report
    run.dataset("log", log.sha256, log.rows, log.source, context="evaluation")
    run.tag("policy.source", judged.policy)
    if judged.policy_sha256 is not None:
        run.tag("policy.sha256", judged.policy_sha256)
    run.tag("off_policy.verdict", "the log can say" if report.can_say else "the log cannot say")
    robust = report.row("DR")
    numbers = {
        "off_policy.dr": robust.value,
        "off_policy.logging": report.logging.value,
        "off_policy.lift": report.lift.value,
        "off_policy.lift_low": report.lift.low,
        "off_policy.effective_n": report.diagnostics.effective_n,
        "off_policy.unsupported": report.diagnostics.unsupported,
    }
    finite = {name: n for name, n in numbers.items() if n is not None and np.isfinite(n)}
    run.metrics(finite, 0)
    record = {"decision": decision.name, "config": config.as_values(), **judged.as_dict()}
    page = off_policy_markdown(
        report, title=decision.title, policy=judged.policy, source=log.source, notes=judged.notes
    )
    run.json("off_policy", record)
    run.text("off_policy.md", page)
    write_json(config.output / "off_policy.json", record)
    write_atomically(config.output / "off_policy.md", page.encode())


def _is_uniform(policy: Path) -> bool:
    return str(policy) == UNIFORM


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
