"""A project with a tiny aligned model, judged and recorded, made once for all tests of content."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.fitting import FitSettings
from ppo_marketing.content.judged import Judgement, keep_judgement, kept_judgement
from ppo_marketing.content.kl import AdaptiveKL
from ppo_marketing.content.places import content_folder
from ppo_marketing.content.release import Measured, Shipped
from ppo_marketing.content.stages import align, fits
from ppo_marketing.content.stages.sample import write_sample
from ppo_marketing.intervals import Bounds
from ppo_marketing.jobs.content import live_curves
from ppo_marketing.jobs.content_judging import Candidate, judge_into
from ppo_marketing.progress import SilentReporter
from ppo_marketing.releases import ReleaseRules

QUIET = SilentReporter()
FAST = FitSettings(epochs=2, batch=32, learning_rate=1e-2)
SFT = FitSettings(epochs=8, batch=32, learning_rate=1e-2)
SMALL = AlignmentConfig(
    updates=20, texts=16, minibatch=16, epochs=1, most_tokens=20, kl=AdaptiveKL(coefficient=0.01)
)


def fitted_sample(folder: Path) -> Path:
    """A made-up brand with a model fitted to its corpus and two reward models."""
    write_sample(folder, texts=200, pairs=120, width=16, layers=1, seed=0)
    fits.sft(folder / "model", folder / "corpus.jsonl", folder / "sft", SFT, 0, QUIET)
    fits.reward(
        folder / "sft" / "model", folder / "preferences.jsonl", folder / "reward", FAST,
        members=2, prompts=folder / "prompts.jsonl", seed=0, reporter=QUIET,
    )  # fmt: skip
    return folder


def aligned_project(project: Path) -> Path:
    """Everything of a brand called "demo" in a project, up to the judged model."""
    folder = fitted_sample(content_folder(project) / "demo")
    with live_curves(folder / "ppo", project, QUIET) as on_update:
        align.ppo(
            folder / "sft" / "model", folder / "prompts.jsonl", folder / "ppo", SMALL,
            rules=folder / "reward.yaml", models=folder / "reward", how=None,
            held_out=folder / "reward", gold=f"{folder}/gold.py:gold",
            patience=None, seed=0, reporter=QUIET, on_update=on_update,
        )  # fmt: skip
    candidate = Candidate(
        reference=folder / "sft" / "model", model=folder / "ppo" / "model",
        prompts=folder / "prompts.jsonl", rules=folder / "reward.yaml", reward=folder / "reward",
        texts=24, most_nats=10.0, config=AlignmentConfig(most_tokens=20), release=ReleaseRules(),
        seed=0,
    )  # fmt: skip
    judge_into(candidate, folder / "judged", project, QUIET)
    return folder


@pytest.fixture(scope="session")
def content_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, made once for all test processes; not to be changed."""
    here = tmp_path_factory.getbasetemp()
    project = (here.parent if "PYTEST_XDIST_WORKER" in os.environ else here) / "content-project"
    with project.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = project / "done"
        if not done.exists():
            with pytest.MonkeyPatch.context() as patched:
                patched.delenv("MLFLOW_TRACKING_URI", raising=False)
                aligned_project(project)
            done.touch()
    return project


def content_copy(project: Path, place: Path, *, passed: bool = True, **release: Any) -> Path:
    """A copy of the project in `place`, its model passed or refused; returns the judged folder."""
    shutil.copytree(project / "data", place / "data", dirs_exist_ok=True)
    (place / "mlruns").mkdir(exist_ok=True)
    # The stored models are shared: the store's own file says where they lie.
    shutil.copy(project / "mlruns" / "mlflow.db", place / "mlruns")
    judged = content_folder(place) / "demo" / "judged"
    keep_judgement(judged, verdict_of(kept_judgement(judged), passed=passed, **release))
    return judged


def verdict_of(judgement: Judgement, *, passed: bool, **release: Any) -> Judgement:
    """The judgement as it would be of a model that wins, or of one that does not."""
    low = 0.6 if passed else 0.4
    return replace(
        judgement,
        measured=Measured(3.9, low + 0.1, Bounds(low, low + 0.2)),
        shipped=Shipped(texts=24, violations=0, blocked=3, without_text=0),
        release=ReleaseRules(**release),
    )


def unheard(rows: Sequence[object], held_out: Mapping[int, float]) -> None:
    """What follows an alignment's updates where nobody does."""
