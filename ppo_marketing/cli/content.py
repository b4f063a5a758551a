"""`content ...`: a language model aligned to a brand, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppo_marketing.cli.options import Json
from ppo_marketing.cli.show import print_table, reporter, show
from ppo_marketing.errors import UserError

if TYPE_CHECKING:
    from ppo_marketing.content.alignment import AlignmentConfig
    from ppo_marketing.content.fitting import FitSettings
    from ppo_marketing.content.rules.terms import Preference
    from ppo_marketing.content.stages.checks import PromptChange

app = typer.Typer(
    help="Align a language model to a brand: preferences, reward models, PPO, comparison.",
    no_args_is_help=True,
)

MOST_SHOWN = 20

ModelFolder = Annotated[
    Path, typer.Option(help="A local model folder: safetensors, config and tokenizer.")
]
Prompts = Annotated[Path, typer.Option(help='JSON lines {"prompt": ...}.')]
Pairs = Annotated[
    Path, typer.Option(help='JSON lines {"prompt": ..., "chosen": ..., "rejected": ...}.')
]
Result = Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")]
Rules = Annotated[Path | None, typer.Option(help="A reward.yaml: what the brand may say.")]
RewardModels = Annotated[Path | None, typer.Option(help="The folder that `content reward` wrote.")]
Epochs = Annotated[int, typer.Option(help="Passes over the texts.")]
Batch = Annotated[int, typer.Option(help="Texts, or pairs, of one step.")]
LearningRate = Annotated[
    float, typer.Option(help="At the start; about 1e-5 for large pretrained models.")
]
Seed = Annotated[int, typer.Option(help="Fixes every draw.")]
MostTokens = Annotated[int, typer.Option(help="Tokens of a text at most.")]
Temperature = Annotated[float, typer.Option(help="Of every draw; 1 is the model itself.")]


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
        f"{found['texts']:,} texts, {found['loss_nats_a_token'][-1]:.3f} nats a token; "
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
    epochs: Epochs = 4,
    batch: Batch = 64,
    learning_rate: LearningRate = 2e-3,
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
    from ppo_marketing.content.stages.align import ppo as align

    config = _alignment(
        config_file, {"updates": updates}, {"target_kl": target_kl, "coefficient": beta}
    )
    found = align(
        model, prompts, output, config,
        rules=rules, models=reward, how=_combination(reward, combine, penalty, members),
        held_out=held_out, patience=patience, seed=seed, reporter=reporter(),
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


@app.command()
def generate(
    model: ModelFolder,
    prompts: Prompts,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .csv to write.")],
    rules: Rules = None,
    per_prompt: Annotated[int, typer.Option(min=1, help="Texts of each prompt.")] = 1,
    most_tokens: MostTokens = 24,
    temperature: Temperature = 1.0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write a copy deck; what breaks a hard rule is blocked, whatever its score."""
    from ppo_marketing.content.stages.texts import generate as write

    config = _drawing(most_tokens, temperature)
    found = write(
        model, prompts, output, rules=rules, per_prompt=per_prompt, config=config, seed=seed
    )
    without = len(found["without_text"])
    reasons = "".join(f"\n  {count} x {why}" for why, count in found["reasons"].items())
    show(
        json,
        found,
        f"{found['texts']:,} texts in {output}; {found['blocked']:,} were blocked{reasons}"
        + (f"\n{without} prompts have no text: every attempt was blocked" if without else ""),
    )


@app.command()
def compare(
    reference: Annotated[Path, typer.Option(help="The model folder that alignment started from.")],
    prompts: Prompts,
    model: Annotated[
        list[Path] | None, typer.Option(help="An aligned model's folder; may be repeated.")
    ] = None,
    reward: RewardModels = None,
    rules: Rules = None,
    best_of: Annotated[int, typer.Option(help="Add the reference's best of so many texts.")] = 1,
    chosen_by: Annotated[
        Path | None, typer.Option(help="The reward models that choose the best of n.")
    ] = None,
    texts: Annotated[int, typer.Option(min=2, help="Texts of each model.")] = 512,
    most_tokens: MostTokens = 24,
    temperature: Temperature = 1.0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Score models beside their reference, prompt by prompt, with intervals and their KL."""
    from dataclasses import asdict

    from ppo_marketing.content.stages.texts import compare as side_by_side

    rows = side_by_side(
        reference, model or [], prompts,
        rules=rules, reward=reward, best_of=best_of, chosen_by=chosen_by, texts=texts,
        config=_drawing(most_tokens, temperature), seed=seed,
    )  # fmt: skip
    if json:
        show(True, {"models": [asdict(row) for row in rows]}, "")
        return
    print_table(_comparison_table(rows))


@app.command()
def gate(
    reference: Annotated[Path, typer.Option(help="The model folder that alignment started from.")],
    model: ModelFolder,
    prompts: Prompts,
    rules: Annotated[Path, typer.Option(help="A reward.yaml: its hard rules must be kept.")],
    reward: RewardModels = None,
    most_nats: Annotated[float, typer.Option(help="How far from the reference it may be.")] = 10.0,
    texts: Annotated[int, typer.Option(min=2, help="Texts to judge by.")] = 1024,
    most_tokens: MostTokens = 24,
    temperature: Temperature = 1.0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Hold an aligned model to its rules, its reference and its distance; exit 4 if it fails.

    --reward should name reward models of pairs that the model was not aligned with.
    """
    from ppo_marketing.content.stages.checks import gate as judged
    from ppo_marketing.errors import GateNotPassed

    verdict = judged(
        reference, model, prompts, rules=rules, reward=reward, texts=texts, most_nats=most_nats,
        config=_drawing(most_tokens, temperature), seed=seed,
    )  # fmt: skip
    lines = [
        f"{'passed' if test.passed else 'FAILED'}  {test.name}: {test.said}"
        for test in verdict.tests
    ]
    show(json, verdict.as_values(), "\n".join(lines))
    if not verdict.passed:
        failed = "; ".join(test.name for test in verdict.tests if not test.passed)
        raise GateNotPassed(f"the model may not be used: not shown that {failed}")


@app.command()
def regress(
    old: Annotated[Path, typer.Argument(help="The model folder in use.")],
    new: Annotated[Path, typer.Argument(help="The model folder that would replace it.")],
    prompts: Prompts,
    rules: Annotated[Path, typer.Option(help="The guidelines as they are now: a reward.yaml.")],
    old_rules: Annotated[
        Path | None, typer.Option(help="The guidelines that the old model was made for.")
    ] = None,
    most_nats: Annotated[float, typer.Option(help="The KL above which it is refused.")] = 10.0,
    texts: Annotated[int, typer.Option(min=1, help="Texts of each prompt and model.")] = 32,
    most_tokens: MostTokens = 24,
    temperature: Temperature = 1.0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Show which prompts a new model changes, compliance before and after, and the KL."""
    from ppo_marketing.content.stages.checks import regress as compared
    from ppo_marketing.errors import Refused

    found = compared(
        old, new, prompts, rules=rules, old_rules=old_rules, texts=texts,
        config=_drawing(most_tokens, temperature), seed=seed,
    )  # fmt: skip
    values = found.as_values()
    if json:
        show(True, values, "")
    else:
        print_table(_changes_table(found.prompts[:MOST_SHOWN]))
        typer.echo(
            f"{values['changed']} of {len(found.prompts)} prompts have another likeliest text; "
            f"rules kept {values['compliance_before']:.1%} before, "
            f"{values['compliance_after']:.1%} after (the old model under the new rules: "
            f"{values['old_model_under_new_rules']:.1%}); {found.kl:.2f} nats a text"
        )
    if not found.kl <= most_nats:
        raise Refused(
            f"the new model is {found.kl:.2f} nats a text from the old one and {most_nats:g} are "
            "allowed: align it with a higher --beta or a lower --target-kl, or say --most-nats"
        )


@app.command()
def rate(
    pairs: Annotated[Path, typer.Argument(help='JSON lines {"prompt": ..., "a": ..., "b": ...}.')],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .jsonl of ratings.")],
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Choose between two texts by the keys 1 and 2; s skips, q stops, nothing is lost."""
    from ppo_marketing.content.stages.files import read_pairs
    from ppo_marketing.content.stages.texts import rate as rated

    def ask(prompt: str, first: str, second: str) -> str:
        typer.echo(f"\n{prompt}\n  1  {first}\n  2  {second}", err=True)
        while True:
            typer.echo("1, 2, s(kip) or q(uit): ", nl=False, err=True)
            key = typer.getchar()
            typer.echo(key, err=True)
            if key in ("1", "2", "s", "q"):
                return key

    found = rated(read_pairs(pairs), output, ask, seed)
    show(
        json,
        found,
        f"{found['rated_now']} rated now, {found['rated']} in all, of {found['pairs']} pairs; "
        f"they are in {output}",
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


def _drawing(most_tokens: int, temperature: float) -> AlignmentConfig:
    from ppo_marketing.content.alignment import AlignmentConfig

    return AlignmentConfig(most_tokens=most_tokens, temperature=temperature)


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


def _changes_table(changes: Sequence[PromptChange]) -> Any:
    from rich.table import Table

    table = Table(title="The prompts that change most")
    for name in ("prompt", "before", "after", "KL, nats", "rules kept before", "after"):
        table.add_column(name)
    for one in changes:
        table.add_row(
            one.prompt,
            one.old_text,
            one.new_text if one.changed else "(the same)",
            f"{one.kl:.2f}",
            f"{one.kept_before:.0%}",
            f"{one.kept_after:.0%}",
        )
    return table


def _comparison_table(rows: list[Any]) -> Any:
    from rich.table import Table

    table = Table(title="Beside the reference, prompt by prompt; intervals of 95 %")
    for name in ("model", "KL, nats", "score", "gain", "wins", "breaks a hard rule", "words"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.kl:.2f}",
            f"{row.score:.2f}",
            f"[{row.gain.low:.2f}, {row.gain.high:.2f}]",
            f"{row.win_rate:.0%} [{row.win_bounds.low:.0%}, {row.win_bounds.high:.0%}]",
            "-" if row.broken is None else f"{row.broken:.1%}",
            f"{row.length:.1f}",
        )
    return table
