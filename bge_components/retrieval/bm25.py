"""BM25 as a sparse channel: documents and queries as weighted word ids, for an engine that counts the frequencies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from ..contracts import Float32, Int32
from ..errors import InputError
from ..texts import checked_text, checked_texts
from ..vectors import SparseVectors
from .words import ANALYSIS, LANGUAGES, words_of

PRIOR_WORDS = 200
"""Words of a document, as long as none was seen."""

PRIOR_DOCUMENTS = 10
"""How many documents that guess is worth."""


@dataclass(frozen=True, kw_only=True)
class Bm25Settings:
    """How words are counted. All documents and queries of an index need the same; `asdict` gives plain JSON.

    Attributes:
        k1: How slowly a word's repetitions stop to count; 0 counts none.
        b: How much a document's length counts, from 0 to 1.
        average_words: Mean number of words per document; None before `with_average_words`.
        language: How words are stemmed. "auto" goes by the script of each word and takes Latin for English; "none"
            does not stem; a Snowball algorithm ("german", "french", ...) stems every word.
        analysis: Number of the text analysis (`words.ANALYSIS`).
    """

    k1: float = 1.2
    b: float = 0.75
    average_words: float | None = None
    language: str = "auto"
    analysis: int = ANALYSIS

    def __post_init__(self) -> None:
        if not 0 <= self.k1 < math.inf:
            raise InputError(f"k1 of BM25 must be 0 or more, got {self.k1}")
        if not 0 <= self.b <= 1:
            raise InputError(f"b of BM25 must be between 0 and 1, got {self.b}")
        if self.average_words is not None and not 0 < self.average_words < math.inf:
            raise InputError(f"average_words of BM25 must be above 0, got {self.average_words}")
        if self.language not in LANGUAGES:
            raise InputError(f"language of BM25 must be one of {', '.join(LANGUAGES)}; got {self.language!r}")
        if self.analysis != ANALYSIS:
            raise InputError(
                f"words were counted by analysis {self.analysis}, and this release counts by {ANALYSIS}: "
                "index the documents again"
            )


@dataclass(frozen=True)
class Bm25:
    """Counts words (Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009).

    The dot product of a query row and a document row, each query weight multiplied by the inverse document frequency
    `ln(1 + (N - df + 0.5) / (df + 0.5))` of its word, is the BM25 score as Lucene's `BM25Similarity` gave it up to
    version 7 (later ones leave out the constant factor k1 + 1).

    A word's id is a hash of 31 bits. Of a million words 0.05 % share theirs with another and are counted as one.
    """

    settings: Bm25Settings = field(default_factory=Bm25Settings)

    def documents(self, texts: Sequence[str]) -> SparseVectors:
        """Give the rows of documents.

        Returns:
            One row per text: ids of its words, and `tf (k1 + 1) / (tf + k1 (1 - b + b words / average_words))`.

        Raises:
            InputError: If the settings do not say how long documents are.
        """
        average = self.settings.average_words
        if average is None:
            raise InputError("average_words of BM25 is not set: estimate it with `with_average_words`")
        return SparseVectors.from_rows([self._document(text, average) for text in checked_texts(texts)])

    def queries(self, texts: Sequence[str]) -> SparseVectors:
        """Give the rows of queries: ids of their words, and how often each occurs."""
        return SparseVectors.from_rows([_counted(self.words(text)) for text in checked_texts(texts)])

    def words(self, text: str) -> list[str]:
        """Give the words of a text as they are counted: stems, and characters with their neighbours."""
        return words_of(checked_text(text), self.settings.language)

    def words_of_ids(self, text: str) -> dict[int, str]:
        """Give {id: word} of a text: what the ids in its row stand for."""
        return {word_id(word): word for word in self.words(text)}

    def _document(self, text: str, average: float) -> tuple[Int32, Float32]:
        words = self.words(text)
        ids, counts = _counted(words)
        k1, b = self.settings.k1, self.settings.b
        damping = k1 * (1 - b + b * len(words) / average)
        return ids, counts * np.float32(k1 + 1) / (counts + np.float32(damping))


def with_average_words(settings: Bm25Settings, texts: Sequence[str]) -> Bm25Settings:
    """Give settings that say how long documents are, judged by some of them.

    The mean is taken over those texts that have words, and over `PRIOR_DOCUMENTS` more of `PRIOR_WORDS` words, so
    that a handful of odd ones does no harm.
    """
    counts = [len(words_of(text, settings.language)) for text in checked_texts(texts)]
    seen = [PRIOR_DOCUMENTS * PRIOR_WORDS, *filter(None, counts)]
    return replace(settings, average_words=sum(seen) / (len(seen) - 1 + PRIOR_DOCUMENTS))


@lru_cache(maxsize=1 << 18)
def word_id(word: str) -> int:
    """Give the id of a word: the first four bytes of its BLAKE2b hash of 32 bits, big-endian, without the top bit."""
    return int.from_bytes(blake2b(word.encode(), digest_size=4).digest(), "big") & 0x7FFFFFFF


def _counted(words: Sequence[str]) -> tuple[Int32, Float32]:
    counts = Counter(map(word_id, words))
    ids = np.fromiter(counts, np.int32, len(counts))
    order = np.argsort(ids)
    return ids[order], np.fromiter(counts.values(), np.float32, len(counts))[order]
