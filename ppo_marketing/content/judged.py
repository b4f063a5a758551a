"""What `content gate` found of a model, kept beside the bundle that it speaks of, and verified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ppo_marketing.content.bundle import bundle_sha256
from ppo_marketing.content.release import ContentVerdict, Measured, Shipped, judge
from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.files import read_json, write_atomically
from ppo_marketing.intervals import Bounds
from ppo_marketing.releases import ReleaseRules

FILE, BUNDLE = "content-verdict.json", "policy"


@dataclass(frozen=True)
class Sample:
    """What reference and aligned model write for a prompt, and each rule's standing: "kept", or
    what is broken.
    """

    prompt: str
    reference: str
    aligned: str
    reference_rules: dict[str, str]
    aligned_rules: dict[str, str]

    @property
    def broken(self) -> tuple[int, int]:
        """How many rules the reference's and the aligned model's text break."""
        return _broken(self.reference_rules), _broken(self.aligned_rules)


@dataclass(frozen=True)
class Judgement:
    """A judged model: what was measured, what is allowed, and samples to look at."""

    bundle: Path
    bundle_sha256: str
    judged_with_sha256: str  # of prompts and reward models
    measured: Measured
    shipped: Shipped
    most_nats: float
    most_tokens: int  # texts are drawn so for the gate, and so they are drawn when they leave
    temperature: float
    release: ReleaseRules
    samples: tuple[Sample, ...]
    sha256: str = ""

    @property
    def verdict(self) -> ContentVerdict:
        """The verdict by the rules of the day."""
        return judge(self.measured, self.shipped, self.most_nats)

    @property
    def sample_sentence(self) -> str:
        """What the samples show of the rules, in a sentence."""
        before, after = (sum(s.broken[side] > 0 for s in self.samples) for side in (0, 1))
        return (
            f"As drawn, before anything is blocked: of {len(self.samples)} texts {before} of the "
            f"reference's and {after} of the aligned model's break a rule."
        )


def keep_judgement(folder: Path, judgement: Judgement) -> None:
    """Write a judgement to `folder`, whose bundle it speaks of, with a hash over all of it.

    Raises UserError where the folder cannot be written.
    """
    content = {
        "bundle_sha256": judgement.bundle_sha256,
        "judged_with_sha256": judgement.judged_with_sha256,
        "measured": asdict(judgement.measured),
        "shipped": asdict(judgement.shipped),
        "most_nats": judgement.most_nats,
        "most_tokens": judgement.most_tokens,
        "temperature": judgement.temperature,
        "release": asdict(judgement.release),
        "verdict": judgement.verdict.as_values(),
        "samples": [asdict(sample) for sample in judgement.samples],
    }
    text = json.dumps({"sha256": _digest(content), **content}, indent=1, ensure_ascii=False)
    write_atomically(folder / FILE, (text + "\n").encode())


def kept_judgement(folder: Path) -> Judgement:
    """Return what `keep_judgement` wrote, verified.

    Raises:
        UserError: there is no judgement in `folder`.
        IntegrityError: the file, or the bundle that it speaks of, is not what was judged.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{folder} holds no {FILE}: name the folder that `content gate` wrote to")
    content = read_json(path)
    written = content.pop("sha256", None)
    if written != _digest(content):
        raise IntegrityError(
            f"{path} is not what was written (its SHA-256 differs): judge the model again with "
            "`content gate`"
        )
    if bundle_sha256(folder / BUNDLE) != content["bundle_sha256"]:
        raise IntegrityError(
            f"{folder / BUNDLE} holds another model than the one that was judged: judge it again "
            "with `content gate`"
        )
    return Judgement(
        bundle=folder / BUNDLE,
        bundle_sha256=content["bundle_sha256"],
        judged_with_sha256=content["judged_with_sha256"],
        measured=_measured(content["measured"]),
        shipped=Shipped(**content["shipped"]),
        most_nats=content["most_nats"],
        most_tokens=content["most_tokens"],
        temperature=content["temperature"],
        release=_release_rules(content["release"]),
        samples=tuple(Sample(**sample) for sample in content["samples"]),
        sha256=written,
    )


def _measured(values: dict[str, Any]) -> Measured:
    return Measured(values["kl"], values["win_rate"], Bounds(*values["win_bounds"]))


def _release_rules(values: dict[str, Any]) -> ReleaseRules:
    return ReleaseRules(**{**values, "approvers": tuple(values["approvers"])})


def broken_rules(rules: Mapping[str, str]) -> str:
    """Return the rules that a text breaks, by their kind and place; "none" of a sound one."""
    broken = (rule.partition(". ") for rule, said in rules.items() if said != "kept")
    return ", ".join(f"{kind} (rule {place})" for place, _, kind in broken) or "none"


def _broken(rules: Mapping[str, str]) -> int:
    return sum(said != "kept" for said in rules.values())


def _digest(content: dict[str, Any]) -> str:
    # Through JSON, so that tuples and lists are the same before and after they are kept.
    plain = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
