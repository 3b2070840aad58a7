"""One question three ways: dense vectors alone, hybrid, and hybrid with a reranker, over one index in memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ...assembly import Reranker
from ...contracts import CallOptions, ProgressCallback
from ...encoders import Encoder
from ...retrieval import Document, Hit, HybridIndex, IndexSettings, Query, QueryPlan, Rerank
from .passages import Passage


@dataclass(frozen=True, slots=True)
class Found:
    """A passage in a list of results; `before` is its rank in the stage before, None where it was not in it."""

    passage: Passage
    score: float
    before: int | None


@dataclass(frozen=True, slots=True)
class Stage:
    """What one way of searching found, best first."""

    name: str
    found: list[Found]
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What one question found: by dense vectors alone, by hybrid search, and after reranking that."""

    query: str
    encode_s: float
    stages: list[Stage]


class ThreeWays:
    """Searches passages that were encoded once.

    Attributes:
        cut: How many passages were too long for the encoder and were cut.
    """

    def __init__(
        self, encoder: Encoder, reranker: Reranker, passages: Sequence[Passage], lexical: str, candidates: int
    ) -> None:
        """Set up.

        Args:
            encoder: For recall.
            reranker: For the candidates.
            passages: What is searched.
            lexical: The channel beside the dense one: "sparse" or "bm25".
            candidates: How many passages the reranker gets.
        """
        self._passages = passages
        self._lexical = lexical
        settings = IndexSettings(channels=("dense", lexical), long_documents="cut")
        self._index = HybridIndex(encoder, settings=settings)
        fetch_k = max(100, candidates)
        stage = Rerank(reranker=reranker, candidates=candidates)
        self._plans = {
            "dense": QueryPlan(top_k=candidates, fetch_k=fetch_k, channels=("dense",)),
            "hybrid": QueryPlan(top_k=candidates, fetch_k=fetch_k),
            "reranked": QueryPlan(top_k=candidates, fetch_k=fetch_k, rerank=(stage,)),
        }
        self.cut = 0

    def index(self, progress: ProgressCallback | None) -> float:
        """Encode all passages; give the seconds it took."""
        started = time.perf_counter()
        documents = [
            Document(id=str(number), text=passage.text) for number, passage in enumerate(self._passages)
        ]
        self.cut = self._index.add(documents, CallOptions(progress=progress)).cut
        return time.perf_counter() - started

    def answer(self, query: str) -> Answer:
        """Search for one question in three ways."""
        started = time.perf_counter()
        encoded = self._encoded(query)
        encode_s = time.perf_counter() - started
        stages: list[Stage] = []
        for name, plan in self._plans.items():
            started = time.perf_counter()
            hits = self._index.search(encoded, plan=plan)
            seconds = time.perf_counter() - started
            stages.append(Stage(name, self._found(hits, stages[-1] if stages else None), seconds))
        return Answer(query, encode_s, stages)

    def _encoded(self, query: str) -> Query:
        """Encode the question once, for all stages."""
        outputs = [name for name in ("dense", self._lexical) if name != "bm25"]
        encoding = self._index.encoder.encode([query], "query", outputs)
        sparse = {} if encoding.sparse is None else {"sparse": encoding.sparse.row(0)}
        return Query(text=query, vectors={"dense": encoding.need_dense()[0], **sparse})

    def _found(self, hits: Sequence[Hit], before: Stage | None) -> list[Found]:
        ranks = {} if before is None else {found.passage: rank for rank, found in enumerate(before.found, 1)}
        passages = [self._passages[int(hit.id)] for hit in hits]
        return [Found(passage, hit.score, ranks.get(passage)) for passage, hit in zip(passages, hits)]
