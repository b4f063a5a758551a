"""`content pairs` and `content rate`: pairs of texts, and people who choose between them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ppo_marketing.cli.content_options import ModelFolder, MostTokens, Prompts, Seed, Temperature
from ppo_marketing.cli.content_texts import drawing
from ppo_marketing.cli.options import Json
from ppo_marketing.cli.show import show


def pairs(
    model: ModelFolder,
    prompts: Prompts,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .jsonl of pairs to rate.")],
    per_prompt: Annotated[int, typer.Option(min=1, help="Pairs of each prompt.")] = 1,
    most_tokens: MostTokens = 24,
    temperature: Temperature = 1.0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write pairs of a model's texts for people to choose between, here or in the app."""
    from ppo_marketing.content.stages.rating import write_pairs

    config = drawing(most_tokens, temperature)
    count = write_pairs(model, prompts, output, per_prompt=per_prompt, config=config, seed=seed)
    show(json, {"pairs": count, "file": str(output)}, f"{count:,} pairs to rate in {output}")


def rate(
    pairs: Annotated[Path, typer.Argument(help='JSON lines {"prompt": ..., "a": ..., "b": ...}.')],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .jsonl of ratings.")],
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Choose between two texts by the keys 1 and 2; s skips, q stops, nothing is lost."""
    from ppo_marketing.content.stages.files import read_pairs
    from ppo_marketing.content.stages.rating import rate as rated

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
