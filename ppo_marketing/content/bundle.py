"""What leaves alignment to be judged and released: a model with its hard rules, sealed.

policy.json    the SHA-256 of every other file, and one over all of them
model/         safetensors, configuration, tokenizer
reward.yaml    the rules whose hard ones block texts, with the files of own functions beside it
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from ppo_marketing.content.rules.brand import read_brand
from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.files import made, read_json, write_atomically

RECORD, MODEL, RULES = "policy.json", "model", "reward.yaml"
FORM = "language model"


def write_bundle(folder: Path, model: Path, rules: Path) -> str:
    """Copy a model and its rules to `folder`, seal them, and return the SHA-256 of the record.

    The record comes last: without it there is no bundle.

    Raises:
        UserError: a file cannot be read, or the folder cannot be written.
    """
    made(folder)
    (folder / RECORD).unlink(missing_ok=True)
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    try:
        shutil.copytree(model, folder / MODEL)
        write_atomically(folder / RULES, rules.read_bytes())
        for name in {named.rsplit(":", 1)[0] for named in read_brand(rules).own}:
            made((folder / name).parent)
            shutil.copy(rules.parent / name, folder / name)
    except OSError as error:
        raise UserError(f"{model} and {rules} cannot be copied to {folder}: {error}") from error
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    whole = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    record = {"form": FORM, "sha256": whole, "files": files}
    write_atomically(folder / RECORD, (json.dumps(record, indent=1) + "\n").encode())
    return bundle_sha256(folder)


def bundle_sha256(folder: Path) -> str:
    """Return the SHA-256 of a bundle's record, every file held against it first.

    Raises:
        IntegrityError: a file is missing, was changed, or was put in.
    """
    try:
        record = read_json(folder / RECORD)
    except UserError as error:
        raise IntegrityError(f"{folder} holds no bundle of a model any more: {error}") from error
    files = dict(record.get("files", {}))
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {RECORD}
    wrong = sorted(found ^ set(files))
    wrong += [
        name
        for name in sorted(found & set(files))
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != files[name]
    ]
    if wrong:
        raise IntegrityError(
            f"{folder} is not the bundle that was judged; what differs: {', '.join(wrong[:5])}. "
            "Judge the model again with `content gate`"
        )
    return hashlib.sha256((folder / RECORD).read_bytes()).hexdigest()
