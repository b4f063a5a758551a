"""The app's small project with its verdict passed, in a copy that tests may change."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from ppo_marketing.gate import Audit, GateRules
from ppo_marketing.jobs.kept_runs import runs_folder
from ppo_marketing.jobs.verdicts import keep_verdict, kept_verdict
from ppo_marketing.releases import ReleaseRules
from tests.support.app_project import RUN


def passing_copy(
    project: Path, place: Path, *, rules: ReleaseRules | None = None, passed: bool = True
) -> Path:
    """A copy of the project in `place`, its run's verdict passed (or not); returns the run."""
    shutil.copytree(project / "data", place / "data", dirs_exist_ok=True)
    (place / "mlruns").mkdir(exist_ok=True)
    # The stored models are shared: the store's own file says where they lie.
    shutil.copy(project / "mlruns" / "mlflow.db", place / "mlruns")
    run = runs_folder(place) / RUN
    old = kept_verdict(run)
    audit: Audit = replace(old.audit, ensemble_lift=0.4, positives=300.0 if passed else 3.0)
    keep_verdict(
        run, old.decision, audit, GateRules(), policy=run / "policy",
        data_sha256=old.data_sha256, release=rules,
    )  # fmt: skip
    return run
