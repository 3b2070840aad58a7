"""The vocabulary of the fake: every word has the id that its hash gives, the same in every process."""

from __future__ import annotations

import re
import zlib

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
SPECIAL_IDS = frozenset(range(len(SPECIAL_TOKENS)))
CLS, SEP = 0, 2

_VOCABULARY = 2**20
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+|[^\w\s]")


def words_of(text: str) -> list[str]:
    """Split a text into lower-cased words, single Chinese characters and punctuation marks."""
    return _WORD.findall(text.lower())


def word_spans(text: str) -> list[tuple[int, int]]:
    """Give where in the text each word of `words_of` stands: first character, and the one behind the last."""
    places = [place for place, character in enumerate(text) for _ in character.lower()]
    return [(places[word.start()], places[word.end() - 1] + 1) for word in _WORD.finditer(text.lower())]


def word_id(word: str) -> int:
    """Give the id of one word as `words_of` gives it."""
    free = _VOCABULARY - len(SPECIAL_TOKENS)
    return len(SPECIAL_TOKENS) + zlib.crc32(word.encode("utf-8", "replace")) % free
