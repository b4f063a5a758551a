"""A brand's rules as read from `reward.yaml`: what a text scores and what blocks it."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ppo_marketing.content.plain import in_words
from ppo_marketing.content.rules.contradictions import contradictions
from ppo_marketing.content.rules.terms import Own, Preference, Scorer, Term
from ppo_marketing.errors import UserError

Array = npt.NDArray[Any]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    terms: tuple[Term, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Brand:
    """The terms, in the file's order, and the functions that `own` terms name.

    score(text) = Σ weight · value over terms; the preference term's value is what reward models
    said, in deviations of the reference's texts.
    """

    terms: tuple[Any, ...]
    own: Mapping[str, Scorer] = field(default_factory=dict)

    @property
    def preference(self) -> Preference | None:
        """The term that weighs the reward models, if there is one."""
        return next((term for term in self.terms if isinstance(term, Preference)), None)

    def rules_score(self, texts: Sequence[str], prompts: Sequence[str]) -> Array:
        """Return Σ weight · value of every term but the preference, `[n]`."""
        weighed = [t for t in self.terms if t.weight != 0 and not isinstance(t, Preference)]
        return np.array(
            [
                sum(term.weight * self._value(term, text, prompt) for term in weighed)
                for text, prompt in zip(texts, prompts, strict=True)
            ],
            np.float64,
        )

    def problems(self, text: str, prompt: str) -> tuple[str, ...]:
        """Return every hard rule that the text breaks; none: it may be shown and exported."""
        return tuple(
            said
            for term in self.terms
            if term.hard and (said := self._problem(term, text, prompt)) is not None
        )

    def standing(self, text: str, prompt: str) -> dict[str, str]:
        """Return for every rule, hard or not, "kept" or what is broken, by its kind and place."""
        return {
            f"{place}. {term.kind}": self._problem(term, text, prompt) or "kept"
            for place, term in enumerate(self.terms, 1)
            if not isinstance(term, Preference)
        }

    def _value(self, term: Any, text: str, prompt: str) -> float:
        if not isinstance(term, Own):
            return float(term.value(text, prompt))
        try:
            value = float(self.own[term.function](text, prompt))
        except Exception as error:  # a team's own code may raise anything
            raise UserError(
                f"{term.function} failed on {text!r}: {type(error).__name__}: {error}"
            ) from error
        if not math.isfinite(value):
            raise UserError(f"{term.function} returned {value} for {text!r}, not a finite number")
        return value

    def _problem(self, term: Any, text: str, prompt: str) -> str | None:
        if isinstance(term, Own):
            value = self._value(term, text, prompt)
            return f"{term.function} says {value:g}, below 0" if value < 0 else None
        said: str | None = term.problem(text, prompt)
        return said


def read_brand(path: Path) -> Brand:
    """Return the rules of a `reward.yaml`; own functions are looked for beside it.

    Own functions are the team's code and are run when the rules are.

    Raises:
        UserError: it cannot be read, a term is wrong, terms contradict each other, or a function
            is not there; everything is listed.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"the rules {path} cannot be read: {error}") from error
    return brand_from(content, path.parent, str(path))


def brand_from(content: Any, folder: Path, name: str = "reward.yaml") -> Brand:
    """Return the rules that plain values state, as `read_brand` does, and raise as it does."""
    try:
        terms = _File.model_validate(content).terms
    except ValidationError as error:
        listed = "\n".join(f"  {in_words(problem)}" for problem in error.errors(include_url=False))
        raise UserError(f"the rules {name} cannot be used:\n{listed}") from error
    problems = contradictions(terms)
    own: dict[str, Scorer] = {}
    for term in terms:
        if isinstance(term, Own):
            try:
                own[term.function] = own_function(term.function, folder)
            except UserError as error:
                problems.append(str(error))
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise UserError(f"the rules {name} cannot be kept by any text, or say nothing:\n{listed}")
    return Brand(terms, own)


def own_function(named: str, folder: Path) -> Scorer:
    """Return a team's function FILE.py:NAME of text and prompt, the file looked for in a folder.

    Raises:
        UserError: the file is not there or cannot be run, or has no such function.
    """
    file, name = named.rsplit(":", 1)
    path = folder / file
    spec = importlib.util.spec_from_file_location(f"own_rules_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise UserError(f"own: there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a team's own code may raise anything
        raise UserError(f"own: {path} cannot be run: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise UserError(f"own: {path} has no function {name}(text, prompt)")
    scorer: Scorer = function
    return scorer
