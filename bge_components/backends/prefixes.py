"""Ids of the beginning of texts: a long text is not tokenised to its end when a few hundred tokens are wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tokenizers import Encoding, Tokenizer

from ..contracts import Cut, Int32

_CHARACTERS_PER_TOKEN = 16
_GROWTH = 4
_SPARE_TOKENS = 32
"""A beginning counts only if it gives so many tokens more than are wanted: what a cut can change lies at its end."""


class PrefixReader:
    """Gives the first ids of texts, the same as if the whole text had been tokenised and the ids cut."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._splits = _splits_at_spaces(tokenizer)

    def read(self, texts: Sequence[str], max_tokens: int) -> tuple[list[Int32], list[Cut]]:
        """Give the first `max_tokens` ids of each text, without special tokens, and what was cut off."""
        rows: dict[int, tuple[Int32, int]] = {}
        waiting = list(range(len(texts)))
        characters = _CHARACTERS_PER_TOKEN * (max_tokens + _SPARE_TOKENS)
        while waiting:
            beginnings = [self._beginning(texts[index], characters) for index in waiting]
            refused = []
            for index, beginning, encoding in zip(waiting, beginnings, self._encoded(beginnings)):
                if len(beginning) < len(texts[index]) and len(encoding) < max_tokens + _SPARE_TOKENS:
                    refused.append(index)
                else:
                    rows[index] = _first_ids(encoding, max_tokens)
            waiting, characters = refused, characters * _GROWTH
        ids = [rows[index][0] for index in range(len(texts))]
        cuts = [Cut(i, len(ids[i]), rows[i][1]) for i in range(len(texts)) if rows[i][1] > 0]
        return ids, cuts

    def _beginning(self, text: str, characters: int) -> str:
        if not self._splits or len(text) <= 2 * characters:
            return text
        end = text.rfind(" ", 0, characters)
        return text[:end] if end > 0 else text

    def _encoded(self, texts: list[str]) -> list[Encoding]:
        found: list[Encoding] = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return found


def _first_ids(encoding: Encoding, max_tokens: int) -> tuple[Int32, int]:
    ids = encoding.ids
    return np.array(ids[:max_tokens], dtype=np.int32), max(0, len(ids) - max_tokens)


def _splits_at_spaces(tokenizer: Tokenizer) -> bool:
    """Say whether a space always ends a word, so that what follows it cannot change the ids before it."""
    if tokenizer.pre_tokenizer is None:
        return False
    pieces = tokenizer.pre_tokenizer.pre_tokenize_str("x y")
    return len(pieces) == 2
