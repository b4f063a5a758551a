from __future__ import annotations

import pytest

from ppo_marketing.content.rules import gsm
from ppo_marketing.content.rules.wording import holds, reading_grade, similarity, syllables


@pytest.mark.parametrize(
    "text",
    [
        "It is free today",
        "FREE!",
        "it's F R E E",
        "f.r.e.e shipping",
        "ｆｒｅｅ",
        "fr\u200bee",
        "frée",
        "f-r-e-e",
    ],
)
def test_a_phrase_is_found_however_it_is_written(text: str) -> None:
    assert holds(text, "free")


@pytest.mark.parametrize("text", ["freedom", "carefree", "", "fre e", "f r e d"])
def test_parts_of_words_are_not_the_word(text: str) -> None:
    assert not holds(text, "free")


def test_a_phrase_is_its_words_in_a_row_with_their_signs() -> None:
    assert holds("Save 100 % now", "100%")
    assert holds("Terms, apply.", "terms apply")
    assert not holds("terms that apply", "terms apply")
    assert not holds("save 100 now", "100%")


def test_the_gsm_alphabet_has_127_characters_and_ten_that_count_twice() -> None:
    assert len(gsm.BASIC) == 127
    assert len(gsm.EXTENSION) == 10
    assert gsm.septets("10 € [now]") == len("10 € [now]") + 3
    assert gsm.foreign("déjà vu ’ê’") == ("’", "ê")
    with pytest.raises(ValueError, match="not in GSM"):
        gsm.septets("ê")


def test_the_reading_grade_is_flesch_and_kincaids() -> None:
    # Six words of one syllable in one sentence: .39 * 6 + 11.8 - 15.59 < 0.
    assert reading_grade("The cat sat on the mat.") == 0.0
    hard = "Institutional diversification facilitates international capitalisation."
    assert reading_grade(hard) > 20.0
    assert reading_grade("") == 0.0
    assert [syllables(w) for w in ("shoe", "table", "comfort", "make")] == [1, 2, 2, 1]


def test_a_text_is_like_itself_and_unlike_another() -> None:
    assert similarity("Try our warm shoes", "try our warm shoes!") == pytest.approx(1.0)
    assert similarity("try our shoes", "sell a lamp") == 0.0
    assert 0.0 < similarity("try our shoes", "try our lamp") < 1.0
