"""Words to ids by hashing: the same in every process, without a vocabulary."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from ..contracts import Cut, Int32
from .fake_faults import NO_FAULTS, FakeFaults
from .fake_words import CLS, SEP, SPECIAL_IDS, SPECIAL_TOKENS, word_id, word_spans, words_of


class FakeTokenizer:
    """A `TextTokenizer`: lower-cased words, single Chinese characters and punctuation marks, hashed by crc32."""

    special_ids = SPECIAL_IDS

    def __init__(self, faults: FakeFaults = NO_FAULTS) -> None:
        self._faults = faults

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[list[Int32], list[Cut]]:
        """Give `<s> words </s>` of each text, cut to `max_tokens`, and the cuts."""
        plain, cuts = self.encode_plain(texts, max(0, max_tokens - 2))
        rows = [np.concatenate(([CLS], ids, [SEP])).astype(np.int32) for ids in plain]
        return rows, [Cut(cut.index, cut.kept + 2, cut.dropped) for cut in cuts]

    def encode_plain(self, texts: Sequence[str], max_tokens: int) -> tuple[list[Int32], list[Cut]]:
        """Give the words of each text, cut to `max_tokens`, and the cuts."""
        self._faults.on_tokenize(texts)
        rows = [np.array([word_id(word) for word in words_of(text)], dtype=np.int32) for text in texts]
        cuts = [
            Cut(index, max_tokens, len(row) - max_tokens)
            for index, row in enumerate(rows)
            if len(row) > max_tokens
        ]
        return [row[:max_tokens] for row in rows], cuts

    def encode_spans(self, texts: Sequence[str]) -> list[tuple[Int32, Int32]]:
        """Give `<s> words </s>` of each text and where in it each stands; see `contracts.TextTokenizer`."""
        rows, _ = self.encode(texts, sys.maxsize)
        spans = [[(-1, -1), *word_spans(text), (len(text), len(text))] for text in texts]
        return [(row, np.array(one, dtype=np.int32)) for row, one in zip(rows, spans)]

    def join_pair(self, first: Int32, second: Int32) -> tuple[Int32, Int32 | None]:
        """Give `<s> first </s></s> second </s>`; the segment of the second text is 1."""
        ids = np.concatenate(([CLS], first, [SEP, SEP], second, [SEP])).astype(np.int32)
        types = np.zeros_like(ids)
        types[len(first) + 3 :] = 1
        return ids, types

    def pair_overhead(self) -> int:
        """Give 4."""
        return 4

    def tokens_of(self, ids: Sequence[int]) -> list[str]:
        """Give names of special tokens; words cannot be found back from their hash, so they become "#id"."""
        return [SPECIAL_TOKENS[token_id] if token_id in SPECIAL_IDS else f"#{token_id}" for token_id in ids]
