"""Words and phrases in texts, found however they are written; and how hard a text is to read."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import pairwise

_TOKEN = re.compile(r"[^\W_]+|[%#&+$€£¥]")
_SENTENCE_END = re.compile(r"[.!?…]+(?=\s|$)")
_VOWELS = re.compile(r"[aeiouyäöüàèéùìò]+")


def words(text: str) -> tuple[str, ...]:
    """Return a text's words without case, marks, invisible characters and punctuation.

    Full-width letters, accents, zero-width characters and dots between letters change no word, so
    that they hide none. Letters of other alphabets that look alike are not recognised.
    """
    return _words(text)


@lru_cache(maxsize=4096)
def _words(text: str) -> tuple[str, ...]:
    folded = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(c for c in folded if unicodedata.category(c) not in ("Mn", "Cf"))
    return tuple(_TOKEN.findall(plain))


def holds(text: str, phrase: str) -> bool:
    """Whether the words of a phrase stand in a text, one after another and whole.

    A word that is spelt out (f r e e, f.r.e.e) counts as the word. Inflections do not: list each.
    """
    wanted, said = words(phrase), words(text)
    letters = tuple("".join(wanted))
    return _within(wanted, said) or (len(letters) >= 3 and _within(letters, said))


def _within(wanted: tuple[str, ...], said: tuple[str, ...]) -> bool:
    n = len(wanted)
    return n > 0 and any(said[i : i + n] == wanted for i in range(len(said) - n + 1))


def syllables(word: str) -> int:
    """Return about how many syllables an English word has: groups of vowels, less a silent e."""
    groups = len(_VOWELS.findall(word))
    if word.endswith("e") and not word.endswith(("le", "ee")) and groups > 1:
        groups -= 1
    return max(1, groups)


def reading_grade(text: str) -> float:
    """Return the Flesch-Kincaid grade: the school year that English of this length takes.

    .39 words / sentences + 11.8 syllables / words - 15.59; never below 0, and 0 without words

    Source: Kincaid et al. 1975.
    """
    said = [word for word in words(text) if word.isalpha()]
    if not said:
        return 0.0
    sentences = max(1, len(_SENTENCE_END.findall(text)))
    spoken = sum(map(syllables, said))
    return max(0.0, 0.39 * len(said) / sentences + 11.8 * spoken / len(said) - 15.59)


def similarity(text: str, other: str) -> float:
    """Return the cosine of two texts' counts of words and pairs of words, in [0, 1]."""
    one, two = _grams(text), _grams(other)
    product = sum(count * two[gram] for gram, count in one.items())
    norm = (sum(c * c for c in one.values()) * sum(c * c for c in two.values())) ** 0.5
    return product / norm if norm else 0.0


def _grams(text: str) -> Counter[tuple[str, ...]]:
    said = words(text)
    return Counter([(word,) for word in said]) + Counter(pairwise(said))
