"""The files that people bring: copy, prompts and preferences, one JSON object a line."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppo_marketing.content.preferences import Pair
from ppo_marketing.errors import UserError
from ppo_marketing.files import made, write_atomically

MOST_LISTED = 20


def read_prompts(path: Path) -> list[str]:
    """Return the prompts of a file of {"prompt": ...} lines, each once.

    Raises:
        UserError: the file cannot be read or a line is wrong; every problem is listed.
    """
    rows = _read(path, ("prompt",), lambda row: [])
    return list(dict.fromkeys(row["prompt"] for row in rows))


def read_corpus(path: Path) -> list[tuple[str, str]]:
    """Return the (prompt, text) lines of a copy corpus; raises as `read_prompts` does."""
    return [(row["prompt"], row["text"]) for row in _read(path, ("prompt", "text"), _nothing)]


def read_preferences(path: Path, known_prompts: Collection[str] | None = None) -> list[Pair]:
    """Return the {"prompt", "chosen", "rejected"} lines of a file of rated pairs.

    Raises:
        UserError: the file cannot be read, or a line's texts are equal or empty, or its prompt is
            not one of `known_prompts`; every problem is listed.
    """

    def wrong(row: Mapping[str, str]) -> list[str]:
        problems = []
        if row["chosen"].split() == row["rejected"].split():
            problems.append("chosen and rejected are the same text, so nothing was preferred")
        if known_prompts is not None and row["prompt"] not in known_prompts:
            problems.append(f"the prompt {row['prompt']!r} is not in the prompts file")
        return problems

    rows = _read(path, ("prompt", "chosen", "rejected"), wrong)
    return [Pair(row["prompt"], row["chosen"], row["rejected"]) for row in rows]


def read_pairs(path: Path) -> list[dict[str, str]]:
    """Return the {"prompt", "a", "b"} lines of a file of pairs to rate, as `read_preferences`."""

    def wrong(row: Mapping[str, str]) -> list[str]:
        return ["a and b are the same text"] if row["a"].split() == row["b"].split() else []

    return _read(path, ("prompt", "a", "b"), wrong)


def read_dialogues(path: Path) -> list[Pair]:
    """Return pairs of whole dialogues {"chosen", "rejected"}, as Anthropic's HH-RLHF has them.

    What both share up to their last "Assistant:" is the prompt. Pairs whose dialogues part before,
    whose last answers are equal, or one of which is empty, are left out, since no one prompt has
    both texts.
    """
    marker = "\n\nAssistant:"
    pairs = []
    for row in read_lines(path):
        chosen, rejected = str(row.get("chosen", "")), str(row.get("rejected", ""))
        prompt, _, answer = chosen.rpartition(marker)
        other_prompt, _, other = rejected.rpartition(marker)
        same = prompt and prompt == other_prompt
        if same and answer.strip() and other.strip() and answer.split() != other.split():
            pairs.append(Pair(prompt + marker, answer.strip(), other.strip()))
    if not pairs:
        raise UserError(f"{path} holds no pair of dialogues that share their prompt")
    return pairs


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file of one JSON object a line, packed with gzip where it ends so.

    Raises:
        UserError: it cannot be read; every line that is no object is listed.
    """
    content = _bytes(path)
    rows, problems = [], []
    try:
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            problems.append(f"line {number}: no JSON ({error})")
            continue
        if isinstance(row, dict):
            rows.append(row)
        else:
            problems.append(f'line {number}: must be an object, {{"prompt": ...}}')
    if problems:
        listed = "\n  ".join(problems[:MOST_LISTED])
        raise UserError(f"{path} must hold one JSON object a line:\n  {listed}")
    return rows


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, the file whole or not at all."""
    made(path.parent)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(path, text.encode())


def as_rows(pairs: Sequence[Pair]) -> list[dict[str, str]]:
    """Return pairs as the lines that `read_preferences` reads."""
    return [
        {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected} for pair in pairs
    ]


def file_sha256(path: Path) -> str:
    """Return a file's hash.

    Raises:
        UserError: it cannot be read.
    """
    return hashlib.sha256(_bytes(path)).hexdigest()


def folder_sha256(folder: Path) -> str:
    """Return the hash of every file of a model's folder, names included."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _nothing(row: Mapping[str, str]) -> list[str]:
    return []


def _read(
    path: Path, names: Sequence[str], wrong: Callable[[Mapping[str, str]], list[str]]
) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    problems: list[str] = []
    for number, row in enumerate(read_lines(path), 1):
        missing = [name for name in names if not isinstance(row.get(name), str)]
        empty = [name for name in names if name not in missing and not row[name].strip()]
        said = [f"{', '.join(missing)} must be given, as text"] if missing else []
        said += [f"{', '.join(empty)} is empty"] if empty else []
        said = said or wrong(row)
        problems += [f"line {number}: {problem}" for problem in said]
        rows.append(row)
    if not rows:
        problems.append("there is no line")
    if problems:
        more = len(problems) - MOST_LISTED
        listed = "\n  ".join(problems[:MOST_LISTED] + ([f"and {more} more"] if more > 0 else []))
        raise UserError(f"{path} cannot be used:\n  {listed}")
    return rows


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
