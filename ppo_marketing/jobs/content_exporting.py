"""Copy that leaves the house: written by a judged model under its own rules, as files to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ppo_marketing.access import Permission
from ppo_marketing.audit_trail import read_trail
from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.bundle import MODEL, RULES
from ppo_marketing.content.judged import kept_judgement
from ppo_marketing.content.models import load_language_model
from ppo_marketing.content.rules.brand import read_brand
from ppo_marketing.content.stages.files import read_prompts
from ppo_marketing.content.stages.texts import Written, allowed_texts, deck_of
from ppo_marketing.errors import GateNotPassed, Refused
from ppo_marketing.jobs.admission import admit
from ppo_marketing.jobs.content import braze_catalog
from ppo_marketing.jobs.content_judging import PROMPTS
from ppo_marketing.jobs.releasable import LANGUAGE_MODEL, Releasable, releasable
from ppo_marketing.jobs.release_book import Desk, trail_of
from ppo_marketing.ppo.threads import single_threaded
from ppo_marketing.releases import require_in_force, standing

DECK, CATALOG = "copy-deck.csv", "braze-catalog.csv"


@dataclass(frozen=True)
class Exported:
    """The files by name, and what they hold; `blocked` counts reasons, `without` names prompts."""

    files: dict[str, bytes]
    rows: tuple[dict[str, str], ...]
    blocked: int
    without: tuple[str, ...]


def export_copy(judged: Path, desk: Desk, *, per_prompt: int, seed: int) -> Exported:
    """Write texts for the prompts that a model was judged by, as a copy deck and a Braze catalog.

    Texts are drawn as they were for the gate. One that breaks a hard rule is drawn again, and never
    part of a file: the rows are held against the rules once more when all are there.

    Raises:
        Refused: whoever signed in may not, which is recorded; an override has expired; texts do
            not fit a catalog; or no prompt has a text that keeps the rules.
        GateNotPassed: the model was refused, and is not the champion by override.
        IntegrityError: the verdict or the bundle is not what was judged.
    """
    admit(desk, Permission.EXPORT, decision=LANGUAGE_MODEL, asked=f"export copy of {judged.name}")
    found = releasable(judged)
    _require_may_leave(found, desk)
    how = kept_judgement(judged)
    config = AlignmentConfig(most_tokens=how.most_tokens, temperature=how.temperature)
    language = load_language_model(found.policy / MODEL)
    brand = read_brand(found.policy / RULES)
    asked = [prompt for prompt in read_prompts(judged / PROMPTS) for _ in range(per_prompt)]
    with single_threaded():
        written = allowed_texts(language, brand, asked, config, np.random.default_rng(seed))
    rows = _rows(written)
    broken = [row["text"] for row in rows if brand.problems(row["text"], row["prompt"])]
    if broken or not rows:
        raise Refused(
            "nothing is exported: "
            + (f"{len(broken)} texts break a hard rule" if broken else "every text was blocked")
        )
    return Exported(
        {DECK: deck_of(rows), CATALOG: braze_catalog(rows)},
        tuple(rows),
        sum(len(one.blocked) for one in written),
        tuple(dict.fromkeys(one.prompt for one in written if one.text is None)),
    )


def _rows(written: list[Written]) -> list[dict[str, str]]:
    return [{"prompt": one.prompt, "text": one.text} for one in written if one.text is not None]


def _require_may_leave(found: Releasable, desk: Desk) -> None:
    """Let pass what the gate passed, or what is the champion by an override that still holds."""
    if found.passed:
        return
    now = standing(read_trail(trail_of(desk.project)), found.decision)
    if now is None or now.champion.policy_sha256 != found.policy_sha256:
        listed = "".join(f"\n  {line}" for line in found.advice)
        raise GateNotPassed(f"{found.sentence} Nothing was exported.{listed}")
    require_in_force(now.champion, desk.now)
