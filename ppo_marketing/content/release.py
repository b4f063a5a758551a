"""What an aligned model must show before it may be used: a pure function of what was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from ppo_marketing.intervals import Bounds


class Beside(Protocol):
    """A model's texts beside its reference's."""

    @property
    def kl(self) -> float:
        """nats a text."""
        ...

    @property
    def win_rate(self) -> float:
        """Share of prompts on which it scores above the reference; ties count half."""
        ...

    @property
    def win_bounds(self) -> Bounds:
        """Its 95 % interval."""
        ...


@dataclass(frozen=True)
class Measured:
    """What was found of a model beside its reference, as it is kept."""

    kl: float
    win_rate: float
    win_bounds: Bounds


@dataclass(frozen=True)
class Shipped:
    """What leaves the house of a model under hard rules."""

    texts: int
    violations: int  # of texts that would be shown
    blocked: int  # reasons for which attempts were not shown
    without_text: int  # prompts for which every attempt was blocked


@dataclass(frozen=True)
class Test:
    """One test of the gate: what was asked, what was found."""

    name: str
    passed: bool
    said: str
    reason: str  # in a word or two, for the record of releases
    advice: str  # what to do where it is not passed


@dataclass(frozen=True)
class ContentVerdict:
    """The tests, all of which must pass."""

    tests: tuple[Test, ...]

    @property
    def passed(self) -> bool:
        """Whether the model may be used."""
        return all(test.passed for test in self.tests)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it may not, in a word or two each."""
        return tuple(sorted(test.reason for test in self.tests if not test.passed))

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do about each."""
        return tuple(f"{t.reason}: {t.advice}" for t in self.tests if not t.passed)

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        if self.passed:
            return "The gate passed this model: it keeps every rule and beats its reference."
        failed = "; ".join(test.name for test in self.tests if not test.passed)
        return f"The gate refused this model: not shown that {failed}."

    def as_values(self) -> dict[str, Any]:
        """Return plain values."""
        return {"passed": self.passed, "tests": [asdict(test) for test in self.tests]}


def judge(compared: Beside, shipped: Shipped, most_nats: float) -> ContentVerdict:
    """Hold a model to its rules, to its reference and to its distance from it.

    Compliance is of texts as they would ship, after blocking: all must keep every hard rule, and no
    prompt may be left without a text. Better is the lower end of the win rate's 95 % interval above
    a half, by scores that no model was trained on. NaN passes no test.
    """
    wins = compared.win_bounds
    return ContentVerdict(
        (
            Test(
                "every text keeps every hard rule",
                shipped.violations == 0 and shipped.texts > 0,
                f"{shipped.violations} of {shipped.texts:,} texts break one; "
                f"{shipped.blocked:,} were blocked before",
                "hard rule broken",
                "look at the rules and the texts; align with the rule as a weighted term too",
            ),
            Test(
                "every prompt has a text",
                shipped.without_text == 0,
                f"{shipped.without_text} prompts have none, every attempt being blocked",
                "prompts without text",
                "give the rules weights so that the model learns to keep them, or loosen them",
            ),
            Test(
                "better than the reference",
                wins.low > 0.5,
                f"wins {compared.win_rate:.1%} [{wins.low:.1%}, {wins.high:.1%}], above 50 % asked",
                "not shown better",
                "judge by more texts (--texts), rate more pairs, or align further",
            ),
            Test(
                "near enough to the reference",
                compared.kl <= most_nats,
                f"{compared.kl:.2f} nats a text, {most_nats:g} allowed",
                "too far from the reference",
                "align with a higher --beta or a lower --target-kl",
            ),
        )
    )
