"""What a vector store over a hybrid index can be asked for: LangChain's searches, blocking and awaited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from ..errors import InputError
from ..retrieval import Diversity, Hit, HybridIndex, Query, QueryPlan
from .documents import of_hit
from .embeddings import BGEEmbeddings
from .indexes import call_options

_KNOWN = ("k", "filter", "plan", "fetch_k", "lambda_mult", "score_threshold")
ScoredDocuments = list[tuple[Document, float]]


class IndexSearches(VectorStore):
    """The searches of a vector store, each with its async twin.

    All of them take `filter`, a mapping such as `{"lang": "en", "year": {"$gte": 2020}}` or one of the filter classes
    of `bge_components.retrieval`, and `plan`, a `QueryPlan` for this search alone. Other arguments are errors.

    Attributes:
        index: What is searched.
        plan: How; None is as the index says.
    """

    index: HybridIndex
    plan: QueryPlan | None
    _embedding: BGEEmbeddings | None

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Find documents by all channels of the index.

        Args:
            query: What is looked for.
            k: How many, at most.
            kwargs: `filter` and `plan`.

        Returns:
            Best first, with their ids; equal scores in an order that is always the same.

        Raises:
            InputError: If an argument is unknown or makes no sense.
            FilterError: If the filter makes no sense.
            IndexStoreError: If the engine fails.

        Example:
            ```python
            store.similarity_search("What does M3 give?", k=2, filter={"lang": "en"})
            ```
        """
        return _plain(self._search(query, k, **kwargs))

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Do `similarity_search` without blocking the event loop.

        Example:
            ```python
            await store.asimilarity_search("What does M3 give?", k=2)
            ```
        """
        return _plain(await self._asearch(query, k, **kwargs))

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> ScoredDocuments:
        """Find documents and their scores: larger is better, on the scale of the plan's last stage.

        A fused score compares the documents of one search and nothing else; for a scale that can be compared, see
        `similarity_search_with_relevance_scores`.

        Example:
            ```python
            [(best, score)] = store.similarity_search_with_score("What does M3 give?", k=1)
            ```
        """
        return [(of_hit(hit), hit.score) for hit in self._search(query, k, **kwargs)]

    async def asimilarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> ScoredDocuments:
        """Do `similarity_search_with_score` without blocking the event loop.

        Example:
            ```python
            [(best, score)] = await store.asimilarity_search_with_score("What does M3 give?", k=1)
            ```
        """
        return [(of_hit(hit), hit.score) for hit in await self._asearch(query, k, **kwargs)]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Find the documents whose dense vectors are nearest; a vector says nothing to the other channels.

        Args:
            embedding: As `BGEEmbeddings.embed_query` gives it.
            k: How many, at most.
            kwargs: `filter` and `plan`.

        Raises:
            InputError: If the vector has other dimensions than the index.
            MissingChannelError: If the index keeps no dense vectors.

        Example:
            ```python
            store.similarity_search_by_vector(store.embeddings.embed_query("What does M3 give?"))
            ```
        """
        return _plain(self._search(_vector(embedding), k, **kwargs))

    async def asimilarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Do `similarity_search_by_vector` without blocking the event loop.

        Example:
            ```python
            await store.asimilarity_search_by_vector(await store.embeddings.aembed_query("What does M3 give?"))
            ```
        """
        return _plain(await self._asearch(_vector(embedding), k, **kwargs))

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Find documents that answer the query and differ from one another, by their dense vectors.

        Args:
            query: What is looked for.
            k: How many, at most.
            fetch_k: Of how many of the best they are chosen.
            lambda_mult: 1 looks at relevance alone, 0 at diversity alone.
            kwargs: `filter` and `plan`.

        Returns:
            In the order in which they were chosen; the first is the best answer.

        Example:
            ```python
            store.max_marginal_relevance_search("What does M3 give?", k=2, fetch_k=10, lambda_mult=0.3)
            ```
        """
        return _plain(self._search(query, k, diversity=_diversity(fetch_k, lambda_mult), **kwargs))

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Do `max_marginal_relevance_search` without blocking the event loop.

        Example:
            ```python
            await store.amax_marginal_relevance_search("What does M3 give?", k=2)
            ```
        """
        return _plain(await self._asearch(query, k, diversity=_diversity(fetch_k, lambda_mult), **kwargs))

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Do `max_marginal_relevance_search` for a dense vector; see `similarity_search_by_vector`.

        Example:
            ```python
            store.max_marginal_relevance_search_by_vector(store.embeddings.embed_query("What does M3 give?"))
            ```
        """
        diversity = _diversity(fetch_k, lambda_mult)
        return _plain(self._search(_vector(embedding), k, diversity=diversity, **kwargs))

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Do `max_marginal_relevance_search_by_vector` without blocking the event loop.

        Example:
            ```python
            vector = await store.embeddings.aembed_query("What does M3 give?")
            await store.amax_marginal_relevance_search_by_vector(vector, k=2)
            ```
        """
        diversity = _diversity(fetch_k, lambda_mult)
        return _plain(await self._asearch(_vector(embedding), k, diversity=diversity, **kwargs))

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> ScoredDocuments:
        """Give documents in the order of the search, with a relevance between 0 and 1; see `relevance`."""
        return [(of_hit(hit), relevance(hit)) for hit in self._search(query, k, **kwargs)]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> ScoredDocuments:
        return [(of_hit(hit), relevance(hit)) for hit in await self._asearch(query, k, **kwargs)]

    def _search(self, query: str | Query, k: int, **kwargs: Any) -> list[Hit]:
        return self.index.search(query, top_k=k, **self._request(query, **kwargs))

    async def _asearch(self, query: str | Query, k: int, **kwargs: Any) -> list[Hit]:
        return await self.index.asearch(query, top_k=k, **self._request(query, **kwargs))

    def _request(
        self,
        query: str | Query,
        *,
        filter: Any = None,
        plan: QueryPlan | None = None,
        diversity: Diversity | None = None,
        **unknown: Any,
    ) -> dict[str, Any]:
        """Give the arguments of a search of the index."""
        if unknown:
            raise InputError(f"a search has no argument {', '.join(unknown)}; it takes {', '.join(_KNOWN)}")
        plan = plan or self.plan or self.index.plan
        if diversity is not None:
            plan = replace(plan, diversity=diversity)
        if isinstance(query, Query):
            plan = replace(plan, channels=("dense",), late_interaction=0, rerank=(), threshold=None)
        return {"filter": filter, "plan": plan, "options": call_options(self._embedding)}


def relevance(hit: Hit) -> float:
    """Say how well a document answers, between 0 and 1, on a scale that is the same for all searches.

    The score of the plan's reranker; without one, the mean cosine of late interaction; without token vectors, the
    cosine of the dense vectors; in an index of words alone, the fused score, which compares within a search only.
    Below 0 counts as 0. So does a document that fusion by ranks found elsewhere, and whose cosine nobody asked for.
    The search orders by everything that it knows, so this need not descend from hit to hit.
    """
    if hit.reranked is not None:
        return _clipped(hit.reranked)
    cosines = [hit.parts[name].score or 0.0 for name in ("multi", "dense") if name in hit.parts]
    return _clipped(cosines[0] if cosines else hit.fused)


def _clipped(score: float) -> float:
    return min(max(score, 0.0), 1.0)


def _plain(hits: Sequence[Hit]) -> list[Document]:
    return [of_hit(hit) for hit in hits]


def _vector(embedding: Sequence[float]) -> Query:
    return Query(vectors={"dense": np.asarray(embedding, dtype=np.float32)})


def _diversity(fetch_k: int, lambda_mult: float) -> Diversity:
    return Diversity(lambda_mult=lambda_mult, candidates=fetch_k)
