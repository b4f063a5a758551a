"""The options that the commands of content share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
