"""`content sft`, `content reward` and `content dpo`: what is fitted to files of texts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.drawing import draw
from ppo_marketing.content.fitting import Fit, FitSettings
from ppo_marketing.content.models import LanguageModel, load_language_model
from ppo_marketing.content.objectives import direct_preference, next_token, preference
from ppo_marketing.content.preferences import Pair, calibration_bins, preference_accuracy
from ppo_marketing.content.score_model import ScoreModel
from ppo_marketing.content.stages.files import (
    file_sha256,
    folder_sha256,
    read_corpus,
    read_preferences,
    read_prompts,
)
from ppo_marketing.content.stages.folder import Stage, stage_folder
from ppo_marketing.content.tokens import Sequences
from ppo_marketing.errors import UserError
from ppo_marketing.ppo.signals import stop_on_signals
from ppo_marketing.ppo.threads import single_threaded
from ppo_marketing.progress import Reporter

HELD_OUT = 0.1
"""Share of pairs that no member is fitted to."""
REFERENCE_TEXTS = 1024
"""Texts of the reference that set each member's scale: their mean is known to 3 % of a
deviation."""


def sft(
    model: Path, corpus: Path, output: Path, settings: FitSettings, seed: int, reporter: Reporter
) -> dict[str, Any]:
    """Fit a model to a copy corpus; the result lies in `output/model`.

    Raises:
        UserError: the model or the corpus cannot be used.
        Interrupted: a stop was asked for; the same command goes on.
    """
    language = load_language_model(model)
    lines = read_corpus(corpus)
    inputs = {
        "model": folder_sha256(model),
        "corpus": file_sha256(corpus),
        "settings": asdict(settings),
        "seed": seed,
    }
    with stage_folder(output, "sft", inputs) as stage, single_threaded():
        if stage.result is not None:
            return stage.result
        rows = language.rows([p for p, _ in lines], [t for _, t in lines])
        fit = Fit(
            list(language.model.parameters()), len(rows), settings, np.random.default_rng(seed)
        )
        _run(stage, fit, next_token(language.model, rows), "fitting to the corpus", reporter)
        language.save(output / "model")
        return stage.finish(
            {
                "texts": len(rows),
                "unknown_tokens": language.unknown_share(rows),
                "loss_nats_a_token": fit.losses,
            }
        )


def reward(
    model: Path,
    preferences: Path,
    output: Path,
    settings: FitSettings,
    *,
    members: int,
    prompts: Path | None,
    seed: int,
    reporter: Reporter,
) -> dict[str, Any]:
    """Fit reward models to pairs; member k lies in `output/member-k`, all on one scale.

    Members share the pairs and differ in their head and the order of the pairs. A member that is
    finished is kept when the command is resumed.

    Raises:
        UserError: the model or the pairs cannot be used, or a member learned nothing.
        Interrupted: a stop was asked for; the same command goes on.
    """
    language = load_language_model(model)
    known = None if prompts is None else read_prompts(prompts)
    pairs = read_preferences(preferences, known)
    if len(pairs) < 20:
        raise UserError(f"{preferences} has {len(pairs)} pairs: 20 are needed to hold two out")
    inputs = {
        "model": folder_sha256(model),
        "preferences": file_sha256(preferences),
        "settings": asdict(settings),
        "members": members,
        "seed": seed,
    }
    with stage_folder(output, "reward", inputs) as stage, single_threaded():
        if stage.result is not None:
            return stage.result
        learned, held = split_pairs(pairs, seed)
        scale = _reference_texts(language, [pair.prompt for pair in pairs], seed)
        scores = []
        for number in range(members):
            folder = output / f"member-{number}"
            if not (folder / "score.json").exists():
                member = _fitted_member(
                    language, learned, settings, (seed, number), stage, reporter, number
                )
                member.normalise_on(scale)
                member.save(folder)
            found = ScoreModel.load(folder)
            scores.append(pair_scores(found, language, held))
        return stage.finish(_judged(scores, held))


def dpo(
    model: Path,
    preferences: Path,
    output: Path,
    settings: FitSettings,
    *,
    beta: float,
    seed: int,
    reporter: Reporter,
) -> dict[str, Any]:
    """Fit a model to pairs directly; the reference is the model as it stands.

    Raises:
        UserError: the model or the pairs cannot be used.
        Interrupted: a stop was asked for; the same command goes on.
    """
    language = load_language_model(model)
    pairs = read_preferences(preferences)
    inputs = {
        "model": folder_sha256(model),
        "preferences": file_sha256(preferences),
        "settings": asdict(settings),
        "beta": beta,
        "seed": seed,
    }
    with stage_folder(output, "dpo", inputs) as stage, single_threaded():
        if stage.result is not None:
            return stage.result
        chosen, rejected = pair_rows(language, pairs)
        reference = copy.deepcopy(language.model)
        objective = direct_preference(language.model, reference, chosen, rejected, beta)
        fit = Fit(
            list(language.model.parameters()), len(pairs), settings, np.random.default_rng(seed)
        )
        _run(stage, fit, objective, "fitting to the pairs", reporter)
        language.save(output / "model")
        return stage.finish({"pairs": len(pairs), "loss": fit.losses})


def split_pairs(pairs: Sequence[Pair], seed: int) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs to learn from and those held out, dealt by the seed."""
    order = np.random.default_rng([seed, 1]).permutation(len(pairs))
    held = max(1, round(HELD_OUT * len(pairs)))
    return [pairs[place] for place in order[held:]], [pairs[place] for place in order[:held]]


def pair_rows(language: LanguageModel, pairs: Sequence[Pair]) -> tuple[Sequences, Sequences]:
    """Return chosen and rejected texts as rows."""
    prompts = [pair.prompt for pair in pairs]
    return (
        language.rows(prompts, [pair.chosen for pair in pairs]),
        language.rows(prompts, [pair.rejected for pair in pairs]),
    )


def pair_scores(
    model: ScoreModel, language: LanguageModel, pairs: Sequence[Pair]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the scores of chosen and rejected texts, `[n]` each."""
    chosen, rejected = pair_rows(language, pairs)
    return model.scored(chosen).double().numpy(), model.scored(rejected).double().numpy()


def _judged(scores: Sequence[Any], held: Sequence[Pair]) -> dict[str, Any]:
    lengths = [
        np.array([len(text.split()) for text in texts])
        for texts in ([p.chosen for p in held], [p.rejected for p in held])
    ]
    chosen, rejected = (np.mean([one[side] for one in scores], axis=0) for side in (0, 1))
    return {
        "held_out": preference_accuracy(chosen, rejected, *lengths).as_values(),
        "members": [preference_accuracy(one[0], one[1], *lengths).as_values() for one in scores],
        "calibration": [asdict(one) for one in calibration_bins(chosen - rejected)],
    }


def _fitted_member(
    language: LanguageModel,
    pairs: Sequence[Pair],
    settings: FitSettings,
    seed: tuple[int, int],
    stage: Stage,
    reporter: Reporter,
    number: int,
) -> ScoreModel:
    rng = np.random.default_rng([*seed, 2])
    member = ScoreModel.from_language_model(language.model, rng)
    chosen, rejected = pair_rows(language, pairs)
    fit = Fit(list(member.parameters()), len(pairs), settings, rng)
    _run(stage, fit, preference(member, chosen, rejected), f"reward model {number + 1}", reporter)
    return member


def _reference_texts(language: LanguageModel, prompts: Sequence[str], seed: int) -> Sequences:
    rng = np.random.default_rng([seed, 3])
    asked = [prompts[place] for place in rng.integers(0, len(prompts), REFERENCE_TEXTS)]
    config = AlignmentConfig(most_tokens=_room(language, asked))
    return draw(language, language.model, asked, config, rng)


def _room(language: LanguageModel, prompts: Sequence[str], most: int = 64) -> int:
    """The tokens that a response may have beside the longest prompt."""
    width = max(map(len, language.prompts(prompts)))
    return most if language.room is None else max(1, min(most, language.room - width))


def _run(
    stage: Stage,
    fit: Fit,
    objective: Callable[[Tensor], Tensor],
    title: str,
    reporter: Reporter,
) -> None:
    """Make the passes that are left, saving after each."""
    kept = stage.resume()
    if kept is not None and kept["title"] == title:
        fit.load(kept["fit"])
    with reporter.stage(title, fit.total) as shown, stop_on_signals() as stop:
        while not fit.finished:
            loss = fit.epoch(objective)
            stage.save({"title": title, "fit": fit.state()})
            shown.reach(fit.epochs, f"loss {loss:.3f}")
            stage.heed(stop)
