"""What a search gives: documents with their scores, and why each was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..contracts import Float32
from .contracts import Window


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one channel says of a hit.

    Attributes:
        score: On the channel's own scale: cosine (dense, multi), sum of products (sparse), BM25; None where the
            channel gave none.
        rank: From 1, among what the channel recalled ("multi": among what it scored); None where it did not.
    """

    score: float | None
    rank: int | None


@dataclass(frozen=True, kw_only=True)
class MatchedToken:
    """A token or word that query and passage share.

    Attributes:
        token: As the vocabulary spells it ("▁What", "##ing"), or the word that BM25 counts.
        query_weight: Its weight in the query; for BM25 with the inverse document frequency.
        passage_weight: Its weight in the passage.
    """

    token: str
    query_weight: float
    passage_weight: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Alignment:
    """Which token of the query met which of the passage in late interaction.

    Attributes:
        query_tokens: Of the query, without the first special token.
        passage_tokens: Of the passage, likewise.
        cosines: float32 array, shape (query tokens, passage tokens); with a projection, dot products near cosines.
    """

    query_tokens: tuple[str, ...]
    passage_tokens: tuple[str, ...]
    cosines: Float32

    def pairs(self) -> list[tuple[str, str, float]]:
        """Give each query token with the passage token that it is nearest to, and their cosine."""
        if not self.cosines.size:
            return []
        best = self.cosines.argmax(axis=1)
        return [
            (token, self.passage_tokens[place], float(self.cosines[row, place]))
            for row, (token, place) in enumerate(zip(self.query_tokens, best.tolist()))
        ]


@dataclass(frozen=True, eq=False, kw_only=True)
class Explanation:
    """Why a hit was found.

    Attributes:
        matched: By sparse channel ("sparse", "bm25"), the shared tokens, the heaviest product first.
        alignment: Of late interaction; None where the index keeps no token vectors or the query had none.
    """

    matched: Mapping[str, tuple[MatchedToken, ...]] = field(default_factory=dict)
    alignment: Alignment | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Hit:
    """A document that was found.

    Attributes:
        id: The document's.
        score: Of the last stage that saw it.
        text: The whole document.
        metadata: The document's.
        passage: What was compared: the best window of a long document, else the whole text.
        window: Which window that is; None where the document has just one.
        parts: By channel.
        fused: The fused score (of a single channel: its score).
        reranked: The last reranker's score; None where none saw it.
        explanation: Where it was asked for.
    """

    id: str
    score: float
    text: str
    metadata: dict[str, Any]
    passage: str
    window: Window | None
    parts: Mapping[str, Part]
    fused: float
    reranked: float | None = None
    explanation: Explanation | None = None
