"""Two-stage retrieval at its smallest: recall by dense vectors, then a reranker over the candidates."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...assembly import Reranker
from ...contracts import CallOptions, Float32, ProgressCallback
from ...encoders import Encoder
from .passages import Passage


@dataclass(frozen=True, slots=True)
class Found:
    """A passage in a list of results; `before` is its rank after recall alone, from 1."""

    passage: Passage
    score: float
    before: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What one question found, before and after reranking, best first."""

    query: str
    recalled: list[Found]
    reranked: list[Found]
    recall_s: float
    rerank_s: float


class TwoStage:
    """Searches passages that were encoded once.

    Attributes:
        cut: How many passages were too long for the encoder and were cut.
    """

    def __init__(
        self, encoder: Encoder, reranker: Reranker, passages: Sequence[Passage], candidates: int
    ) -> None:
        """Set up.

        Args:
            encoder: For recall.
            reranker: For the candidates.
            passages: What is searched.
            candidates: How many passages recall hands to the reranker.
        """
        self._encoder = encoder
        self._reranker = reranker
        self._passages = passages
        self._candidates = candidates
        self._vectors: Float32 = np.zeros((0, 0), dtype=np.float32)
        self.cut = 0

    def index(self, progress: ProgressCallback | None) -> float:
        """Encode all passages; give the seconds it took."""
        started = time.perf_counter()
        texts = [passage.text for passage in self._passages]
        options = CallOptions(progress=progress)
        encoding = self._encoder.encode(texts, "document", options=options)
        self._vectors, self.cut = encoding.need_dense().values, len(encoding.cut)
        return time.perf_counter() - started

    def answer(self, query: str) -> Answer:
        """Search for one question, in both stages."""
        started = time.perf_counter()
        recalled = self._recall(query)
        between = time.perf_counter()
        ranking = self._reranker.rank(query, [found.passage.text for found in recalled])
        finished = time.perf_counter()
        reranked = [Found(recalled[index].passage, score, index + 1) for index, score in ranking]
        return Answer(query, recalled, reranked, between - started, finished - between)

    def _recall(self, query: str) -> list[Found]:
        vector = self._encoder.encode([query], "query").need_dense().values[0]
        scores = self._vectors @ vector  # (passages,)
        best = np.argsort(-scores, kind="stable")[: self._candidates]
        return [
            Found(self._passages[index], float(scores[index]), rank)
            for rank, index in enumerate(best.tolist(), start=1)
        ]
