"""Models and tokenizers in local folders: safetensors alone, no code, never a download."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppo_marketing.content.tokens import Sequences, sequences
from ppo_marketing.errors import UserError
from ppo_marketing.files import made

PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"})
"""Files that can run code when they are loaded."""


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer; the model is in evaluation mode."""

    model: Any
    tokenizer: Any

    @property
    def end_token(self) -> int:
        """The id of the end token."""
        return int(self.tokenizer.eos_token_id)

    @property
    def room(self) -> int | None:
        """The most tokens of a prompt and its response; None where the model has no limit."""
        config = self.model.config
        limit = getattr(config, "max_position_embeddings", None) or getattr(
            config, "n_positions", None
        )
        return None if limit is None else int(limit)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's token ids, none added."""
        return [
            list(ids) for ids in self.tokenizer(list(texts), add_special_tokens=False).input_ids
        ]

    def rows(self, prompts: Sequence[str], texts: Sequence[str]) -> Sequences:
        """Return prompts and texts as rows, each text closed by the end token.

        A space comes before a text, as between words; word-level tokenizers ignore it.

        Raises:
            UserError: a prompt has no token, or a row is longer than the model reads.
        """
        responses = self.encode([f" {text}" for text in texts])
        rows = sequences(
            self.prompts(prompts), [[*response, self.end_token] for response in responses]
        )
        self.require_room(int((rows.tokens >= 0).sum(dim=1).max()))
        return rows

    def prompts(self, prompts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of prompts.

        Raises:
            UserError: one has none: the first word would have nothing to follow.
        """
        ids = self.encode(prompts)
        empty = [repr(prompt) for prompt, tokens in zip(prompts, ids, strict=True) if not tokens]
        if empty:
            raise UserError(f"prompts without a word cannot be continued: {', '.join(empty[:5])}")
        return ids

    def texts(self, rows: Sequences) -> list[str]:
        """Return the responses as texts, special tokens left out."""
        kept = [[token for token in row if token >= 0] for row in rows.response.tolist()]
        return [self.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in kept]

    def unknown_share(self, rows: Sequences) -> float:
        """Return the share of the responses' tokens that the tokenizer has no word for."""
        unknown = self.tokenizer.unk_token_id
        if unknown is None or unknown == self.end_token:
            return 0.0
        return float((rows.response == unknown).sum() / rows.valid.sum())

    def require_room(self, tokens: int) -> None:
        """Refuse rows that are longer than the model reads.

        Raises:
            UserError: they are.
        """
        if self.room is not None and tokens > self.room:
            raise UserError(
                f"a prompt and its text take {tokens} tokens and the model reads {self.room}: "
                "shorten them, or use a model with more room"
            )

    def save(self, folder: Path) -> None:
        """Write model and tokenizer as a folder that `load_language_model` reads."""
        made(folder)
        save_model(self.model, folder)
        self.tokenizer.save_pretrained(folder)


def save_model(model: Any, folder: Path) -> None:
    """Write a model's weights as safetensors; parameters may be views of one buffer."""
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=weights)


def load_language_model(folder: Path) -> LanguageModel:
    """Return the model and the tokenizer of a local folder, as `save_pretrained` wrote them.

    Raises:
        UserError: the folder is not one, holds a pickle or code, or its tokenizer has no end token;
            every problem is listed.
    """
    problems = _problems_of(folder, "model")
    if not problems:
        transformers = _transformers()
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"the model in {folder} cannot be loaded: {error}") from error
        if tokenizer.eos_token_id is None:
            problems.append(
                "its tokenizer has no end token, so no text would ever end: name one, "
                "tokenizer.eos_token = '<eos>', and save it again"
            )
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            problems.append(
                f"its tokenizer has {len(tokenizer)} tokens and the model embeds "
                f"{model.get_input_embeddings().num_embeddings}: they do not belong together"
            )
        if not problems:
            return LanguageModel(model.float().eval(), tokenizer)
    raise UserError(f"the model folder {folder} cannot be used:\n  " + "\n  ".join(problems))


def load_trunk(folder: Path) -> Any:
    """Return the network of a folder without any head.

    Raises:
        UserError: as `load_language_model` does of the folder.
    """
    problems = _problems_of(folder, "model")
    if problems:
        raise UserError(f"the model folder {folder} cannot be used:\n  " + "\n  ".join(problems))
    try:
        trunk = _transformers().AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"the model in {folder} cannot be loaded: {error}") from error
    return trunk.float().eval()


def _problems_of(folder: Path, what: str) -> list[str]:
    if not folder.is_dir():
        return [f"it is no folder: name the local folder that save_pretrained wrote the {what} to"]
    problems = [
        f"{path.relative_to(folder)} is a pickle, which can run code when it is loaded: save the "
        "model again with save_pretrained, which writes safetensors, and remove it"
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in PICKLES
    ]
    problems += [
        f"{path.relative_to(folder)} is code, which is never run from a model's folder: remove it"
        for path in sorted(folder.glob("*.py"))
    ]
    if not (folder / "config.json").is_file():
        problems.append("config.json is missing")
    if not any(folder.glob("*.safetensors")):
        problems.append("there are no weights (*.safetensors)")
    return problems


def _transformers() -> Any:
    # Read by the library when it is imported: nothing is ever asked of a model hub.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            "language models need an extra that is not installed: pip install -e '.[content]'"
        ) from error
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    return transformers


def tiny_gpt2(
    vocabulary: Sequence[str], *, width: int, layers: int, room: int, seed: int
) -> LanguageModel:
    """Return a GPT-2 of random weights with a word-level tokenizer.

    The vocabulary is followed by <unk> and <eos>; words are what white space separates.
    """
    transformers = _transformers()
    import tokenizers
    import torch

    ids = {word: place for place, word in enumerate([*vocabulary, "<unk>", "<eos>"])}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token="<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<eos>", unk_token="<unk>"
    )
    config = transformers.GPT2Config(
        vocab_size=len(ids),
        n_positions=room,
        n_embd=width,
        n_layer=layers,
        n_head=max(1, width // 16),
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=ids["<eos>"],
        eos_token_id=ids["<eos>"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.GPT2LMHeadModel(config)
    return LanguageModel(model.eval(), tokenizer)
