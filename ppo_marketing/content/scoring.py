"""What a text is worth to a brand: reward models and rules in one score, and a second opinion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ppo_marketing.content.ensembles import combined, disagreement
from ppo_marketing.content.rules.brand import Brand
from ppo_marketing.content.rules.terms import Preference
from ppo_marketing.content.score_model import ScoreModel
from ppo_marketing.content.tokens import Sequences
from ppo_marketing.errors import UserError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BrandReward:
    """score = weight · combined(members) + Σ weight · value over the brand's other terms."""

    brand: Brand | None
    members: tuple[ScoreModel, ...]
    preference: Preference | None
    models: Path | None = None  # where the members lie

    def __call__(self, rows: Sequences, texts: Sequence[str], prompts: Sequence[str]) -> Array:
        """Return the scores, `[n]`."""
        score = np.zeros(len(texts))
        if self.brand is not None:
            score = score + self.brand.rules_score(texts, prompts)
        if self.preference is not None:
            by_member = self.by_member(rows)
            term = self.preference
            score = score + term.weight * combined(by_member, term.combine, term.penalty)
        return score

    def by_member(self, rows: Sequences) -> Array:
        """Return each member's scores, `[members, n]`."""
        return np.stack([member.scored(rows).double().numpy() for member in self.members])

    def disagreement(self, rows: Sequences) -> Array | None:
        """Return the members' deviation for each text; None where there are not two."""
        return disagreement(self.by_member(rows)) if len(self.members) > 1 else None

    def problems(self, text: str, prompt: str) -> tuple[str, ...]:
        """Return the hard rules that a text breaks."""
        return () if self.brand is None else self.brand.problems(text, prompt)


def brand_reward(
    brand: Brand | None, beside: Path, models: Path | None, how: Preference | None = None
) -> BrandReward:
    """Return the reward of a brand's rules, of reward models, or of both.

    The reward models lie where the rules' preference term says, seen from the folder `beside`, or
    in `models`, then combined as `how` says.

    Raises:
        UserError: the models are named twice, or nothing is, or a folder cannot be used.
    """
    own = None if brand is None else brand.preference
    if own is not None and models is not None:
        raise UserError(
            f"the rules name the reward models {own.folder} and the command {models}: name one"
        )
    term = own
    if own is not None:
        models = beside / own.folder
    elif models is not None:
        term = how or Preference(kind="preference", folder=str(models), weight=1.0)
    if models is None:
        if brand is None or all(one.weight == 0 for one in brand.terms):
            raise UserError(
                "nothing says what a good text is: give reward models (--reward FOLDER), or rules "
                "whose terms have weights (--rules reward.yaml)"
            )
        return BrandReward(brand, (), None)
    members = load_members(models, None if term is None else term.members)
    return BrandReward(brand, members, term, models)


def load_members(folder: Path, most: int | None = None) -> tuple[ScoreModel, ...]:
    """Return the reward models that `content reward` wrote to a folder.

    Raises:
        UserError: there is none, or fewer than `most`.
    """
    places = sorted(folder.glob("member-*"), key=lambda path: int(path.name.split("-")[1]))
    if not places or (most is not None and len(places) < most):
        raise UserError(
            f"{folder} holds {len(places)} reward models"
            + (f" and {most} are asked for" if most else "")
            + ": name the folder that `content reward` wrote to"
        )
    return tuple(ScoreModel.load(place) for place in places[:most])
