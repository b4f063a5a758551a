"""`content gate --output`: judge an aligned model, and keep what a person may then release."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.bundle import MODEL, write_bundle
from ppo_marketing.content.judged import BUNDLE, FILE, Judgement, keep_judgement, kept_judgement
from ppo_marketing.content.models import load_language_model
from ppo_marketing.content.rules.brand import read_brand
from ppo_marketing.content.stages.checks import measured_for_gate
from ppo_marketing.content.stages.files import file_sha256, folder_sha256, read_prompts, write_lines
from ppo_marketing.content.stages.side_by_side import samples_of
from ppo_marketing.files import held_alone
from ppo_marketing.jobs.content import numbers
from ppo_marketing.jobs.releasable import LANGUAGE_MODEL
from ppo_marketing.jobs.verdicts import verdict_tags
from ppo_marketing.ppo.threads import single_threaded
from ppo_marketing.progress import Reporter
from ppo_marketing.releases import ReleaseRules
from ppo_marketing.tracking import open_tracker

PROMPTS = "prompts.jsonl"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model to be judged, and what it is judged by."""

    reference: Path
    model: Path
    prompts: Path
    rules: Path
    reward: Path | None
    texts: int
    most_nats: float
    config: AlignmentConfig
    release: ReleaseRules
    seed: int


def judge_into(candidate: Candidate, output: Path, project: Path, reporter: Reporter) -> Judgement:
    """Seal the model with its rules, judge it, record both as a run; the verdict is kept last.

    What is judged is the sealed copy. Samples are of the first prompts.

    Raises:
        UserError: an input cannot be used, or the folder cannot be written.
        AlreadyRunning: another job writes to it.
        PpoMarketingError: the store failed.
    """
    prompts = read_prompts(candidate.prompts)
    with held_alone(output), single_threaded():
        (output / FILE).unlink(missing_ok=True)
        bundle = output / BUNDLE
        sealed = write_bundle(bundle, candidate.model, candidate.rules)
        write_lines(output / PROMPTS, ({"prompt": prompt} for prompt in prompts))
        with reporter.stage("judging the model"):
            measured, shipped = measured_for_gate(
                candidate.reference, bundle / MODEL, candidate.prompts,
                rules=candidate.rules, reward=candidate.reward, texts=candidate.texts,
                config=candidate.config, seed=candidate.seed,
            )  # fmt: skip
            samples = samples_of(
                load_language_model(candidate.reference), load_language_model(bundle / MODEL),
                prompts, read_brand(candidate.rules), candidate.config,
                np.random.default_rng([candidate.seed, 11]),
            )  # fmt: skip
        judgement = Judgement(
            bundle=bundle,
            bundle_sha256=sealed,
            judged_with_sha256=_judged_with(candidate),
            measured=measured,
            shipped=shipped,
            most_nats=candidate.most_nats,
            most_tokens=candidate.config.most_tokens,
            temperature=candidate.config.temperature,
            release=candidate.release,
            samples=samples,
        )
        _record(judgement, candidate, output, project, reporter)
        keep_judgement(output, judgement)
        return kept_judgement(output)


def _judged_with(candidate: Candidate) -> str:
    """The hash of the prompts and of the reward models."""
    parts = [file_sha256(candidate.prompts)]
    parts += [] if candidate.reward is None else [folder_sha256(candidate.reward)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _record(
    judgement: Judgement, candidate: Candidate, output: Path, project: Path, reporter: Reporter
) -> None:
    verdict = judgement.verdict
    params = {
        "stage": "gate",
        "output": str(output.resolve()),
        "texts": candidate.texts,
        "most_nats": candidate.most_nats,
        "most_tokens": candidate.config.most_tokens,
        "temperature": candidate.config.temperature,
        "seed": candidate.seed,
        "judged_with": judgement.judged_with_sha256,
    }
    with reporter.stage("recording the run"):
        tracker = open_tracker(project)
        tags = verdict_tags(verdict.passed, verdict.reasons)
        with tracker.start(LANGUAGE_MODEL, f"gate {output.name}", params=params, tags=tags) as run:
            run.json("verdict", verdict.as_values())
            run.metrics(numbers(asdict(judgement.measured) | asdict(judgement.shipped)), step=0)
            run.bundle(judgement.bundle)
