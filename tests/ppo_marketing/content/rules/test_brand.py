from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ppo_marketing.content.rules.brand import Brand, brand_from, read_brand
from ppo_marketing.errors import UserError


def brand(*terms: dict[str, Any]) -> Brand:
    return brand_from({"terms": list(terms)}, Path())


def refusal(*terms: dict[str, Any]) -> str:
    with pytest.raises(UserError) as refused:
        brand(*terms)
    assert refused.value.exit_code == 3
    return str(refused.value)


BANNED = {"kind": "banned", "phrases": ["guaranteed", "free"], "hard": True}


def test_a_hard_rule_blocks_whatever_the_score() -> None:
    rules = brand(BANNED, {"kind": "tone", "lexicon": {"warm": 100.0}, "weight": 100.0})
    assert rules.rules_score(["warm warm free"], [""])[0] > 1000
    assert rules.problems("warm warm free", "") == ("says 'free'",)
    assert rules.problems("warm", "") == ()


def test_a_soft_rule_is_weighed_and_never_blocks() -> None:
    rules = brand({**BANNED, "hard": False, "weight": 2.0})
    assert rules.rules_score(["free and guaranteed", "warm"], ["", ""]).tolist() == [-4.0, 0.0]
    assert rules.problems("free", "") == ()


@pytest.mark.parametrize(
    ("term", "kept", "broken", "said"),
    [
        ({"kind": "required", "phrases": ["Acme"]}, "by ACME.", "by us", "does not say 'Acme'"),
        (
            {"kind": "disclaimer", "when": ["off"], "text": "Terms apply"},
            "20 off. Terms apply.",
            "20 off",
            "without 'Terms apply'",
        ),
        ({"kind": "length", "at_most": 3}, "a b c", "a b c d", "4 words long, above 3"),
        (
            {"kind": "length", "at_least": 3, "unit": "characters"},
            "abc",
            "ab",
            "2 characters long, below 3",
        ),
        (
            {"kind": "reading_level", "at_most": 8},
            "We like it.",
            "Institutional diversification.",
            "reading grade",
        ),
        (
            {"kind": "tone", "lexicon": {"cheap": -1}, "at_least": -0.1},
            "warm shoes",
            "cheap shoes",
            "of tone -0.50",
        ),
        (
            {"kind": "similarity", "approved": ["try our shoes"], "at_least": 0.5},
            "try our shoes now",
            "buy",
            "like approved copy to 0.00",
        ),
        ({"kind": "channel", "channel": "ad_headline"}, "x" * 30, "x" * 31, "is 31 characters"),
        ({"kind": "channel", "channel": "subject_line"}, "x" * 60, "x" * 61, "is 61 characters"),
        ({"kind": "channel", "channel": "subject_line"}, "x", "x\ny", "line break"),
        ({"kind": "channel", "channel": "sms"}, "x" * 160, "x" * 161, "is 161 characters"),
        ({"kind": "channel", "channel": "sms"}, "€" * 80, "€" * 81, "is 162 characters"),
        ({"kind": "channel", "channel": "sms"}, "ok", "it’s", "not in the SMS alphabet"),
    ],
)
def test_every_kind_of_rule_is_kept_or_broken(
    term: dict[str, Any], kept: str, broken: str, said: str
) -> None:
    rules = brand({**term, "hard": True, "weight": 1.0})
    assert rules.problems(kept, "") == ()
    (problem,) = rules.problems(broken, "")
    assert said in problem
    values = rules.rules_score([kept, broken], ["", ""])
    assert values[0] > values[1]


def test_a_teams_own_function_scores_and_blocks(tmp_path: Path) -> None:
    (tmp_path / "ours.py").write_text(
        "def about(text, prompt):\n    return 1.0 if prompt in text else -2.0\n"
        "def nan(text, prompt):\n    return float('nan')\n"
    )
    file = tmp_path / "reward.yaml"
    file.write_text("terms:\n- {kind: own, function: 'ours.py:about', weight: 3, hard: true}\n")
    rules = read_brand(file)
    assert rules.rules_score(["try shoes", "try"], ["shoes", "shoes"]).tolist() == [3.0, -6.0]
    assert rules.problems("try", "shoes") == ("ours.py:about says -2, below 0",)
    file.write_text("terms:\n- {kind: own, function: 'ours.py:nan', weight: 3}\n")
    with pytest.raises(UserError, match="not a finite number"):
        read_brand(file).rules_score(["x"], ["y"])
    file.write_text(
        "terms:\n- {kind: own, function: 'ours.py:none', weight: 3}\n"
        "- {kind: own, function: 'theirs.py:f', weight: 3}\n"
    )
    with pytest.raises(UserError, match=r"no function none[\s\S]*no file"):
        read_brand(file)


def test_contradictions_are_refused_and_all_listed() -> None:
    said = refusal(
        BANNED,
        {"kind": "required", "phrases": ["Totally free"], "hard": True},
        {"kind": "disclaimer", "when": ["off"], "text": "x" * 31, "hard": True},
        {"kind": "channel", "channel": "ad_headline", "hard": True},
        {"kind": "length", "at_least": 20, "at_most": 10, "hard": True},
        {"kind": "similarity", "approved": ["Guaranteed!"], "weight": 1.0},
        {"kind": "tone", "lexicon": {"warm": 1.0}},
        {"kind": "preference", "folder": "models", "hard": True},
        {"kind": "reading_level", "hard": True},
    )
    for part in (
        "required 'Totally free' holds the banned phrase 'free'",
        "takes 31 characters, the channel ad_headline has 30",
        "at_least 20 is above at_most 10",
        "at least 20 words do not fit",
        "approved copy 'Guaranteed!' holds the banned phrase 'guaranteed'",
        "tone: has neither a weight nor hard",
        "a learned score cannot be a hard rule",
        "reading_level: is hard and has no bound",
    ):
        assert part in said


def test_required_phrases_must_fit_together_and_into_the_sms_alphabet() -> None:
    sms = {"kind": "channel", "channel": "sms", "hard": True}
    long = {"kind": "required", "phrases": ["a" * 100, "b" * 100], "hard": True}
    assert "take 201 characters, the channel sms has 160" in refusal(sms, long)
    assert "which no SMS can" in refusal(
        sms, {"kind": "required", "phrases": ["it’s"], "hard": True}
    )


def test_two_lengths_may_not_exclude_each_other() -> None:
    said = refusal(
        {"kind": "length", "at_least": 12, "hard": True},
        {"kind": "length", "at_most": 8, "weight": 1.0},
    )
    assert "at least 12 words, another for at most 8" in said


def test_what_is_misspelt_is_listed(tmp_path: Path) -> None:
    said = refusal(
        {"kind": "baned", "phrases": ["x"]},
        {"kind": "banned", "phrase": ["x"], "hard": True},
        {"kind": "channel", "channel": "fax", "hard": True},
        {"weight": 1.0},
    )
    for part in ("no such kind", "no such setting", "it must be given", "needs its kind"):
        assert part in said
    with pytest.raises(UserError, match="must be a mapping"):
        brand_from(["terms"], tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        read_brand(tmp_path / "absent.yaml")


def test_rules_say_of_a_text_which_it_keeps_and_which_it_breaks() -> None:
    rules = brand(BANNED, {"kind": "length", "at_most": 3, "weight": 1.0})
    assert rules.standing("free to try it", "") == {
        "1. banned": "says 'free'",
        "2. length": "is 4 words long, above 3",
    }
