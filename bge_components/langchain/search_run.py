"""A search of the index as a run in LangChain's trace: what was asked, what was found, and by which scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..retrieval import Hit
from .documents import of_hit

RUN_NAME = "HybridIndex"


def asked(query: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Give the inputs of a run: the query, and what the call asked for; as text what no tracer could write."""
    return {"query": query, **{name: _plain(request[name]) for name in ("top_k", "filter", "plan")}}


def found(hits: Sequence[Hit]) -> dict[str, Any]:
    """Give the outputs of a run: documents, best first, and beside each how it came to its place.

    Returns:
        "documents", and in the same order "hits": each with `id` and `score`; `channels`, by name their score and
        rank; `fused`, the score before rerankers; `reranked`, the last reranker's, None where none saw it; `window`,
        start and stop of the one that answers best, None where the document has just one.
    """
    return {"documents": [of_hit(hit) for hit in hits], "hits": [_reasons(hit) for hit in hits]}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, Mapping)) else repr(value)


def _reasons(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.id,
        "score": hit.score,
        "channels": {name: {"score": part.score, "rank": part.rank} for name, part in hit.parts.items()},
        "fused": hit.fused,
        "reranked": hit.reranked,
        "window": None if hit.window is None else {"start": hit.window.start, "stop": hit.window.stop},
    }
