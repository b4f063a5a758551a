"""The terms of a brand's reward: each a value to weigh, and a problem that can block a text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeFloat, PositiveInt

from ppo_marketing.content.ensembles import Combination
from ppo_marketing.content.rules import gsm
from ppo_marketing.content.rules.wording import holds, reading_grade, similarity, words

Phrase = Annotated[str, Field(min_length=1)]

CHANNEL_LIMITS: Mapping[str, int] = {"subject_line": 60, "sms": 160, "ad_headline": 30}
"""Characters: what mail clients show of a subject, one text message in GSM 03.38, and a responsive
search ad's headline."""


class _Weighed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: FiniteFloat = 0.0
    """What a value of 1 adds to the score."""
    hard: bool = False
    """Whether a text that breaks the term is blocked, whatever its score."""


class _Checked(_Weighed, ABC):
    """A term that a text itself keeps or breaks."""

    def value(self, text: str, prompt: str) -> float:
        """Return 0 where the term is kept and -1 where it is broken."""
        return 0.0 if self.problem(text, prompt) is None else -1.0

    @abstractmethod
    def problem(self, text: str, prompt: str) -> str | None:
        """Return what of the term a text breaks, in words; None where it keeps it."""


class Banned(_Checked):
    """Phrases that may not stand in a text; the value is minus how many do."""

    kind: Literal["banned"]
    phrases: tuple[Phrase, ...] = Field(min_length=1)

    def value(self, text: str, prompt: str) -> float:
        """Return minus the number of banned phrases in the text."""
        return -float(sum(holds(text, phrase) for phrase in self.phrases))

    def problem(self, text: str, prompt: str) -> str | None:
        """Name the banned phrases that stand in the text."""
        found = [phrase for phrase in self.phrases if holds(text, phrase)]
        return f"says {_quoted(found)}" if found else None


class Required(_Checked):
    """Phrases that must stand in every text; the value is minus how many are missing."""

    kind: Literal["required"]
    phrases: tuple[Phrase, ...] = Field(min_length=1)

    def value(self, text: str, prompt: str) -> float:
        """Return minus the number of required phrases that are missing."""
        return -float(sum(not holds(text, phrase) for phrase in self.phrases))

    def problem(self, text: str, prompt: str) -> str | None:
        """Name the required phrases that are missing."""
        missing = [phrase for phrase in self.phrases if not holds(text, phrase)]
        return f"does not say {_quoted(missing)}" if missing else None


class Disclaimer(_Checked):
    """A sentence that must stand wherever one of some phrases does."""

    kind: Literal["disclaimer"]
    when: tuple[Phrase, ...] = Field(min_length=1)
    text: Phrase

    def problem(self, text: str, prompt: str) -> str | None:
        """Name the phrase that lacks its disclaimer."""
        said = [phrase for phrase in self.when if holds(text, phrase)]
        if not said or holds(text, self.text):
            return None
        return f"says {_quoted(said)} without {self.text!r}"


class Bounded(_Checked):
    """A term that is a measurement with bounds."""

    kind: str

    at_least: FiniteFloat | None = None
    at_most: FiniteFloat | None = None

    @abstractmethod
    def measured(self, text: str, prompt: str) -> float:
        """Return the measurement of a text."""

    def value(self, text: str, prompt: str) -> float:
        """Return minus how far the measurement is beyond its bounds."""
        x = self.measured(text, prompt)
        below = 0.0 if self.at_least is None else max(0.0, self.at_least - x)
        above = 0.0 if self.at_most is None else max(0.0, x - self.at_most)
        return -(below + above)

    def problem(self, text: str, prompt: str) -> str | None:
        """Say which bound the measurement is beyond."""
        x = self.measured(text, prompt)
        if self.at_least is not None and x < self.at_least:
            return f"is {self._said(x)}, below {self.at_least:g}"
        if self.at_most is not None and x > self.at_most:
            return f"is {self._said(x)}, above {self.at_most:g}"
        return None

    def _said(self, x: float) -> str:
        return f"{x:.3g}"


class ReadingLevel(Bounded):
    """The Flesch-Kincaid grade, in school years; for English."""

    kind: Literal["reading_level"]

    def measured(self, text: str, prompt: str) -> float:
        """Return the grade."""
        return reading_grade(text)

    def _said(self, x: float) -> str:
        return f"of reading grade {x:.1f}"


class Length(Bounded):
    """How long a text is."""

    kind: Literal["length"]
    unit: Literal["words", "characters"] = "words"

    def measured(self, text: str, prompt: str) -> float:
        """Return the number of words or characters."""
        return float(len(words(text)) if self.unit == "words" else len(text))

    def _said(self, x: float) -> str:
        return f"{x:.0f} {self.unit} long"


class Tone(Bounded):
    """The mean weight of a text's words in a lexicon; words that are not in it weigh nothing."""

    kind: Literal["tone"]
    lexicon: Mapping[Phrase, FiniteFloat] = Field(min_length=1)

    def measured(self, text: str, prompt: str) -> float:
        """Return the summed weight over the number of words."""
        said = words(text)
        weights = {word: weight for key, weight in self.lexicon.items() for word in words(key)}
        return sum(weights.get(word, 0.0) for word in said) / max(1, len(said))

    def value(self, text: str, prompt: str) -> float:
        """Return the tone itself: more is better."""
        return self.measured(text, prompt)

    def _said(self, x: float) -> str:
        return f"of tone {x:.2f}"


class Similarity(Bounded):
    """Likeness to the nearest approved text: the cosine of words and pairs of words."""

    kind: Literal["similarity"]
    approved: tuple[Phrase, ...] = Field(min_length=1)

    def measured(self, text: str, prompt: str) -> float:
        """Return the largest cosine."""
        return max(similarity(text, other) for other in self.approved)

    def value(self, text: str, prompt: str) -> float:
        """Return the likeness itself: more is better."""
        return self.measured(text, prompt)

    def _said(self, x: float) -> str:
        return f"like approved copy to {x:.2f}"


class Channel(_Checked):
    """What a channel shows: subject line 60 characters, SMS 160 GSM characters, ad headline 30."""

    kind: Literal["channel"]
    channel: Literal["subject_line", "sms", "ad_headline"]

    @property
    def limit(self) -> int:
        """The most characters."""
        return CHANNEL_LIMITS[self.channel]

    def value(self, text: str, prompt: str) -> float:
        """Return minus the share by which the text is too long; -1 for what it cannot hold."""
        if self._unfit(text) is not None:
            return -1.0
        return -max(0, self._count(text) - self.limit) / self.limit

    def problem(self, text: str, prompt: str) -> str | None:
        """Say by how much it is too long, or what an SMS cannot hold."""
        unfit = self._unfit(text)
        if unfit is not None:
            return unfit
        count = self._count(text)
        return None if count <= self.limit else f"is {count} characters, {self._name} {self.limit}"

    @property
    def _name(self) -> str:
        return f"{'an' if self.channel[0] == 'a' else 'a'} {self.channel.replace('_', ' ')}"

    def _unfit(self, text: str) -> str | None:
        if self.channel != "sms":
            return f"has a line break, which {self._name} cannot hold" if "\n" in text else None
        other = gsm.foreign(text)
        if not other:
            return None
        return f"holds {_quoted(other)}, which are not in the SMS alphabet (GSM 03.38)"

    def _count(self, text: str) -> int:
        return gsm.septets(text) if self.channel == "sms" else len(text)


class Scorer(Protocol):
    """A team's own function of a text and its prompt."""

    def __call__(self, text: str, prompt: str) -> float:
        """Return a finite number; below 0 breaks a hard term."""


class Own(_Weighed):
    """A team's own Python function `file.py:name`; hard: a value below 0 blocks."""

    kind: Literal["own"]
    function: Annotated[str, Field(pattern=r"^[^:]+\.py:[A-Za-z_]\w*$")]


class Preference(_Weighed):
    """The reward models that `content reward` wrote, as one score in the reference's deviations."""

    kind: Literal["preference"]
    folder: Phrase
    combine: Combination = "mean"
    penalty: NonNegativeFloat = 0.0
    """λ of "uncertainty": what a unit of the members' variance costs."""
    members: PositiveInt | None = None
    """How many of the members to use; all where not given."""


Term = Annotated[
    Banned
    | Required
    | Disclaimer
    | ReadingLevel
    | Length
    | Tone
    | Similarity
    | Channel
    | Own
    | Preference,
    Field(discriminator="kind"),
]


def _quoted(phrases: Any) -> str:
    return ", ".join(repr(phrase) for phrase in phrases)
