"""`content generate`, `compare`, `gate`, `regress`, `export`: what models write, if it may."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppo_marketing.cli.content_options import (
    ModelFolder,
    MostTokens,
    Prompts,
    RewardModels,
    Rules,
    Seed,
    Temperature,
)
from ppo_marketing.cli.options import Json
from ppo_marketing.cli.show import print_table, reporter, show

if TYPE_CHECKING:
    from ppo_marketing.content.alignment_config import AlignmentConfig
    from ppo_marketing.content.stages.checks import PromptChange

MOST_SHOWN = 20


def generate(
    model: ModelFolder,
    prompts: Prompts,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .csv to write.")],
    rules: Rules = None,
    per_prompt: Annotated[int, typer.Option(min=1, help="Texts of each prompt.")] = 1,
    braze_catalog: Annotated[
        Path | None, typer.Option(help="Also write the texts as a Braze catalog, to this .csv.")
    ] = None,
    most_tokens: MostTokens = 24,
    temperature: Temperature = 1.0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write a copy deck; what breaks a hard rule is blocked, whatever its score."""
    from ppo_marketing.content.stages.texts import generate as write

    config = drawing(most_tokens, temperature)
    found = write(
        model, prompts, output, rules=rules, per_prompt=per_prompt, config=config, seed=seed
    )
    if braze_catalog is not None:
        from ppo_marketing.jobs.content import write_braze_catalog

        write_braze_catalog(found["rows"], braze_catalog)
    without = len(found["without_text"])
    reasons = "".join(f"\n  {count} x {why}" for why, count in found["reasons"].items())
    show(
        json,
        found,
        f"{found['texts']:,} texts in {output}; {found['blocked']:,} were blocked{reasons}"
        + (f"\n{without} prompts have no text: every attempt was blocked" if without else ""),
    )


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
        config=drawing(most_tokens, temperature), seed=seed,
    )  # fmt: skip
    if json:
        show(True, {"models": [asdict(row) for row in rows]}, "")
        return
    print_table(_comparison_table(rows))


def gate(
    reference: Annotated[Path, typer.Option(help="The model folder that alignment started from.")],
    model: ModelFolder,
    prompts: Prompts,
    rules: Annotated[Path, typer.Option(help="A reward.yaml: its hard rules must be kept.")],
    reward: RewardModels = None,
    most_nats: Annotated[float, typer.Option(help="How far from the reference it may be.")] = 10.0,
    texts: Annotated[int, typer.Option(min=2, help="Texts to judge by.")] = 1024,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder to keep it in, so that it may be released."),
    ] = None,
    four_eyes: Annotated[
        bool, typer.Option(help="Kept with it: two people must agree before it is released.")
    ] = False,
    approvers: Annotated[
        list[str] | None, typer.Option(help="Kept with it: who may approve; may be repeated.")
    ] = None,
    most_tokens: MostTokens = 24,
    temperature: Temperature = 1.0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Hold an aligned model to its rules, its reference and its distance; exit 4 if it fails.

    With --output the model is sealed there with its rules and its verdict, for `promote`.

    --reward should name reward models of pairs that the model was not aligned with.
    """
    from ppo_marketing.content.stages.checks import gate as judged
    from ppo_marketing.errors import GateNotPassed

    config = drawing(most_tokens, temperature)
    if output is None:
        verdict = judged(
            reference, model, prompts, rules=rules, reward=reward, texts=texts,
            most_nats=most_nats, config=config, seed=seed,
        )  # fmt: skip
    else:
        from ppo_marketing.config import project_folder
        from ppo_marketing.jobs.content_judging import Candidate, judge_into
        from ppo_marketing.releases import ReleaseRules

        candidate = Candidate(
            reference=reference, model=model, prompts=prompts, rules=rules, reward=reward,
            texts=texts, most_nats=most_nats, config=config, seed=seed,
            release=ReleaseRules(four_eyes=four_eyes, approvers=tuple(approvers or ())),
        )  # fmt: skip
        verdict = judge_into(candidate, output, project_folder(), reporter()).verdict
    lines = [
        f"{'passed' if test.passed else 'FAILED'}  {test.name}: {test.said}"
        for test in verdict.tests
    ]
    show(json, verdict.as_values(), "\n".join(lines))
    if not verdict.passed:
        failed = "; ".join(test.name for test in verdict.tests if not test.passed)
        raise GateNotPassed(f"the model may not be used: not shown that {failed}")


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
        config=drawing(most_tokens, temperature), seed=seed,
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


def export(
    judged: Annotated[
        Path,
        typer.Argument(help="The folder that `content gate --output` wrote to.", metavar="JUDGED"),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for the files.")],
    per_prompt: Annotated[int, typer.Option(min=1, help="Texts of each prompt.")] = 1,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write copy of a model that may be used: a copy deck and a Braze catalog; exit 4 if not."""
    from ppo_marketing.config import project_folder
    from ppo_marketing.files import made, write_atomically
    from ppo_marketing.jobs.content_exporting import export_copy
    from ppo_marketing.jobs.release_book import desk_of

    found = export_copy(judged, desk_of(project_folder()), per_prompt=per_prompt, seed=seed)
    made(output)
    for name, content in found.files.items():
        write_atomically(output / name, content)
    values = {
        "files": [str(output / name) for name in found.files],
        "texts": len(found.rows),
        "blocked": found.blocked,
        "without_text": list(found.without),
    }
    show(
        json,
        values,
        f"{len(found.rows):,} texts in {output}: {', '.join(found.files)}; {found.blocked:,} were "
        "blocked",
    )


def drawing(most_tokens: int, temperature: float) -> AlignmentConfig:
    """The settings of an alignment that matter where texts are only drawn."""
    from ppo_marketing.content.alignment_config import AlignmentConfig

    return AlignmentConfig(most_tokens=most_tokens, temperature=temperature)


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
