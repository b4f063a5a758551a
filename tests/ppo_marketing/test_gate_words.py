"""Every test of the gate has plain words."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from ppo_marketing.gate import GateRules, Outcome, judge
from ppo_marketing.gate_words import OUTCOMES, TESTS, in_words
from tests.support.audits import SOUND


def test_every_test_that_the_gate_makes_asks_a_question_and_says_why() -> None:
    everything = replace(SOUND, limit_excess=0.0, drift=())
    asked = {finding.test for finding in judge(everything, GateRules()).findings}
    assert asked == set(TESTS)
    assert all(words.asks.endswith("?") and words.why.endswith(".") for words in TESTS.values())


def test_every_outcome_has_a_word_and_an_unknown_test_keeps_its_name() -> None:
    assert set(OUTCOMES) == set(get_args(Outcome))
    assert in_words("moonlight").asks == "moonlight"
