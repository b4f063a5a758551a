"""The only place that reads: engine loaders, kept in memory by the hash of what they read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import streamlit as st

from envs import decision_names
from envs.core.decision import Calibration, Decision
from envs.core.fidelity import FidelityReport
from envs.core.log import LogTable
from envs.core.logged import LoggedDecisions
from envs.core.settings import load_settings
from ppo_marketing.comparison import Comparison
from ppo_marketing.config import project_folder
from ppo_marketing.jobs.calibration import load_calibration
from ppo_marketing.jobs.kept_comparisons import (
    KeptComparison,
    comparisons_of,
    kept_comparison,
)
from ppo_marketing.jobs.kept_runs import KeptEvidence, KeptRun, kept_evidence, runs_of
from ppo_marketing.jobs.logs import decision_named
from ppo_marketing.jobs.run_log import log_of
from ppo_marketing.jobs.verdicts import Audited, kept_verdict
from ppo_marketing.log_summary import LogSummary, summary_of
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import load_policy
from ppo_marketing.tracking import Recorded, has_store, open_tracker, ui_address
from ppo_marketing.uploads import KeptLog, checked

FEW, SOME = 4, 16
"""How many large and how many small values are kept, over all sessions."""
MOST_RECORDED = 50


def folder() -> Path:
    """The project that this app shows."""
    return project_folder()


def decisions() -> tuple[str, ...]:
    """The names of all decisions."""
    return decision_names()


@st.cache_resource(show_spinner=False)
def card(name: str) -> Decision:
    """A decision's card."""
    return decision_named(name)


def runs(decision: str) -> tuple[KeptRun, ...]:
    """The runs of a decision, the newest first; looked up anew each time, since jobs make them."""
    return runs_of(folder(), decision)


def evidence(run: KeptRun) -> KeptEvidence:
    """What judging the run's policy found."""
    return _evidence(str(run.folder), file_sha256(run.folder / "evidence.json"))


def verdict(run: KeptRun) -> Audited:
    """What the gate was asked about the run's policy, verified against its files."""
    return _verdict(str(run.folder), file_sha256(run.folder / "verdict.json"), run.sha256)


def comparisons(decision: str) -> tuple[KeptComparison, ...]:
    """The comparisons of a decision, the newest first."""
    return comparisons_of(folder(), decision)


def comparison(kept: KeptComparison) -> Comparison:
    """What a comparison of algorithms found."""
    return _comparison(str(kept.folder), kept.sha256)


def calibration(run: KeptRun) -> Calibration:
    """The run's simulator."""
    return _calibrated(run)[0]


def calibration_settings(run: KeptRun) -> Any:
    """The settings that the run's simulator was made with."""
    return _calibrated(run)[1]


def fidelity(run: KeptRun) -> FidelityReport:
    """How far the run's simulator may be trusted."""
    return calibration(run).fidelity


def logged_decisions(run: KeptRun) -> LoggedDecisions | None:
    """The held-out decisions as they were logged; None where the log can be replayed whole."""
    return _logged(str(run.calibration), file_sha256(run.calibration / "calibration.json"), run)


@st.cache_resource(max_entries=FEW, show_spinner="Looking at the log …")
def _logged(path: str, sha256: str, _run: KeptRun) -> LoggedDecisions | None:
    with as_user_error():
        return calibration(_run).heldout_decisions(calibration_settings(_run))


def policy(run: KeptRun) -> Agent:
    """The run's policy."""
    return _policy(str(run.policy), file_sha256(run.policy / "policy.json"))


def settings(run: KeptRun) -> Any:
    """The settings that the run's policy acts under."""
    kept = file_sha256(run.policy / "settings.json")
    return _settings(str(run.policy), run.decision, kept)


def run_log(run: KeptRun) -> LogTable:
    """The log that the run learned from."""
    return _run_log(str(run.folder), run.sha256, run)


def kept_log(log: KeptLog) -> LogTable:
    """A log that was handed in."""
    return _kept_log(str(log.path), log.sha256, log)


# A log is read by the hash of its content, and what was read does not change: looked up once.
@st.cache_resource(max_entries=SOME, show_spinner="Reading the log …")
def _run_log(path: str, sha256: str, _run: KeptRun) -> LogTable:
    return log_of(_run, card(_run.decision), folder())


@st.cache_resource(max_entries=SOME, show_spinner="Reading the log …")
def _kept_log(path: str, sha256: str, _log: KeptLog) -> LogTable:
    return checked(folder(), card(_log.decision), _log.path, _log.columns, _log.reader)


def summary(log: LogTable, currency: str) -> LogSummary:
    """A log summed up."""
    return _summary(f"{log.path.name} {log.names}", currency, log)


@st.cache_resource(max_entries=SOME, show_spinner="Summing up the log …")
def _summary(key: str, currency: str, _log: LogTable) -> LogSummary:
    return summary_of(_log, currency)


def history(decision: str) -> tuple[tuple[Recorded, ...], str]:
    """The last recorded runs of a decision, and the address at which MLflow shows them."""
    if not has_store(folder()):
        return (), ""
    return _history(str(folder()), decision), ui_address(folder())


def history_command() -> str:
    """What starts MLflow here, for people who sit at this machine."""
    return "mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db"


@st.cache_data(ttl=20, max_entries=SOME, show_spinner="Asking MLflow …")
def _history(path: str, decision: str) -> tuple[Recorded, ...]:
    return open_tracker(Path(path)).history(decision, MOST_RECORDED)


def _calibrated(run: KeptRun) -> tuple[Calibration, Any]:
    sha256 = file_sha256(run.calibration / "calibration.json")
    return _calibration(str(run.calibration), run.decision, sha256)


@st.cache_resource(max_entries=FEW, show_spinner="Reading the simulator …")
def _calibration(path: str, decision: str, sha256: str) -> tuple[Calibration, Any]:
    return load_calibration(card(decision), Path(path))


@st.cache_resource(max_entries=SOME, show_spinner=False)
def _policy(path: str, sha256: str) -> Agent:
    return load_policy(Path(path))


@st.cache_resource(max_entries=SOME, show_spinner=False)
def _settings(path: str, decision: str, sha256: str) -> Any:
    with as_user_error():
        return load_settings(Path(path), card(decision).settings_type)


@st.cache_resource(max_entries=SOME, show_spinner=False)
def _evidence(path: str, sha256: str) -> KeptEvidence:
    return kept_evidence(Path(path))


@st.cache_resource(max_entries=SOME, show_spinner=False)
def _comparison(path: str, sha256: str) -> Comparison:
    return kept_comparison(Path(path))


@st.cache_resource(max_entries=SOME, show_spinner=False)
def _verdict(path: str, sha256: str, run_sha256: str) -> Audited:
    return kept_verdict(Path(path))


def file_sha256(path: Path) -> str:
    """The hash of a file; of one that is missing, its loader says so."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"
