"""The gate's tests in plain words: what each asks, and why it is asked (docs/evidence.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class InWords(NamedTuple):
    """A test as a marketer reads it."""

    asks: str
    why: str


TESTS: Mapping[str, InWords] = {
    "support": InWords(
        "Does it do what the log has seen?",
        "Where the log holds hardly anything of what the policy does, nobody knows what would come "
        "of it, however sure a simulator sounds.",
    ),
    "residual": InWords(
        "Did the simulator foretell the right number of events where the policy acts?",
        "On days that it was not fitted to, the log already did part of what the policy does. More "
        "events foretold there than seen means a simulator that promises too much.",
    ),
    "cross-half": InWords(
        "Do both halves of the log agree on what it is worth?",
        "A policy that is worth much less by the half that it has not seen lives on the noise of "
        "the other.",
    ),
    "ensemble": InWords(
        "Does it beat the best rule whatever the simulator does not know?",
        "The simulator is fitted several times, to resampled logs. A lead that some of these fits "
        "do not see is no lead.",
    ),
    "log": InWords(
        "Does the log alone show that it earns more?",
        "Without any simulator: what the held-out days themselves say the policy would have earned "
        "beyond what was done. At least the lower bound, with 95 % confidence.",
    ),
    "events": InWords(
        "Do enough events speak of it?",
        "A conclusion from a handful of purchases or clicks is a guess.",
    ),
    "limit": InWords(
        "Does it keep the limit that it was trained to keep?",
        "Held in its own simulator, the limit must also hold where it is judged.",
    ),
    "drift": InWords(
        "Does it change no more at once than was agreed?",
        "Large swings against what runs today are wanted on purpose, not by surprise.",
    ),
    "optimism gap": InWords(
        "How much better does it look where it was trained?",
        "A policy always looks best in its own simulator. This says by how much to discount; it "
        "refuses nothing.",
    ),
}

OUTCOMES: Mapping[str, str] = {
    "passed": "passed",
    "warned": "worth a look",
    "refused": "refused",
    "not applicable": "not asked",
}


def in_words(test: str) -> InWords:
    """A test in plain words; one without any is named as it is."""
    return TESTS.get(test, InWords(test, ""))
