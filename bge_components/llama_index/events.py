"""LlamaIndex's events around a call, always in pairs: also when there is nothing to do and when it fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.embedding import (
    EmbeddingEndEvent,
    EmbeddingStartEvent,
    SparseEmbeddingEndEvent,
    SparseEmbeddingStartEvent,
)
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher

dispatcher = get_dispatcher(__name__)


@contextmanager
def embedding_events(
    manager: CallbackManager, payload: dict[str, Any], texts: list[str]
) -> Iterator[list[list[float]]]:
    """Announce that texts are embedded, and afterwards their vectors.

    Args:
        manager: Gets a start and an end of kind EMBEDDING.
        payload: What the embedding says of itself.
        texts: What is embedded.

    Yields:
        A list; what the block puts into it is announced as the result.
    """
    vectors: list[list[float]] = []
    dispatcher.event(EmbeddingStartEvent(model_dict=payload))
    try:
        with manager.event(CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: payload}) as event:
            yield vectors
            event.on_end(payload={EventPayload.CHUNKS: texts, EventPayload.EMBEDDINGS: vectors})
    finally:
        # Not validated: checking two million floats again holds up the event loop for 50 ms.
        dispatcher.event(EmbeddingEndEvent.model_construct(chunks=texts[: len(vectors)], embeddings=vectors))


@contextmanager
def sparse_embedding_events(payload: dict[str, Any], texts: list[str]) -> Iterator[list[dict[int, float]]]:
    """Announce that token weights of texts are computed, and afterwards the weights; see `embedding_events`."""
    vectors: list[dict[int, float]] = []
    dispatcher.event(SparseEmbeddingStartEvent(model_dict=payload))
    try:
        yield vectors
    finally:
        end = SparseEmbeddingEndEvent.model_construct(chunks=texts[: len(vectors)], embeddings=vectors)
        dispatcher.event(end)


@contextmanager
def rerank_events(
    manager: CallbackManager,
    model: str,
    query: QueryBundle,
    nodes: Sequence[NodeWithScore],
    top_n: int | None,
) -> Iterator[list[NodeWithScore]]:
    """Announce that nodes are reranked, and afterwards those that were kept.

    Args:
        manager: Gets a start and an end of kind RERANKING.
        model: Name of the reranker's checkpoint.
        query: What they are ranked by.
        nodes: What is ranked.
        top_n: How many are kept; None is announced as the number of nodes.

    Yields:
        A list; what the block puts into it is announced as the result.
    """
    kept: list[NodeWithScore] = []
    count = len(nodes) if top_n is None else top_n
    dispatcher.event(ReRankStartEvent(query=query, nodes=list(nodes), top_n=count, model_name=model))
    payload: dict[str, Any] = {
        EventPayload.NODES: list(nodes),
        EventPayload.MODEL_NAME: model,
        EventPayload.QUERY_STR: query.query_str,
        EventPayload.TOP_K: count,
    }
    try:
        with manager.event(CBEventType.RERANKING, payload=payload) as event:
            yield kept
            event.on_end(payload={EventPayload.NODES: kept})
    finally:
        dispatcher.event(ReRankEndEvent(nodes=kept))
