"""`content ...`: a language model aligned to a brand, stage by stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppo_marketing.cli.content_options import (
    Batch,
    Epochs,
    LearningRate,
    ModelFolder,
    Pairs,
    Prompts,
    Result,
    RewardModels,
    Rules,
    Seed,
)
from ppo_marketing.cli.content_rating import pairs, rate
from ppo_marketing.cli.content_texts import compare, export, gate, generate, regress
from ppo_marketing.cli.options import Json
from ppo_marketing.cli.show import reporter, show
from ppo_marketing.errors import UserError

if TYPE_CHECKING:
    from ppo_marketing.content.alignment_config import AlignmentConfig
    from ppo_marketing.content.fitting import FitSettings
    from ppo_marketing.content.rules.terms import Preference

app = typer.Typer(
    help="Align a language model to a brand: preferences, reward models, PPO, comparison.",
    no_args_is_help=True,
)


@app.command()
def sample(
    output: Result,
    texts: Annotated[int, typer.Option(help="Lines of the corpus.")] = 3000,
    pairs: Annotated[int, typer.Option(help="Pairs shown to the raters.")] = 4000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write a made-up brand's corpus, preferences, rules and tiny model, to try the rest on."""
    from ppo_marketing.content.stages.sample import write_sample

    written = write_sample(output, texts=texts, pairs=pairs, seed=seed)
    show(json, written, f"written to {output}: {texts:,} lines, {written['pairs']:,} pairs")


@app.command()
def sft(
    model: ModelFolder,
    corpus: Annotated[Path, typer.Option(help='JSON lines {"prompt": ..., "text": ...}.')],
    output: Result,
    epochs: Epochs = 6,
    batch: Batch = 64,
    learning_rate: LearningRate = 3e-3,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fit a model to your copy; the result is OUTPUT/model."""
    from ppo_marketing.content.stages.fits import sft as fit

    settings = _fit_settings(epochs, batch, learning_rate)
    found = fit(model, corpus, output, settings, seed, reporter())
    _finished(
        json,
        output,
        found,
        f"{found['texts']:,} texts, {found['loss_nats_a_token'][-1]:.3f} nats a token, "
        f"{found['unknown_tokens']:.1%} of the tokens unknown to the tokenizer; "
        f"the model is in {output / 'model'}",
    )


@app.command()
def reward(
    model: ModelFolder,
    preferences: Pairs,
    output: Result,
    members: Annotated[int, typer.Option(min=1, help="Reward models of the ensemble.")] = 5,
    prompts: Annotated[
        Path | None, typer.Option(help="Refuse pairs whose prompt is not in this file.")
    ] = None,
    epochs: Epochs = 2,
    batch: Batch = 64,
    learning_rate: LearningRate = 1e-3,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fit reward models to rated pairs and judge them on pairs that were held out."""
    from ppo_marketing.content.stages.fits import reward as fit

    settings = _fit_settings(epochs, batch, learning_rate)
    found = fit(
        model, preferences, output, settings,
        members=members, prompts=prompts, seed=seed, reporter=reporter(),
    )  # fmt: skip
    _finished(json, output, found, _reward_text(found["held_out"]))


@app.command()
def ppo(
    model: ModelFolder,
    prompts: Prompts,
    output: Result,
    reward: RewardModels = None,
    rules: Rules = None,
    combine: Annotated[
        str | None, typer.Option(help="How members of --reward are one: mean, worst, uncertainty.")
    ] = None,
    penalty: Annotated[
        float, typer.Option(help="λ of uncertainty: mean - λ variance of the members.")
    ] = 0.5,
    members: Annotated[
        int | None, typer.Option(help="Use so many members; all if not set.")
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Reward models of other pairs, to choose the best update.")
    ] = None,
    gold: Annotated[
        str | None,
        typer.Option(help="FILE.py:NAME, your own score of text and prompt; looks on only."),
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Judgements (every 5 updates) to wait for a better one.")
    ] = None,
    config_file: Annotated[
        Path | None, typer.Option("--config", "-c", help="YAML of the settings; flags override it.")
    ] = None,
    updates: Annotated[int | None, typer.Option(help="Updates at most.")] = None,
    target_kl: Annotated[float | None, typer.Option(help="nats a text to stay within.")] = None,
    beta: Annotated[float | None, typer.Option(help="Price of a nat at the start.")] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Align a model with PPO to reward models and rules, held near where it started."""
    from ppo_marketing.config import project_folder
    from ppo_marketing.content.stages.align import ppo as align
    from ppo_marketing.jobs.content import live_curves

    config = _alignment(
        config_file, {"updates": updates}, {"target_kl": target_kl, "coefficient": beta}
    )
    how = _combination(reward, combine, penalty, members)
    with live_curves(output, project_folder(), reporter()) as on_update:
        found = align(
            model, prompts, output, config,
            rules=rules, models=reward, how=how, held_out=held_out, gold=gold,
            patience=patience, seed=seed, reporter=reporter(), on_update=on_update,
        )  # fmt: skip
    _finished(json, output, found, _ppo_text(found, output))


@app.command()
def dpo(
    model: ModelFolder,
    preferences: Pairs,
    output: Result,
    beta: Annotated[float, typer.Option(help="The price of distance that is implied.")] = 0.1,
    epochs: Epochs = 2,
    batch: Batch = 64,
    learning_rate: LearningRate = 3e-4,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fit a model to rated pairs directly, without reward models."""
    from ppo_marketing.content.stages.fits import dpo as fit

    if not beta > 0:
        raise UserError(f"--beta is {beta}: it must be positive")
    settings = _fit_settings(epochs, batch, learning_rate)
    found = fit(model, preferences, output, settings, beta=beta, seed=seed, reporter=reporter())
    _finished(
        json,
        output,
        found,
        f"{found['pairs']:,} pairs, loss {found['loss'][-1]:.3f}; "
        f"the model is in {output / 'model'}",
    )


def _finished(json: bool, output: Path, found: dict[str, Any], text: str) -> None:
    """Record a finished stage and print what it gave."""
    from ppo_marketing.config import project_folder
    from ppo_marketing.jobs.content import record_stage

    run = record_stage(output, project_folder(), reporter())
    show(json, {**found, "run": run}, text)


def _fit_settings(epochs: int, batch: int, learning_rate: float) -> FitSettings:
    from ppo_marketing.content.fitting import FitSettings

    return FitSettings(epochs=epochs, batch=batch, learning_rate=learning_rate)


def _alignment(path: Path | None, flags: dict[str, Any], kl: dict[str, Any]) -> AlignmentConfig:
    from ppo_marketing.content.settings import alignment_config

    return alignment_config(path, flags, kl)


def _combination(
    reward: Path | None, combine: str | None, penalty: float, members: int | None
) -> Preference | None:
    """How the members of --reward are one; their mean where nothing is said."""
    from ppo_marketing.content.settings import preference_of

    if reward is None:
        if combine is not None or members is not None:
            raise UserError("--combine and --members speak of --reward: give it, or the rules' own")
        return None
    return preference_of(reward, combine or "mean", penalty, members)


def _reward_text(held: dict[str, Any]) -> str:
    low, high = held["accuracy_bounds"]
    lines = [
        f"{held['pairs']:,} held-out pairs: accuracy {held['accuracy']:.1%} "
        f"[{low:.1%}, {high:.1%}], calibration error {held['calibration_error']:.3f}, "
        f"{held['log_loss']:.3f} nats (a coin: 0.693)"
    ]
    if held["longer_scored_higher"] is not None:
        lines.append(
            f"length: the longer text is scored higher in {held['longer_scored_higher']:.1%} and "
            f"was chosen in {held['longer_chosen']:.1%}"
        )
    return "\n".join(lines)


def _ppo_text(found: dict[str, Any], output: Path) -> str:
    score = found["score"]
    lines = [
        f"update {found['kept_update']} of {found['updates']} is kept in {output / 'model'}",
        f"score {score['reference']:.2f} -> {score['aligned']:.2f} at {found['kl_nats']:.2f} nats "
        "from the reference, on fresh texts",
        "audit (what happened; no warning of what may):",
    ]
    for sign in found["audit"]:
        mark = "  <- moved much" if sign["marked"] else ""
        lines.append(f"  {sign['name']}: {sign['reference']:.2f} -> {sign['aligned']:.2f}{mark}")
    return "\n".join(lines)


for command in (generate, compare, gate, regress, export, pairs, rate):
    app.command()(command)
